package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/xiaonanln/goverse/bench/fleet"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/report"
	"github.com/xiaonanln/goverse/bench/watch"
)

// settleWithin bounds how long a cluster may take to be whole in the inspector's eyes.
const settleWithin = 60 * time.Second

// inspectPlan is what inspect measures.
type inspectPlan struct {
	repetitions int
	duration    time.Duration
	bursts      int // of each kind of calls in each cluster, while a tab looks at one of them; three times as many without
	callers     int
	objects     int // that local and remote callers pick from
	events      int // samples
	many        int // objects to search among; 0: no search
	talkers     int // objects that call another one each; 0: no graph
	rate        float64
	graphRun    time.Duration // of the graph; its warm-up takes half
	settle      time.Duration // between the coming of an inspector and what is measured of it
	control     bool          // compare two clusters too that nobody looks at
	short       bool
	temp        string
}

// inspect measures what an inspector costs and how quick it is, and prints one table.
func inspect(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	p, err := parseInspect(args, stderr)
	if err != nil {
		return err
	}
	if p.temp, err = os.MkdirTemp("", "gvbench"); err != nil {
		return fmt.Errorf("make folder for temporary files: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.temp)) }()
	seen := &sight{plan: p}
	if err := p.withCluster(ctx, 2, func(ctx context.Context, c *watched) error {
		return p.withCluster(ctx, 2, func(ctx context.Context, twin *watched) error { return p.pair(ctx, c, twin, seen, stderr) })
	}); err != nil {
		return err
	}
	if p.many > 0 {
		if err := p.withCluster(ctx, 3, func(ctx context.Context, c *watched) error { return p.search(ctx, c, seen, stderr) }); err != nil {
			return err
		}
	}
	r := &report.Report{Lines: seen.lines(), Figures: seen.figures()}
	return r.Write(stdout)
}

func parseInspect(args []string, stderr io.Writer) (inspectPlan, error) {
	var p inspectPlan
	flags := flag.NewFlagSet("inspect", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "gvbench inspect measures what an inspector costs a cluster and how quick it is.\n"+
			"The default run takes some 11 minutes on 2 cores and some GB of memory; all is on the loopback.")
		flags.PrintDefaults()
	}
	flags.BoolVar(&p.short, "short", false, "everything once, quickly, with few objects; the times mean nothing")
	flags.IntVar(&p.repetitions, "reps", 8, "crossovers: an inspector that nobody looks at, then one with a tab, looks at one cluster and at another one")
	flags.BoolVar(&p.control, "control", false, "a control beside: crossovers without any inspector, which ought to find a cost of nothing")
	flags.DurationVar(&p.duration, "d", 150*time.Millisecond, "length of a burst of calls, of which there are 10 in each cluster and of each kind while a tab looks at one of them, and 30 while an inspector does that nobody looks at")
	flags.IntVar(&p.callers, "callers", 64, "callers at once")
	flags.IntVar(&p.objects, "objects", 1024, "objects that callers pick from, of those of the node itself and of those of the other")
	flags.IntVar(&p.events, "events", 50, "events whose way to the stream is timed")
	flags.IntVar(&p.many, "many", 1_000_000, "objects on 3 nodes to search among (0: no search)")
	flags.IntVar(&p.talkers, "talkers", 5000, "objects that call an object of their own each, for the graph (0: no graph)")
	flags.Float64Var(&p.rate, "rate", 50_000, "calls a second of them, together with those to them")
	p.graphRun, p.settle, p.bursts = 5*time.Second, 1500*time.Millisecond, 10
	if err := parse(flags, args, stderr); err != nil {
		return p, err
	}
	if p.short {
		p.repetitions, p.duration, p.objects, p.events = 1, 50*time.Millisecond, min(p.objects, 64), min(p.events, 4)
		p.bursts = 1
		p.graphRun, p.settle = 1500*time.Millisecond, 0 // the stream speaks twice a second at most
		p.many, p.talkers, p.rate = min(p.many, 2000), min(p.talkers, 100), min(p.rate, 1000)
	}
	if p.repetitions < 1 || p.duration <= 0 || p.callers < 1 || p.objects < 1 || p.events < 2 || p.many < 0 || p.talkers < 0 || p.rate < 2 {
		return p, usageError{errors.New("-reps, -d, -callers and -objects must be more than zero, -events and -rate 2 or more, the others not negative")}
	}
	return p, nil
}

// watched is the processes of a cluster, and the inspector that looks at it, if one does.
type watched struct {
	plan      inspectPlan
	start     func() (*fleet.Process, error) // of a process that lives as long as the cluster
	nodes     []*fleet.Process
	inspector *fleet.Process // where one runs, now and then; nil: it was not needed yet
	page      *watch.Page    // nil: no inspector runs
	settled   bool           // the cluster is whole
	watch     watchArgs
}

// withCluster starts nodes, uses them and ends them.
func (p inspectPlan) withCluster(ctx context.Context, nodes int, use func(context.Context, *watched) error) (err error) {
	ctx, cancel := context.WithCancel(ctx) // a failure kills what still runs
	defer cancel()
	c := &watched{plan: p, start: func() (*fleet.Process, error) {
		return fleet.Start(ctx, []string{childVariable + "=1", "TMPDIR=" + p.temp}, watchName)
	}}
	defer func() {
		if err != nil {
			cancel()
		}
		ended := errors.Join(c.close(), fleet.CloseAll(c.nodes))
		if err == nil {
			err = ended
		}
	}()
	var first joined
	for range nodes {
		n, err := c.start()
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
		var told joined
		if err := n.Ask(opJoin, joinArgs{First: first.Tell, Short: p.short}, &told); err != nil {
			return err
		}
		if first.Tell == "" {
			first = told
			c.watch = watchArgs{Etcd: told.Etcd, Cluster: told.Cluster}
		}
	}
	return use(ctx, c)
}

// attach has an inspector watch the cluster and waits, the first time, until it sees all of it: then it thinks for a while that somebody looks.
func (c *watched) attach(ctx context.Context) (err error) {
	if c.inspector == nil {
		if c.inspector, err = c.start(); err != nil {
			return err
		}
	}
	var address string
	if err := c.inspector.Ask(opWatch, c.watch, &address); err != nil {
		return err
	}
	c.page = watch.NewPage(address)
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	if c.settled { // it stays so: nodes neither come nor go
		return c.page.Knows(ctx)
	}
	c.settled = true
	return c.page.Settled(ctx, len(c.nodes))
}

// detach ends the inspector, if there is one, but not its process.
func (c *watched) detach() error {
	if c.page == nil {
		return nil
	}
	c.page.Close()
	c.page = nil
	return c.inspector.Ask(opUnwatch, struct{}{}, nil)
}

// close ends the inspector's process.
func (c *watched) close() error {
	if c.inspector == nil {
		return nil
	}
	return errors.Join(c.detach(), c.inspector.Close())
}

// driver is the node from where calls are made.
func (c *watched) driver() *fleet.Process { return c.nodes[len(c.nodes)-1] }

// usage is what all nodes have consumed.
func (c *watched) usage() (measure.Usage, error) {
	var sum measure.Usage
	for _, n := range c.nodes {
		var u measure.Usage
		if err := n.Ask(opUsage, struct{}{}, &u); err != nil {
			return sum, err
		}
		sum = sum.Plus(u)
	}
	return sum, nil
}

// run has the driver make calls of a kind as fast as its callers can.
func (c *watched) run(kind string, d time.Duration) (measure.Drive, error) {
	args := watchedRun{Kind: kind}
	args.Workload, args.For = measure.Workload{Callers: c.plan.callers, Objects: c.plan.objects}, d
	var drive measure.Drive
	return drive, c.driver().Ask(opRun, args, &drive)
}
