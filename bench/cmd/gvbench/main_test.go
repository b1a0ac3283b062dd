package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{"remote", 2},
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
