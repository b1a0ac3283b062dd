package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/watch"
)

const (
	// seenWithin bounds how long an event may take to be seen before the run fails.
	seenWithin = 20 * time.Second
	// lightRate is the calls a second beside the events, lightObjects what they call: few enough that the graph shows
	// each, of which it shows 200.
	lightRate    = 200
	lightObjects = 20
	// eventPause is the longest rest between two events: as long as the least time between two messages of a topic, so
	// that events come at any time between them.
	eventPause = 500 * time.Millisecond
	// lightRun is for how long the load goes on before it is asked again.
	lightRun = 500 * time.Millisecond
	// searches is how often each search is done, after the first time.
	searches = 10
)

// eventTimes measures how long it takes until the stream tells what happens.
func (p inspectPlan) eventTimes(ctx context.Context, c *watched, s *sight, stderr io.Writer) (err error) {
	fmt.Fprintf(stderr, "%d events\n", p.events)
	stream, err := c.page.Stream(ctx, "topics=events,graph&objects=1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	load, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return c.lightLoad(load) })
	err = p.timeEvents(ctx, c, s, stream)
	stop()
	return errors.Join(err, group.Wait())
}

// lightLoad has the driver make some calls until ctx ends.
func (c *watched) lightLoad(ctx context.Context) error {
	args := watchedRun{Kind: remoteCalls}
	args.Workload = measure.Workload{Callers: min(c.plan.callers, 4), Objects: min(c.plan.objects, lightObjects)}
	args.Rate, args.For = lightRate, lightRun
	for ctx.Err() == nil {
		if err := c.driver().Ask(opRun, args, nil); err != nil {
			return err
		}
	}
	return nil
}

// timeEvents has panics and calls of new objects happen in turn, at the node that makes no load.
func (p inspectPlan) timeEvents(ctx context.Context, c *watched, s *sight, stream *watch.Stream) error {
	for i := range p.events {
		op, id, topic := opBreak, "Talker-breaks-"+strconv.Itoa(i), "events"
		if i%2 == 1 {
			op, id, topic = opBump, "Tally-new-"+strconv.Itoa(i), "graph"
		}
		if err := rest(ctx, eventPause*time.Duration(i*7%p.events)/time.Duration(p.events)); err != nil {
			return err
		}
		from := time.Now()
		if err := c.nodes[0].Ask(op, id, nil); err != nil {
			return err
		}
		if err := await(stream, topic, id); err != nil {
			return err
		}
		took := time.Since(from)
		if topic == "events" {
			s.panics = append(s.panics, took)
		} else {
			s.births = append(s.births, took)
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await reads until a message of a topic names an object.
func await(stream *watch.Stream, topic, id string) error {
	late := time.AfterFunc(seenWithin, func() { _ = stream.Close() })
	defer late.Stop()
	name := []byte(strconv.Quote(id))
	for {
		t, data, err := stream.Next()
		if err != nil {
			return fmt.Errorf("wait for %s in %s: %w", id, topic, err)
		}
		if t == topic && bytes.Contains(data, name) {
			return nil
		}
	}
}

// graph measures what a tab gets to read while many objects call each other.
func (p inspectPlan) graph(ctx context.Context, c *watched, s *sight, stderr io.Writer) error {
	fmt.Fprintf(stderr, "graph of %d objects\n", 2*p.talkers)
	args := watchedRun{Kind: talk}
	args.Workload = measure.Workload{Callers: p.callers, Objects: p.talkers}
	args.Rate, args.For = p.rate/2, p.graphRun/2 // each of these calls makes another one
	if err := c.driver().Ask(opRun, args, nil); err != nil {
		return err
	}
	for _, view := range []string{"topics=graph&objects=1", busiest} {
		t, err := openTab(ctx, c, view)
		if err != nil {
			return err
		}
		var drive measure.Drive
		args.For = p.graphRun
		from := time.Now()
		asked := c.driver().Ask(opRun, args, &drive)
		took := time.Since(from)
		read, err := t.close()
		if err := errors.Join(asked, err); err != nil {
			return err
		}
		s.flows = append(s.flows, flow{
			view: view, bytes: float64(read) / took.Seconds(), calls: 2 * float64(drive.Calls) / drive.Wall.Seconds(),
		})
	}
	return nil
}

// search measures how long it takes to find objects among many. A search that fails counts as one that found not all, and
// goes on: nodes may be too slow to answer.
func (p inspectPlan) search(ctx context.Context, c *watched, s *sight, stderr io.Writer) error {
	fmt.Fprintf(stderr, "three nodes settle\n")
	if err := c.attach(ctx); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d objects\n", p.many)
	var group errgroup.Group
	for i, n := range c.nodes {
		group.Go(func() error {
			return n.Ask(opFill, fillArgs{From: p.many * i / len(c.nodes), To: p.many * (i + 1) / len(c.nodes)}, nil)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := rest(ctx, p.settle); err != nil { // beside calls, searches take a quarter of a core at most
		return err
	}
	fmt.Fprintf(stderr, "searches\n")
	for _, q := range []url.Values{
		{"prefix": {"many-1234"}},
		{"prefix": {"many-"}, "type": {"Tally"}},
		{"sort": {"calls"}},
		{"type": {"Tally"}, "sort": {"id"}},
		{"type": {"Tally"}, "sort": {"idle"}},
		{"type": {"Tally"}, "sort": {"idle"}, "offset": {"1000"}},
		{"type": {"Tally"}, "sort": {"idle"}, "offset": {"10000"}},
	} {
		one := found{query: q.Encode(), deep: q.Has("offset")}
		for i := range searches + 1 {
			q.Set("limit", strconv.Itoa(50+i)) // equal questions would have one answer for a while
			from := time.Now()
			var answer struct {
				Objects []struct{}
				Total   int
				Missing []string
			}
			err := c.page.Get(ctx, "/api/objects?"+q.Encode(), &answer)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			one.times = append(one.times, time.Since(from))
			one.total = max(one.total, answer.Total)
			if err != nil || len(answer.Missing) > 0 || answer.Total == 0 || q.Get("prefix") == "" && answer.Total < p.many {
				one.partial++
			}
		}
		s.finds = append(s.finds, one)
	}
	return nil
}
