package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/bench/measure"
)

// busiest is the query of a tab that watches all that costs most.
const busiest = "topics=graph,overview,types&objects=1"

// The states of a cluster whose cost is compared.
const (
	unwatched = "no inspector"
	attached  = "inspector, no tab"
	tabbed    = "inspector, a tab"
)

func costStates() []string { return []string{unwatched, attached, tabbed} }
func costKinds() []string  { return []string{localCalls, remoteCalls} }

// cost is one run in one state.
type cost struct {
	state, kind string
	rate        float64 // calls a second
	cpu         float64 // of all processes, seconds for 100 000 calls
	inspector   float64 // cores that the inspector took
}

// pair measures all that two nodes are enough for.
func (p inspectPlan) pair(ctx context.Context, c *watched, s *sight, stderr io.Writer) error {
	fmt.Fprintln(stderr, "two nodes settle")
	if err := c.driver().Ask(opFind, findArgs{Objects: p.objects, Callers: p.callers}, nil); err != nil {
		return err
	}
	for i := range p.repetitions {
		fmt.Fprintf(stderr, "cost: round %d of %d\n", i+1, p.repetitions)
		states := costStates()
		for j := range states { // each state comes first, second and last in turn
			if err := p.costs(ctx, c, s, states[(i+j)%len(states)]); err != nil {
				return err
			}
		}
	}
	if err := c.attach(ctx); err != nil {
		return err
	}
	if err := p.eventTimes(ctx, c, s, stderr); err != nil {
		return err
	}
	if p.talkers == 0 {
		return nil
	}
	return p.graph(ctx, c, s, stderr)
}

// costs measures both kinds of calls in one state.
func (p inspectPlan) costs(ctx context.Context, c *watched, s *sight, state string) (err error) {
	if state != unwatched {
		if err := c.attach(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.detach()) }()
	}
	if state == tabbed {
		t, err := openTab(ctx, c, busiest)
		if err != nil {
			return err
		}
		defer func() { _, _ = t.close() }() // what it read is of no interest
	}
	for _, kind := range costKinds() {
		if _, err := c.run(kind, p.duration/3); err != nil {
			return err
		}
		one, err := c.cost(state, kind, p.duration)
		if err != nil {
			return err
		}
		s.costs = append(s.costs, one)
	}
	return nil
}

// cost measures one run.
func (c *watched) cost(state, kind string, d time.Duration) (cost, error) {
	before, nodesBefore, err := c.consumed()
	if err != nil {
		return cost{}, err
	}
	drive, err := c.run(kind, d)
	if err != nil {
		return cost{}, err
	}
	after, nodesAfter, err := c.consumed()
	if err != nil {
		return cost{}, err
	}
	calls, nodes, inspector := float64(drive.Calls), nodesAfter-nodesBefore, after-before
	return cost{
		state: state, kind: kind, rate: calls / drive.Wall.Seconds(),
		cpu:       (nodes + inspector).Seconds() / calls * 100_000,
		inspector: inspector.Seconds() / drive.Wall.Seconds(),
	}, nil
}

// consumed is the CPU time that the inspector and the nodes have used. While there is no inspector its process sleeps.
func (c *watched) consumed() (inspector, nodes time.Duration, err error) {
	var own measure.Usage
	if c.inspector != nil {
		if err := c.inspector.Ask(opUsage, struct{}{}, &own); err != nil {
			return 0, 0, err
		}
	}
	all, err := c.usage()
	return own.CPU, all.CPU, err
}

// tab reads a stream as a page does, until it is closed.
type tab struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	bytes  int64 // read by others once done
}

// openTab opens a stream and waits for its first message about calls.
func openTab(ctx context.Context, c *watched, query string) (*tab, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.page.Stream(ctx, query)
	if err != nil {
		cancel()
		return nil, err
	}
	for topic := ""; topic != "graph"; {
		if topic, _, err = stream.Next(); err != nil {
			cancel()
			return nil, errors.Join(err, stream.Close())
		}
	}
	t := &tab{cancel: cancel}
	from := stream.Bytes()
	t.done.Go(func() {
		for err == nil { // it ends with the context
			_, _, err = stream.Next()
		}
		t.bytes = stream.Bytes() - from
		_ = stream.Close()
	})
	return t, nil
}

// close ends the tab and returns how many bytes it read since it was opened.
func (t *tab) close() (int64, error) {
	t.cancel()
	t.done.Wait()
	if t.bytes == 0 {
		return 0, errors.New("the stream said nothing")
	}
	return t.bytes, nil
}
