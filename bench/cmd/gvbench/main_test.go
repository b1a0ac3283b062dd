package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xiaonanln/goverse/bench/peer"
)

// TestMain lets the test binary be the program that local starts again for each measurement.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestLocalShort(t *testing.T) {
	t.Parallel()
	raw := filepath.Join(t.TempDir(), "raw.json")
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"local", "-short", "-workloads", "1x1,8x20", "-json", raw}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	t.Log(stdout.String())
	for _, e := range roster() {
		want := 1 // how often the peer's name begins a row
		if !e.single {
			want++
		}
		if e.activates {
			want++
		}
		if e.holds {
			want++
		}
		if got := rows(stdout.String(), e.Name()); got != want {
			t.Errorf("%s has %d rows, want %d", e.Name(), got, want)
		}
	}
	if text, err := os.ReadFile(raw); err != nil || !strings.Contains(string(text), `"LeastCalls"`) {
		t.Errorf("the raw results: %v", err)
	}
}

func TestRemoteShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	raw := filepath.Join(dir, "raw.json")
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"remote", "-short", "-callers", "1,32", "-rate", "2000", "-json", raw, "-cpuprofiles", dir}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	t.Log(stdout.String())
	for _, p := range remotes() {
		want := 4 // two payloads, two numbers of callers
		if slices.Contains(pacedPeers(), p.Name()) {
			want += 2
		}
		if got := rows(stdout.String(), p.Name()); got != want {
			t.Errorf("%s has %d rows, want %d", p.Name(), got, want)
		}
	}
	for _, name := range []string{"goverse.driver.pprof", "client-Session-relayed.server2.pprof", "goverse-room-Session.server1.pprof"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("no profile %s: %v", name, err)
		}
	}
	for _, list := range [][]peer.Crowd{linked(), idlers(), rooms()} {
		for _, c := range list {
			if got := rows(stdout.String(), c.Name()); got != 1 {
				t.Errorf("%s has %d rows, want 1", c.Name(), got)
			}
		}
	}
	if text, err := os.ReadFile(raw); err != nil || !strings.Contains(string(text), `"P999"`) {
		t.Errorf("the raw results: %v", err)
	}
}

// TestRemoteEndsWhenTold: a run that is given up fails, and takes its processes along.
func TestRemoteEndsWhenTold(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &trigger{word: "16 bytes", fire: cancel}
	code := run(ctx, []string{"remote", "-peers", "raw TCP echo", "-d", "1h"}, io.Discard, stderr)
	if code != 1 {
		t.Errorf("exit code %d: %s", code, stderr.text.String())
	}
}

// trigger fires when a word is written to it.
type trigger struct {
	word string
	fire func()
	text strings.Builder
}

func (t *trigger) Write(b []byte) (int, error) {
	t.text.Write(b)
	if strings.Contains(string(b), t.word) {
		t.fire()
	}
	return len(b), nil
}

func rows(table, name string) int {
	n := 0
	for line := range strings.Lines(table) {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), name+"  ")
		if found && rest != "" && strings.ContainsAny(strings.TrimSpace(rest)[:1], "0123456789") {
			n++
		}
	}
	return n
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want int
	}{
		{"", 2},
		{"nonsense", 2},
		{"remote -nonsense", 2},
		{"remote -peers nobody", 2},
		{"remote -payloads 0", 2},
		{"remote -payloads 15", 2},
		{"remote -short -peers none -links 0 -sessions 0 -members 0", 0},
		{"remote -callers many", 2},
		{"remote -reps 0", 2},
		{"remote -h", 0},
		{"side -peer nobody", 2},
		{"side -crowd nobody", 2},
		{"local -nonsense", 2},
		{"local extra", 2},
		{"local -workloads 1by1", 2},
		{"local -peers nobody", 2},
		{"calls -peer nobody", 2},
		{"calls -peer mutex -workloads 0x1", 2},
		{"order -peer mutex", 1},
		{"local -h", 0},
		{"local -short -peers mutex -waiters 0", 0},
		{"activate -peer channel -objects 10", 0},
		{"order -peer channel -callers 3", 0},
		{"calls -peer mutex -cpuprofile /nowhere/x", 1},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			if got := run(t.Context(), strings.Fields(c.args), &stdout, &stderr); got != c.want {
				t.Errorf("exit code %d, want %d: %s", got, c.want, stderr.String())
			}
		})
	}
}

func TestRunJobsTellsWhichChildFailed(t *testing.T) {
	t.Parallel()
	take := func([]byte) error { return nil }
	err := runJobs(t.Context(), []job{
		{args: []string{"order", "-peer", "channel", "-callers", "2"}, take: take},
		{args: []string{"order", "-peer", "mutex"}, take: take},
	}, 1)
	if err == nil || !strings.Contains(err.Error(), "-peer mutex") || !strings.Contains(err.Error(), "cannot be held") {
		t.Errorf("a failing child: %v", err)
	}
}
