//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/check"
	"github.com/xiaonanln/goverse/internal/chaos/record"
	"github.com/xiaonanln/goverse/internal/chaos/rig"
	"github.com/xiaonanln/goverse/internal/chaos/role"
	"github.com/xiaonanln/goverse/internal/chaos/workload"
)

// minRate is how many calls a second must succeed before the faults, else the run shows
// nothing.
const minRate = 50

// run plays a scenario and judges it.
func (r *result) run(ctx context.Context, cfg Config) {
	began := cfg.Clock.Monotonic()
	w, err := newWorld(ctx, cfg, r.scenario, r.seed, r.dir)
	if err != nil {
		r.invalid = fmt.Errorf("set up: %w", err)
	} else {
		r.play(ctx, w)
	}
	if w == nil {
		return
	}
	if err := w.close(); err != nil && r.invalid == nil {
		r.invalid = fmt.Errorf("tear down: %w", err)
	}
	if err := r.judge(w); err != nil && r.invalid == nil {
		r.invalid = err
	}
	r.figure("%v in all", (cfg.Clock.Monotonic() - began).Round(time.Second))
}

func (r *result) figure(format string, args ...any) {
	r.figures = append(r.figures, fmt.Sprintf(format, args...))
}

// play: load, faults, healing, last operations, stop.
func (r *result) play(ctx context.Context, w *world) {
	if err := w.heal(ctx); err != nil {
		r.invalid = fmt.Errorf("before the faults: %w", err)
		return
	}
	if err := w.load(ctx, true, w.nodes...); err != nil {
		r.invalid = err
		return
	}
	from := w.now()
	if err := w.sleep(ctx, baseline); err != nil {
		r.invalid = err
		return
	}
	w.windows = append(w.windows, [2]time.Duration{from, w.now()})
	err := r.scenario.torment(ctx, w)
	if err == nil {
		err = w.heal(ctx)
	}
	switch {
	case err == nil:
	case errors.Is(err, errInvalid):
		r.invalid = err
	default:
		r.found = append(r.found, err.Error())
	}
	if err := w.finish(ctx); err != nil {
		r.found = append(r.found, err.Error())
	}
}

// errInvalid is the error of a fault that did not happen.
var errInvalid = errors.New("the run shows nothing")

// finish stops the load, reads everything once more, and stops the nodes, all of which
// must succeed.
func (w *world) finish(ctx context.Context) error {
	alive := w.alive()
	if len(alive) == 0 {
		return errors.New("no node is left")
	}
	if err := w.load(ctx, false, alive...); err != nil {
		return err
	}
	var objects []string
	for n := range hot {
		objects = append(objects, workload.Hot(n))
	}
	ctx, cancel := context.WithTimeout(ctx, 2*slowStart)
	defer cancel()
	a, err := alive[0].Do(ctx, role.Command{Objects: objects, Method: workload.Read, Timeout: callTimeout})
	if err != nil {
		return fmt.Errorf("last reads: %w", err)
	}
	if len(a.Failed) > 0 {
		return fmt.Errorf("last reads: %d failed, such as that of %s", len(a.Failed), a.Failed[0])
	}
	w.note("stop all")
	return w.each(alive, func(n *rig.Node) error { return n.Stop(ctx) })
}

// judge reads the records and checks everything.
func (r *result) judge(w *world) error {
	var entries []record.Entry
	for _, n := range w.nodes {
		for _, file := range n.Files() {
			e, err := record.Read(file, n.Name)
			if err != nil {
				return err
			}
			entries = append(entries, e...)
		}
	}
	h := check.New(entries)
	var changes []check.Change
	if w.observer != nil {
		changes = w.observer.all()
	}
	found := slices.Concat(
		h.SingleLife(), h.Exclusive(func(m string) bool { return m == workload.Read }), h.Replies(), h.GaveUp(callTimeout),
		h.Linearizable(workload.Apply, 20*time.Second), check.Epochs(changes),
	)
	if r.scenario.planned {
		found = slices.Concat(found, h.Refused(), h.Twice(), h.Lineages(isKept))
	}
	for _, s := range w.silences {
		found = append(found, h.Silent(s.node, s.from, s.until)...)
	}
	found = append(found, w.misplaced(h)...)
	for _, v := range found {
		r.found = append(r.found, v.String())
	}
	r.measure(w, h, changes)
	return r.gate(w, h)
}

func isKept(object string) bool { return strings.HasPrefix(object, workload.Kept+"-") }

// misplaced checks that canaries ran where the store said that their shards were (I9).
func (w *world) misplaced(h *check.History) []check.Violation {
	var found []check.Violation
	for _, x := range w.expect {
		for _, t := range h.Turns {
			if t.Object == x.object && t.Start > x.after && t.End < x.until && t.Node != x.node {
				found = append(found, check.Violation{Invariant: "I9", Object: x.object, Text: fmt.Sprintf("ran on %s, the store says %s", t.Node, x.node)})
			}
		}
	}
	return found
}

// gate says why a run shows nothing, or nil.
func (r *result) gate(w *world, h *check.History) error {
	for _, g := range w.windows {
		if rate := h.Rate(g[0], g[1]); rate < minRate {
			return fmt.Errorf("%w: %.0f calls/s before the faults, less than %d", errInvalid, rate, minRate)
		}
	}
	for _, held := range w.holds {
		if longest := h.Longest(held[0], held[1]); longest < (held[1]-held[0])/4 {
			return fmt.Errorf("%w: no call had to wait longer than %v when a link was cut", errInvalid, ms(longest))
		}
	}
	if len(w.windows) == 0 && r.invalid == nil {
		return fmt.Errorf("%w: there was no load", errInvalid)
	}
	return nil
}

// measure puts the run in figures.
func (r *result) measure(w *world, h *check.History, changes []check.Change) {
	r.figures = append(r.figures, w.figures...)
	failed, all := h.Failed()
	zombies, lost := h.Unanswered()
	r.figure("%d calls, %d failed%s", all, len(failed), kinds(failed))
	r.figure("%d turns unanswered, %d of them beside a newer life", lost, zombies)
	if moves := check.Moves(changes); r.scenario.planned && len(moves) > 0 {
		added := h.Added(moves, w.shards, 5*time.Millisecond)
		r.figure("%d moves met by %d calls, added p50 %v p99 %v max %v", len(moves), len(added),
			ms(check.Quantile(added, 0.5)), ms(check.Quantile(added, 0.99)), ms(check.Quantile(added, 1)))
	}
	for _, c := range w.crashes {
		times, missing := h.Failover(c.shards, w.shards, c.at)
		r.figure("failover of %s's %d shards: p50 %v max %v", c.node, len(c.shards), ms(check.Quantile(times, 0.5)), ms(check.Quantile(times, 1)))
		if len(missing) > 0 {
			r.found = append(r.found, fmt.Sprintf("P6 %s: %d of its %d shards never answered again, such as %d", c.node, len(missing), len(c.shards), missing[0]))
		}
		if late := check.Quantile(times, 1); c.limit > 0 && late > c.limit {
			r.found = append(r.found, fmt.Sprintf("P6 %s: a shard answered again after %v, promised are %v", c.node, ms(late), c.limit))
		}
	}
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// kinds are the failures by their kind.
func kinds(failed []record.Entry) string {
	count := map[string]int{}
	var names []string
	for _, c := range failed {
		name := c.Code + "/" + c.Executed
		if count[name] == 0 {
			names = append(names, name)
		}
		count[name]++
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", count[name], name)
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}
