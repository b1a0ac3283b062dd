package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/xiaonanln/goverse/bench/fleet"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
)

// What the processes of a remote measurement are asked, and their arguments.
const (
	opServe   = "serve"
	opDrive   = "drive"
	opUsage   = "usage"
	opRun     = "run"
	opAudit   = "audit"
	opClose   = "close"
	opProfile = "profile"
	sideName  = "side"
)

type (
	serveArgs struct {
		Before  []string
		Options peer.RemoteOptions
	}
	runArgs struct {
		Workload measure.Workload
		Payload  int
		For      time.Duration
		Timed    bool
		Rate     float64 // calls a second; 0: as fast as the callers can
	}
	auditArgs   struct{ Made int64 }
	profileArgs struct{ Path string } // empty: end the profile
)

// side is one process of a remote measurement: it does what it is told over its standard input until that ends.
func side(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet(sideName, flag.ContinueOnError)
	name := flags.String("peer", "", "the peer's name in the table")
	weighed := flags.Bool("weighed", false, "profile the heap closely")
	crowd := flags.String("crowd", "", "the crowd's name in the table, instead of a peer")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if *weighed {
		runtime.MemProfileRate = measure.ProfileRate // before anything is opened, as the runtime asks
	}
	if *crowd != "" {
		return crowdSide(ctx, *crowd, stdout)
	}
	p, err := findRemote(*name)
	if err != nil {
		return err
	}
	s := &part{peer: p, bench: measure.Bench{Now: time.Now}}
	err = fleet.Obey(ctx, os.Stdin, stdout, map[string]fleet.Do{
		opServe:   fleet.With(s.serve),
		opDrive:   fleet.With(s.drive),
		opUsage:   fleet.With(s.usage),
		opRun:     fleet.With(s.run),
		opAudit:   fleet.With(s.audit),
		opProfile: fleet.With(new(profiler).profile),
		opClose:   fleet.With(func(ctx context.Context, _ struct{}) (any, error) { return nil, s.close(ctx) }),
	})
	return errors.Join(err, s.close(context.WithoutCancel(ctx)))
}

// crowdSide is side for a process of a crowd.
func crowdSide(ctx context.Context, name string, stdout io.Writer) error {
	c, err := findCrowd(name)
	if err != nil {
		return err
	}
	p := &crowdPart{crowd: c}
	err = fleet.Obey(ctx, os.Stdin, stdout, p.can())
	return errors.Join(err, p.close(context.WithoutCancel(ctx)))
}

// part is what runs in a side: a server or the driver.
type part struct {
	peer   peer.Remote
	bench  measure.Bench
	server peer.Server
	driver peer.Driver
}

func (p *part) serve(ctx context.Context, args serveArgs) (any, error) {
	var err error
	if p.server, err = p.peer.Serve(ctx, args.Before, args.Options); err != nil {
		return nil, err
	}
	return p.server.Tell(), nil
}

func (p *part) drive(ctx context.Context, args serveArgs) (any, error) {
	var err error
	p.driver, err = p.peer.Drive(ctx, args.Before, args.Options)
	return nil, err
}

func (p *part) usage(context.Context, struct{}) (any, error) { return measure.ReadUsage(), nil }

func (p *part) run(ctx context.Context, args runArgs) (any, error) {
	if p.driver == nil {
		return nil, fmt.Errorf("%s is not driven here", p.peer.Name())
	}
	p.driver.Resize(args.Payload)
	if args.Rate > 0 {
		return p.bench.Open(ctx, p.driver, args.Workload, args.Rate, args.For)
	}
	return p.bench.Drive(ctx, p.driver, args.Workload, args.For, args.Timed)
}

func (p *part) audit(ctx context.Context, args auditArgs) (any, error) {
	if a, ok := p.driver.(peer.Auditor); ok {
		return nil, a.Audit(ctx, args.Made)
	}
	return nil, nil
}

// close stops what runs, once.
func (p *part) close(ctx context.Context) error {
	var errs []error
	if p.driver != nil {
		errs = append(errs, p.driver.Close(ctx))
	}
	if p.server != nil {
		errs = append(errs, p.server.Close(ctx))
	}
	p.driver, p.server = nil, nil
	return errors.Join(errs...)
}

// profiler writes CPU profiles of a side.
type profiler struct {
	stop func() // ends the one that is written; nil: none is
}

// profile begins to write a profile, or ends it.
func (p *profiler) profile(_ context.Context, args profileArgs) (any, error) {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
	if args.Path == "" {
		return nil, nil
	}
	var err error
	p.stop, err = startProfile(args.Path)
	return nil, err
}
