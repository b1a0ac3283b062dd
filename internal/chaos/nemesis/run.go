//go:build linux

// Package nemesis is the plan of a chaos run: it builds a cluster of real processes on an
// etcd of real processes, puts load on it, does it harm by a seeded plan, lets it heal,
// and has package check judge what was recorded.
//
// A seed repeats the faults and their order, not the interleaving of the processes. [Run]
// owns all goroutines, and all processes: they have ended when it returns.
package nemesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
)

// Config says what to run. Clock, Out, Seed and Shards are required.
type Config struct {
	Scenarios string        // names, separated by commas, or "all" or "short"
	Seed      uint64        // of the faults
	For       time.Duration // go round until so much time has passed; 0: one round
	Shards    int           // of the cluster
	Keep      string        // folder for the records of all runs; empty: only of those that fail
	Clock     clock.Clock
	Out       io.Writer // gets the reports
}

// ErrBroken is the error of a run that broke a promise, or could not show that it kept
// them.
var ErrBroken = errors.New("chaos has found something")

// Run runs the scenarios one after the other, each with a seed of its own that is derived
// from the configuration's and printed. It goes on after one that fails.
func Run(ctx context.Context, cfg Config) error {
	chosen, err := choose(cfg.Scenarios)
	if err != nil {
		return err
	}
	dir := cfg.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "goverse-chaos-"); err != nil {
			return fmt.Errorf("run chaos: %w", err)
		}
	}
	began, failed, runs := cfg.Clock.Monotonic(), 0, 0
	for round := uint64(0); ; round++ {
		for _, s := range chosen {
			if ctx.Err() != nil {
				return fmt.Errorf("run chaos: %w", context.Cause(ctx))
			}
			runs++
			r := result{scenario: s, seed: cfg.Seed + round, dir: filepath.Join(dir, fmt.Sprintf("%s-%d", s.name, cfg.Seed+round))}
			r.run(ctx, cfg)
			r.print(cfg.Out)
			if r.bad() {
				failed++
			} else if cfg.Keep == "" {
				_ = os.RemoveAll(r.dir)
			}
		}
		if cfg.Clock.Monotonic()-began >= cfg.For {
			break
		}
	}
	if failed > 0 {
		return fmt.Errorf("%w: %d of %d runs failed", ErrBroken, failed, runs)
	}
	if cfg.Keep == "" {
		_ = os.RemoveAll(dir)
	}
	fmt.Fprintf(cfg.Out, "%d runs, nothing found\n", runs)
	return nil
}

// choose finds scenarios by their names.
func choose(names string) ([]scenario, error) {
	var chosen []scenario
	for name := range strings.SplitSeq(names, ",") {
		before := len(chosen)
		for _, s := range scenarios() {
			if name == "all" || name == s.name || name == "short" && s.short {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("there is no scenario %q", name)
		}
	}
	return chosen, nil
}

// List prints the scenarios.
func List(out io.Writer) {
	for _, s := range scenarios() {
		marks := ""
		if s.short {
			marks = " (short)"
		}
		fmt.Fprintf(out, "%-14s %s%s\n", s.name, s.text, marks)
	}
}

// result is the outcome of one scenario.
type result struct {
	scenario scenario
	seed     uint64
	dir      string
	invalid  error    // why the run shows nothing
	found    []string // what is wrong
	figures  []string
}

func (r *result) bad() bool { return r.invalid != nil || len(r.found) > 0 }

// maxShown is how many findings are printed; the rest is in the folder.
const maxShown = 12

func (r *result) print(out io.Writer) {
	verdict := "ok"
	switch {
	case len(r.found) > 0:
		verdict = "BROKEN"
	case r.invalid != nil:
		verdict = "INVALID"
	}
	fmt.Fprintf(out, "%-7s %-14s seed %d  %s\n", verdict, r.scenario.name, r.seed, strings.Join(r.figures, "; "))
	if !r.bad() {
		return
	}
	if r.invalid != nil {
		fmt.Fprintln(out, "       ", r.invalid)
	}
	slices.Sort(r.found)
	for i, f := range r.found {
		if i == maxShown {
			fmt.Fprintf(out, "        … and %d more\n", len(r.found)-maxShown)
			break
		}
		fmt.Fprintln(out, "       ", f)
	}
	fmt.Fprintf(out, "        records: %s\n        again:   CHAOS_SEED=%d go run ./internal/chaos/cmd/chaos -run %s\n", r.dir, r.seed, r.scenario.name)
	_ = os.WriteFile(filepath.Join(r.dir, "found.txt"), []byte(strings.Join(r.found, "\n")+"\n"), 0o600)
}
