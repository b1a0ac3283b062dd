package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/bench/measure"
)

// orderTimeout ends an order check whose callers never queue.
const orderTimeout = 2 * time.Minute

// calls measures workloads on one peer in this process.
func calls(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("calls", flag.ContinueOnError)
	name := flags.String("peer", "", "the peer's name in the table")
	list := flags.String("workloads", "1x1", "callers x objects, separated by commas")
	d := flags.Duration("d", 500*time.Millisecond, "length of the throughput run; the latency run and the warm-up take half")
	profile := flags.String("cpuprofile", "", "write a CPU profile to this file")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	e, err := find(*name)
	if err != nil {
		return err
	}
	workloads, err := parseWorkloads(*list)
	if err != nil {
		return err
	}
	if *profile != "" {
		stop, err := startProfile(*profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	b := measure.Bench{Now: time.Now, Budget: measure.Budget{Warm: *d / 2, Throughput: *d, Latency: *d / 2}}
	samples, err := b.Calls(ctx, e.Peer, workloads...)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(samples)
}

// activate measures activations of one peer in this process.
func activate(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("activate", flag.ContinueOnError)
	name := flags.String("peer", "", "the peer's name in the table")
	objects := flags.Int("objects", 1_000_000, "how many objects")
	callers := flags.Int("callers", 64, "how many callers share them out")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	e, err := find(*name)
	if err != nil {
		return err
	}
	a, err := measure.Bench{Now: time.Now}.Activations(ctx, e.Peer, *callers, *objects)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(a)
}

// order checks the order of service of one peer in this process.
func order(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("order", flag.ContinueOnError)
	name := flags.String("peer", "", "the peer's name in the table")
	callers := flags.Int("callers", 1024, "how many callers queue")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	e, err := find(*name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	o, err := measure.Bench{Now: time.Now}.Order(ctx, e.Peer, *callers)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(o)
}

func startProfile(path string) (stop func(), err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("start profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

func parseWorkloads(list string) ([]measure.Workload, error) {
	var workloads []measure.Workload
	for text := range strings.SplitSeq(list, ",") {
		var w measure.Workload
		if _, err := fmt.Sscanf(text, "%dx%d", &w.Callers, &w.Objects); err != nil || w.Callers < 1 || w.Objects < 1 {
			return nil, usageError{fmt.Errorf("workload %q is not callers x objects, such as 64x10000", text)}
		}
		workloads = append(workloads, w)
	}
	return workloads, nil
}

func formatWorkloads(workloads []measure.Workload) string {
	texts := make([]string, len(workloads))
	for i, w := range workloads {
		texts[i] = fmt.Sprintf("%dx%d", w.Callers, w.Objects)
	}
	return strings.Join(texts, ",")
}
