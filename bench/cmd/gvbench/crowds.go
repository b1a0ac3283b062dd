package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/bench/fleet"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/bench/report"
)

const (
	// shoutBytes is what is said in a room.
	shoutBytes = 64
	// shoutFor is enough for some messages to all members.
	shoutFor = 2 * time.Second
	// firstMembers are there before a server is weighed, so that what is made once is not counted.
	firstMembers = 8
)

// crowds measures what many peers, clients and members of a room cost.
func (p remotePlan) crowds(ctx context.Context, r *report.Report, stderr io.Writer) error {
	for _, one := range []struct {
		list    []peer.Crowd
		members int
	}{{linked(), p.links}, {idlers(), p.sessions}} {
		for _, c := range one.list {
			if one.members == 0 {
				continue
			}
			fmt.Fprintf(stderr, "  %s, %d\n", c.Name(), one.members)
			upkeep, err := p.measureUpkeep(ctx, c, one.members)
			if err != nil {
				return err
			}
			r.Upkeeps = append(r.Upkeeps, upkeep)
		}
	}
	if p.members == 0 {
		return nil
	}
	return p.measureRooms(ctx, r, stderr)
}

// measureUpkeep weighs what members add to a process.
func (p remotePlan) measureUpkeep(ctx context.Context, c peer.Crowd, members int) (u measure.Upkeep, err error) {
	crew, err := openCrowd(ctx, p.temp, c, firstMembers+members, "-weighed")
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, crew.close(err != nil)) }()
	held := crew.servers[0]
	if w, ok := c.(peer.Weighed); ok && w.WeighDriver() {
		held = crew.driver
	}
	if err := crew.driver.Ask(opAdd, addArgs{Members: firstMembers}, nil); err != nil {
		return u, err
	}
	var before, after scales
	if err := held.Ask(opWeigh, struct{}{}, &before); err != nil {
		return u, err
	}
	if err := crew.driver.Ask(opAdd, addArgs{Members: members}, nil); err != nil {
		return u, err
	}
	if err := held.Ask(opWeigh, struct{}{}, &after); err != nil {
		return u, err
	}
	parts := maps.Clone(after.Parts)
	for part, bytes := range before.Parts {
		parts[part] -= bytes
	}
	return measure.Share(c.Name(), members, before.Weight, after.Weight, parts), nil
}

// measureRooms has something said to all members, in one room after the other while the others stand idle, for each
// repetition.
func (p remotePlan) measureRooms(ctx context.Context, r *report.Report, stderr io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx) // a failure kills what still runs
	defer cancel()
	var crews []*crew
	defer func() {
		if err != nil {
			cancel()
		}
		err = errors.Join(err, closeCrews(crews, err != nil))
	}()
	for _, c := range rooms() {
		fmt.Fprintf(stderr, "  %s, %d\n", c.Name(), p.members)
		one, err := openCrowd(ctx, p.temp, c, p.members)
		if err != nil {
			return err
		}
		crews = append(crews, one)
		if err := one.driver.Ask(opAdd, addArgs{Members: p.members}, nil); err != nil {
			return err
		}
	}
	d := p.duration
	if !p.short {
		d = max(d, shoutFor)
	}
	if err := p.profile(crews, p.profiles); err != nil {
		return err
	}
	for i := range p.repetitions + 1 {
		for _, c := range crews {
			one, err := c.shout(p.members, shoutBytes, d)
			if err != nil {
				return err
			}
			if i > 0 { // the first one warms up
				one.Peer = c.name
				r.FanOuts = append(r.FanOuts, one)
			}
		}
	}
	return p.profile(crews, "")
}

// shout makes one run, with what all processes together consumed in it.
func (c *crew) shout(members, payload int, d time.Duration) (measure.FanOut, error) {
	var out measure.FanOut
	before, err := c.usage()
	if err != nil {
		return out, err
	}
	if err := c.driver.Ask(opShout, shoutArgs{Members: members, Payload: payload, For: d}, &out); err != nil {
		return out, err
	}
	after, err := c.usage()
	out.Usage = after.Minus(before).Plus(out.Usage)
	return out, err
}

// openCrowd starts a crowd's processes, without members. When it fails it leaves none.
func openCrowd(ctx context.Context, temp string, p peer.Crowd, members int, flags ...string) (c *crew, err error) {
	c = &crew{name: p.Name()}
	defer func() {
		if err != nil {
			_ = c.close(true)
		}
	}()
	start := func() (*fleet.Process, error) {
		return startSide(ctx, temp, append([]string{"-crowd", p.Name()}, flags...)...)
	}
	var tell []string
	for range p.Servers() {
		s, err := start()
		if err != nil {
			return c, err
		}
		c.servers = append(c.servers, s)
		var told string
		if err := s.Ask(opServe, crowdServeArgs{Before: slices.Clone(tell), Members: members}, &told); err != nil {
			return c, err
		}
		tell = append(tell, told)
	}
	if c.driver, err = start(); err != nil {
		return c, err
	}
	return c, c.driver.Ask(opGather, serveArgs{Before: tell}, nil)
}
