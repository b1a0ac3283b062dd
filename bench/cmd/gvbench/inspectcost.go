package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/bench/measure"
)

// What an inspector costs is little beside how fast the machine is from second to second, and beside how two processes of
// the same program differ for as long as they live. So there are two clusters, alike, and an inspector that looks at one of
// them, then at the other, and so on (a crossover trial). While it looks at one, short bursts of calls in both take turns: of two that
// follow each other the machine is the same, but for what it does to one of them alone: see farthest. What a burst in the one takes
// longer than in the other is compared between the two ways round: what the clusters themselves differ by drops out.
//
// It is compared in calls per second, and in calls per second of processor time of the cluster's nodes. Bursts of equal programs
// differ by some 15 % in the one, for how many cores they are given, and by 5 % in the other, which therefore is the
// one that the figures are of. What the inspector takes by itself is added to both, as others cannot have it. What nodes do for it whether
// there are calls or not is in the second; from the first it drops out, as it takes from both alike, and is added.

// busiest is the query of a tab that watches all that costs most.
const busiest = "topics=graph,overview,types&objects=1"

// The states of a cluster whose cost is compared with that of one without an inspector.
const (
	attached = "inspector, no tab"
	tabbed   = "inspector, a tab"
	control  = "no inspector" // none looks at either: what the method itself finds where there is nothing
)

// alone is how many times as many bursts there are where nobody looks: less is allowed, so that it has to be known better.
const alone = 3

// costStates are those that are compared.
func (p inspectPlan) costStates() []string {
	if p.control {
		return []string{attached, tabbed, control}
	}
	return []string{attached, tabbed}
}

func costKinds() []string { return []string{localCalls, remoteCalls} }

// trial is one crossover: the inspector looked at the first cluster, and then at the second.
type trial struct {
	state, kind string
	rate        float64 // calls a second in the cluster that nobody looked at
	busy        float64 // cores that its nodes took for them
	slower      float64 // by how much there were fewer calls a second, in percent, but for what follows
	dearer      float64 // the same of calls per second of processor time
	unbounded   float64 // dearer, without the bound of what a pair says
	inspector   float64 // cores that the inspector takes
	telling     float64 // cores that the nodes take more while there are no calls
}

// period is the time for which an inspector looks at one of the clusters.
type period struct {
	calls     map[string]*[2]float64 // by kind: in each cluster, and the seconds that they took
	times     map[string]*[2]float64
	work      map[string]*[2]float64 // the processor time of the cluster's nodes meanwhile
	pairs     map[string]*pairs
	inspector float64
	idle      [2]float64 // cores that the nodes of each cluster take while the other makes calls
}

// rate is how many calls of a kind a second there were in a cluster.
func (p *period) rate(kind string, which int) float64 {
	return p.calls[kind][which] / p.times[kind][which]
}

// pairs are two bursts each, that followed each other: the natural logarithms of how much more there was in the first cluster than in the second,
// of calls a second, and of calls a second of processor time.
type pairs struct{ rates, yields []float64 }

func (p *pairs) add(bursts [2]burst) {
	a, b := bursts[0], bursts[1]
	p.rates = append(p.rates, math.Log(a.calls/a.wall*b.wall/b.calls))
	p.yields = append(p.yields, math.Log(a.calls/a.work*b.work/b.calls))
}

// farthest is how far from the median of its period a pair counts. What an inspector does now and then meets some of the bursts only,
// so that all have to count; it takes a fiftieth of such a burst, by its processor time. Pairs that differ by much more have met something else that the
// machine did, and say little more than in which of the two bursts. What the figure would be without this bound is printed beside it.
const farthest = 0.1

// meanWithin is the mean of values that count as if they were no farther from their median than far.
func meanWithin(values []float64, far float64) float64 {
	mid, sum := middle(values), 0.0
	for _, v := range values {
		sum += min(max(v, mid-far), mid+far)
	}
	return sum / float64(len(values))
}

// telling is by how much more that is in the cluster that the inspector looks at.
func (p *period) telling(seen int) float64 { return p.idle[seen] - p.idle[1-seen] }

