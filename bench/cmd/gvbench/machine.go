package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/bench/peer"
)

// machine says what the numbers were measured on, and how.
func machine(p plan) []string {
	lines := []string{
		processor(),
		fmt.Sprintf("%s; medians of %d interleaved repetitions of %s, a process each; %d-byte payload; spread is (max-min)/median",
			time.Now().Format(time.DateOnly), p.repetitions, p.duration, len(peer.Note)),
	}
	if p.parallel > 1 {
		lines = append(lines, "SHORT RUN: several processes at once; the times mean nothing")
	}
	return append(lines, versions(func(path string) bool {
		return slices.ContainsFunc(p.entries, func(e entry) bool { return e.Module() == path })
	})...)
}

// processor is what a run had to itself.
func processor() string {
	return fmt.Sprintf("%s, %s, GOMAXPROCS %d, %s/%s, GOGC %s", cpuModel(), runtime.Version(), runtime.GOMAXPROCS(0),
		runtime.GOOS, runtime.GOARCH, cmp.Or(os.Getenv("GOGC"), "100"))
}

// versions are those of the modules that were measured, and of protobuf.
func versions(measured func(path string) bool) []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var lines []string
	for _, m := range info.Deps {
		if m.Path != "google.golang.org/protobuf" && !measured(m.Path) {
			continue
		}
		version := m.Version
		if m.Replace != nil {
			version = "this tree"
		}
		lines = append(lines, m.Path+" "+version)
	}
	return lines
}

// cpuModel is the processor's name where /proc tells it.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
