package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"time"

	"github.com/xiaonanln/goverse/bench/fleet"
	"github.com/xiaonanln/goverse/bench/goverse"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/bench/watch"
)

// What the processes of an inspected cluster are asked beside opUsage and opRun.
const (
	opJoin    = "join"
	opFind    = "find"
	opFill    = "fill"
	opBump    = "bump"
	opBreak   = "break"
	opWatch   = "watch"
	opUnwatch = "unwatch"
	watchName = "watchside"
)

// What callers call.
const (
	localCalls  = "local"  // objects of the node itself
	remoteCalls = "remote" // objects of other nodes
	talk        = "talk"   // objects that call objects
)

type (
	joinArgs struct {
		First string // what the first node told; empty for that one
		Short bool
	}
	// joined is what a node tells.
	joined struct{ Tell, Etcd, Cluster string }
	// findArgs say how many objects there are to be, of either kind.
	findArgs struct{ Objects, Callers int }
	fillArgs struct{ From, To int }
	// watchArgs say what to watch.
	watchArgs struct{ Etcd, Cluster string }
	// watchedRun is a run of the calls of a kind.
	watchedRun struct {
		runArgs

		Kind string
	}
)

// watchSide is one process of an inspected cluster: a node, or an inspector.
func watchSide(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet(watchName, flag.ContinueOnError)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	p := &watchPart{bench: measure.Bench{Now: time.Now}, targets: make(map[string]peer.Target)}
	err := fleet.Obey(ctx, os.Stdin, stdout, map[string]fleet.Do{
		opJoin:    fleet.With(p.join),
		opFind:    fleet.With(p.find),
		opFill:    fleet.With(func(ctx context.Context, a fillArgs) (any, error) { return nil, p.node.Fill(ctx, a.From, a.To) }),
		opBump:    fleet.With(func(ctx context.Context, id string) (any, error) { return nil, p.node.Bump(ctx, id) }),
		opBreak:   fleet.With(func(ctx context.Context, id string) (any, error) { return nil, p.node.Break(ctx, id) }),
		opRun:     fleet.With(p.run),
		opUsage:   fleet.With(func(context.Context, struct{}) (any, error) { return measure.ReadUsage(), nil }),
		opWatch:   fleet.With(p.watch),
		opUnwatch: fleet.With(func(context.Context, struct{}) (any, error) { return nil, p.unwatch() }),
	})
	return errors.Join(err, p.close(context.WithoutCancel(ctx)))
}

// watchPart is what runs in such a process.
type watchPart struct {
	bench     measure.Bench
	node      *goverse.Watched
	inspector *watch.Inspector
	targets   map[string]peer.Target
}

func (p *watchPart) join(ctx context.Context, args joinArgs) (any, error) {
	var err error
	if p.node, err = goverse.OpenWatched(ctx, args.First, args.Short); err != nil {
		return nil, err
	}
	etcd, cluster := p.node.Meeting()
	return joined{Tell: p.node.Tell(), Etcd: etcd, Cluster: cluster}, nil
}

func (p *watchPart) find(ctx context.Context, args findArgs) (any, error) {
	for kind, here := range map[string]bool{localCalls: true, remoteCalls: false} {
		t, err := p.node.Tallies(ctx, here, args.Objects, args.Callers)
		if err != nil {
			return nil, err
		}
		p.targets[kind] = t
	}
	p.targets[talk] = p.node.Talkers(args.Callers)
	return nil, nil
}

func (p *watchPart) run(ctx context.Context, args watchedRun) (any, error) {
	t := p.targets[args.Kind]
	if t == nil {
		return nil, errors.New("no objects have been found")
	}
	if args.Rate > 0 {
		return p.bench.Open(ctx, t, args.Workload, args.Rate, args.For)
	}
	return p.bench.Drive(ctx, t, args.Workload, args.For, false)
}

func (p *watchPart) watch(ctx context.Context, args watchArgs) (any, error) {
	var err error
	if p.inspector, err = watch.Run(ctx, args.Etcd, args.Cluster); err != nil {
		return nil, err
	}
	return p.inspector.Address, nil
}

func (p *watchPart) unwatch() error {
	if p.inspector == nil {
		return nil
	}
	inspector := p.inspector
	p.inspector = nil
	return inspector.Close()
}

func (p *watchPart) close(ctx context.Context) error {
	errs := []error{p.unwatch()}
	if p.node != nil {
		errs = append(errs, p.node.Close(ctx))
	}
	return errors.Join(errs...)
}
