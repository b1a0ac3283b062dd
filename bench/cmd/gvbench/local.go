package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/report"
)

// plan is what local measures.
type plan struct {
	entries     []entry
	workloads   []measure.Workload
	repetitions int
	duration    time.Duration
	objects     int // to activate
	activators  int
	waiters     int  // in the order check
	parallel    int  // children at once; more than one makes every time worthless
	together    bool // all workloads of a peer in one child
}

// local measures every peer and prints one table.
func local(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	p, raw, err := parseLocal(args, stderr)
	if err != nil {
		return err
	}
	r := &report.Report{Lines: machine(p), Baselines: baselines(), Figures: p.figures()}
	for i := range p.repetitions {
		fmt.Fprintf(stderr, "repetition %d of %d\n", i+1, p.repetitions)
		if err := p.repeat(ctx, r); err != nil {
			return err
		}
	}
	if err := p.orders(ctx, r); err != nil {
		return err
	}
	if raw != "" {
		if err := writeRaw(raw, r); err != nil {
			return err
		}
	}
	return r.Write(stdout)
}

func parseLocal(args []string, stderr io.Writer) (plan, string, error) {
	p := plan{entries: roster(), activators: 64, parallel: 1}
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	short := flags.Bool("short", false, "a few seconds: every row once, with small numbers, several at a time; the times mean nothing")
	list := flags.String("workloads", "1x1,1x10000,64x1,64x10000,1024x1,1024x10000", "callers x objects, separated by commas")
	only := flags.String("peers", "", "the peers to measure, separated by commas (empty: all)")
	raw := flags.String("json", "", "write all repetitions to this file too")
	flags.IntVar(&p.repetitions, "reps", 5, "repetitions of every row, one row after the other each time")
	flags.DurationVar(&p.duration, "d", 500*time.Millisecond, "length of a throughput run; the latency run and the warm-up take half")
	flags.IntVar(&p.objects, "objects", 1_000_000, "objects to activate (0: none)")
	flags.IntVar(&p.waiters, "waiters", 1024, "callers in the check of the order of service (0: no check)")
	if err := parse(flags, args, stderr); err != nil {
		return plan{}, "", err
	}
	if *short {
		p.repetitions, p.duration, p.objects, p.waiters = 1, 20*time.Millisecond, 5000, 32
		p.parallel, p.together = 8, true
	}
	var err error
	if p.workloads, err = parseWorkloads(*list); err != nil {
		return plan{}, "", err
	}
	if *only != "" {
		p.entries = nil
		for name := range strings.SplitSeq(*only, ",") {
			e, err := find(name)
			if err != nil {
				return plan{}, "", err
			}
			p.entries = append(p.entries, e)
		}
	}
	return p, *raw, nil
}

// repeat measures every row once, one after the other.
func (p plan) repeat(ctx context.Context, r *report.Report) error {
	var jobs []job
	groups := [][]measure.Workload{p.workloads}
	if !p.together {
		groups = slices.Collect(slices.Chunk(p.workloads, 1))
	}
	for _, group := range groups {
		for _, e := range p.entries {
			if own := e.suits(group); len(own) > 0 {
				jobs = append(jobs, job{
					args: []string{"calls", "-peer", e.Name(), "-workloads", formatWorkloads(own), "-d", p.duration.String()},
					take: func(out []byte) error { return decodeAll(out, &r.Samples) },
				})
			}
		}
	}
	for _, e := range p.entries {
		if e.activates && p.objects > 0 {
			jobs = append(jobs, job{
				args: []string{"activate", "-peer", e.Name(), "-objects", strconv.Itoa(p.objects), "-callers", strconv.Itoa(p.activators)},
				take: func(out []byte) error { return decodeOne(out, &r.Activations) },
			})
		}
	}
	return runJobs(ctx, jobs, p.parallel)
}

// orders checks the order of service once.
func (p plan) orders(ctx context.Context, r *report.Report) error {
	var jobs []job
	for _, e := range p.entries {
		if e.holds && p.waiters > 0 {
			jobs = append(jobs, job{
				args: []string{"order", "-peer", e.Name(), "-callers", strconv.Itoa(p.waiters)},
				take: func(out []byte) error { return decodeOne(out, &r.Orders) },
			})
		}
	}
	return runJobs(ctx, jobs, p.parallel)
}

// figures are those to judge: none where several measurements share the machine.
func (p plan) figures() []report.Figure {
	if p.parallel > 1 {
		return nil
	}
	return figures()
}

// suits returns the workloads that a peer can do.
func (e entry) suits(workloads []measure.Workload) []measure.Workload {
	return slices.DeleteFunc(slices.Clone(workloads), func(w measure.Workload) bool { return e.single && w.Callers > 1 })
}

func writeRaw(path string, r *report.Report) error {
	text, err := json.MarshalIndent(map[string]any{
		"machine": r.Lines, "samples": r.Samples, "activations": r.Activations, "orders": r.Orders, "crossings": r.Crossings,
		"upkeeps": r.Upkeeps, "fan-outs": r.FanOuts,
	}, "", " ")
	if err != nil {
		return fmt.Errorf("encode repetitions: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write repetitions: %w", err)
	}
	return nil
}