// pair measures all that two nodes are enough for; twin is another cluster of two, which is there for the cost alone.
func (p inspectPlan) pair(ctx context.Context, c, twin *watched, s *sight, stderr io.Writer) error {
	fmt.Fprintln(stderr, "two clusters of two nodes settle")
	for _, each := range []*watched{c, twin} {
		if err := each.driver().Ask(opFind, findArgs{Objects: p.objects, Callers: p.callers}, nil); err != nil {
			return err
		}
		if err := each.attach(ctx); err != nil {
			return err
		}
		if err := each.detach(); err != nil { // what watches it later has not been looked at
			return err
		}
	}
	for i := range p.repetitions {
		fmt.Fprintf(stderr, "cost: crossover %d of %d\n", i+1, p.repetitions)
		states := p.costStates()
		for j := range states { // each comes first in turn, and each cluster
			if err := p.cross(ctx, [2]*watched{c, twin}, s, states[(i+j)%len(states)], i/len(states)%2); err != nil {
				return err
			}
			for _, t := range s.trials[len(s.trials)-len(costKinds()):] {
				fmt.Fprintf(stderr, "  %s, %s: %.0f calls/s, %.2f%%\n", t.kind, t.state, t.rate, t.lost())
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

// cross lets the inspector look at one cluster, and then at the other.
func (p inspectPlan) cross(ctx context.Context, both [2]*watched, s *sight, state string, first int) error {
	var periods [2]period
	for i := range both {
		var err error
		seen := (first + i) % len(both)
		if periods[seen], err = p.period(ctx, both, seen, state); err != nil {
			return err
		}
	}
	for _, kind := range costKinds() {
		s.trials = append(s.trials, trialOf(state, kind, periods))
	}
	return nil
}

// trialOf compares two periods: by as much as the first cluster had less of the second's in the first than in the second, the inspector
// has taken from the one that it looked at.
func trialOf(state, kind string, periods [2]period) trial {
	lost := func(of func(p *pairs) []float64, far float64) float64 {
		return 100 * (1 - math.Exp((meanWithin(of(periods[0].pairs[kind]), far)-meanWithin(of(periods[1].pairs[kind]), far))/2))
	}
	rates, yields := func(p *pairs) []float64 { return p.rates }, func(p *pairs) []float64 { return p.yields }
	busy := func(p *period, which int) float64 { return p.work[kind][which] / p.times[kind][which] }
	return trial{
		state: state, kind: kind, rate: (periods[0].rate(kind, 1) + periods[1].rate(kind, 0)) / 2,
		busy:      (busy(&periods[0], 1) + busy(&periods[1], 0)) / 2,
		slower:    lost(rates, farthest),
		dearer:    lost(yields, farthest),
		unbounded: lost(yields, math.Inf(1)),
		inspector: (periods[0].inspector + periods[1].inspector) / 2,
		telling:   (periods[0].telling(0) + periods[1].telling(1)) / 2,
	}
}

// period makes bursts of calls while an inspector looks at one of the clusters.
func (p inspectPlan) period(ctx context.Context, both [2]*watched, seen int, state string) (of period, err error) {
	of.calls, of.times, of.work = make(map[string]*[2]float64), make(map[string]*[2]float64), make(map[string]*[2]float64)
	of.pairs = make(map[string]*pairs)
	for _, kind := range costKinds() {
		of.calls[kind], of.times[kind], of.work[kind] = new([2]float64), new([2]float64), new([2]float64)
		of.pairs[kind] = new(pairs)
	}
	c := both[seen]
	if state != control {
		if err := c.attach(ctx); err != nil {
			return of, err
		}
		defer func() { // it has watched all the time
			err = errors.Join(err, c.page.Sees(ctx, len(c.nodes)), c.detach())
		}()
	}
	if state == tabbed {
		t, err := openTab(ctx, c, busiest)
		if err != nil {
			return of, err
		}
		defer func() { _, _ = t.close() }() // what it read is of no interest
	}
	if err := rest(ctx, p.settle); err != nil { // when it has just come, it costs more
		return of, err
	}
	before, err := c.consumed()
	from := time.Now()
	bursts := p.bursts
	if state != tabbed {
		bursts *= alone
	}
	for i := 0; i < bursts && err == nil; i++ {
		for _, kind := range costKinds() {
			var pair [2]burst
			for j := range both { // each comes first in turn
				which := (i + j) % len(both)
				b, err := both[which].burst(kind, p.duration, both[1-which])
				if err != nil {
					return of, err
				}
				pair[which] = b
				of.calls[kind][which] += b.calls
				of.times[kind][which] += b.wall
				of.work[kind][which] += b.work
				of.idle[1-which] += b.idle / float64(bursts*len(costKinds()))
			}
			of.pairs[kind].add(pair)
		}
	}
	after, err2 := c.consumed()
	of.inspector = (after - before).Seconds() / time.Since(from).Seconds()
	return of, errors.Join(err, err2)
}

// burst is some calls of a kind: how many, in how many seconds, by how much processor time of the nodes, and how many cores
// another cluster took meanwhile.
type burst struct{ calls, wall, work, idle float64 }

func (c *watched) burst(kind string, d time.Duration, other *watched) (burst, error) {
	from := time.Now()
	idle, err := other.usage()
	if err != nil {
		return burst{}, err
	}
	own, err := c.usage()
	if err != nil {
		return burst{}, err
	}
	drive, err := c.run(kind, d)
	if err == nil && drive.Calls == 0 {
		err = fmt.Errorf("no %s call ended in %v", kind, d)
	}
	if err != nil {
		return burst{}, err
	}
	owns, err := c.usage()
	if err != nil {
		return burst{}, err
	}
	idles, err := other.usage()
	return burst{
		calls: float64(drive.Calls), wall: drive.Wall.Seconds(), work: (owns.CPU - own.CPU).Seconds(),
		idle: (idles.CPU - idle.CPU).Seconds() / time.Since(from).Seconds(),
	}, err
}

// consumed is the CPU time that the inspector has used.
func (c *watched) consumed() (time.Duration, error) {
	var own measure.Usage
	if c.inspector == nil {
		return 0, nil
	}
	err := c.inspector.Ask(opUsage, struct{}{}, &own)
	return own.CPU, err
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
