package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/bench/fleet"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
)

// crew is the processes of one peer.
type crew struct {
	name        string
	mostCallers int
	servers     []*fleet.Process
	driver      *fleet.Process
	made        int64   // calls so far
	most        float64 // calls a second, of all closed runs
}

// openCrew starts a peer's processes. When it fails it leaves none.
func openCrew(ctx context.Context, temp string, p peer.Remote, opt peer.RemoteOptions) (c *crew, err error) {
	c = &crew{name: p.Name(), mostCallers: math.MaxInt}
	if l, ok := p.(peer.Limited); ok {
		c.mostCallers = l.MostCallers()
	}
	defer func() {
		if err != nil {
			_ = c.close(true)
			c = nil
		}
	}()
	var tell []string
	start := func() (*fleet.Process, error) {
		return startSide(ctx, temp, "-peer", p.Name())
	}
	for range p.Servers() {
		s, err := start()
		if err != nil {
			return c, err
		}
		c.servers = append(c.servers, s)
		var told string
		if err := s.Ask(opServe, serveArgs{Before: tell, Options: opt}, &told); err != nil {
			return c, err
		}
		tell = append(tell, told)
	}
	if c.driver, err = start(); err != nil {
		return c, err
	}
	return c, c.driver.Ask(opDrive, serveArgs{Before: tell, Options: opt}, nil)
}

// startSide starts one process, whose temporary files go into a folder.
func startSide(ctx context.Context, temp string, flags ...string) (*fleet.Process, error) {
	return fleet.Start(ctx, []string{childVariable + "=1", "TMPDIR=" + temp}, append([]string{sideName}, flags...)...)
}

// measure makes the calls of one row.
func (c *crew) measure(payload, callers, objects int, d time.Duration) (measure.Crossing, error) {
	args := runArgs{Workload: measure.Workload{Callers: callers, Objects: objects}, Payload: payload, For: d / 2}
	if _, _, err := c.run(args); err != nil {
		return measure.Crossing{}, err
	}
	args.For = d
	drive, used, err := c.run(args)
	if err != nil {
		return measure.Crossing{}, err
	}
	c.most = max(c.most, float64(drive.Calls)/drive.Wall.Seconds())
	args.Timed = true
	timed, _, err := c.run(args)
	return measure.Crossing{
		Peer: c.name, Payload: payload, Callers: callers, Calls: drive.Calls, Wall: drive.Wall, Usage: used,
		P50: timed.P50, P99: timed.P99, P999: timed.P999, Max: timed.Max,
	}, err
}

// open makes the calls of one row at a fixed rate.
func (c *crew) open(payload, callers, objects int, rate float64, d time.Duration) (measure.Crossing, error) {
	drive, used, err := c.run(runArgs{
		Workload: measure.Workload{Callers: callers, Objects: objects}, Payload: payload, For: d, Rate: rate,
	})
	return measure.Crossing{
		Peer: c.name, Payload: payload, Callers: callers, Rate: rate, Calls: drive.Calls, Wall: drive.Wall, Usage: used,
		P50: drive.P50, P99: drive.P99, P999: drive.P999, Max: drive.Max, Late: drive.Late,
	}, err
}

// run makes one run, and returns what all processes together consumed in it.
func (c *crew) run(args runArgs) (measure.Drive, measure.Usage, error) {
	before, err := c.usage()
	if err != nil {
		return measure.Drive{}, measure.Usage{}, err
	}
	var drive measure.Drive
	if err := c.driver.Ask(opRun, args, &drive); err != nil {
		return measure.Drive{}, measure.Usage{}, err
	}
	c.made += drive.Calls
	after, err := c.usage()
	return drive, after.Minus(before).Plus(drive.Usage), err
}

// usage is that of the servers: the driver reports its own with every run.
func (c *crew) usage() (measure.Usage, error) {
	var all measure.Usage
	for _, s := range c.servers {
		var one measure.Usage
		if err := s.Ask(opUsage, struct{}{}, &one); err != nil {
			return all, err
		}
		all = all.Plus(one)
	}
	return all, nil
}

// profile has every process write a CPU profile into a folder, until it is called without one.
func (c *crew) profile(dir string) error {
	for i, p := range append(slices.Clone(c.servers), c.driver) {
		var args profileArgs
		if dir != "" {
			role := "driver"
			if i < len(c.servers) {
				role = fmt.Sprintf("server%d", i+1)
			}
			args.Path = filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-")+"."+role+".pprof")
		}
		if err := p.Ask(opProfile, args, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *crew) audit() error {
	return c.driver.Ask(opAudit, auditArgs{Made: c.made}, nil)
}

// closeCrews ends all processes of all peers.
func closeCrews(crews []*crew, failed bool) error {
	errs := make([]error, len(crews))
	var done sync.WaitGroup
	for i, c := range crews {
		done.Go(func() { errs[i] = c.close(failed) })
	}
	done.Wait()
	return errors.Join(errs...)
}

// close ends the processes, the driver first; at once after a failure.
func (c *crew) close(failed bool) error {
	all := c.servers
	if c.driver != nil {
		all = append(slices.Clone(all), c.driver)
	}
	if !failed {
		return fleet.CloseAll(all)
	}
	for _, p := range all {
		p.Kill()
	}
	return nil
}
