package node

import (
	"cmp"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// mostDescribed is how many turns of an object are described.
const mostDescribed = 100

// Describe tells what is known of an object. Of the turns that run it knows, while somebody
// observes, those that began since somebody does; of most of them when they began only to half a second, or a second from a time when nobody looked.
func (n *Node) Describe(id string) *inspectmsg.DescribeResponse {
	typ, err := n.typeOf("describe", id)
	if err != nil {
		return &inspectmsg.DescribeResponse{Shard: -1}
	}
	r := &inspectmsg.DescribeResponse{Shard: -1, Owned: typ.Client, IdleTimeoutNs: -1}
	if !typ.Client {
		number := n.ShardOf(id)
		r.Shard, r.Owned = int32(number), n.owned.has(number) //nolint:gosec // G115: at most 2^16 shards
		if d := n.idleTimeout(typ); d != never {
			r.IdleTimeoutNs = int64(d)
		}
	}
	a := n.objects.find(id)
	if a == nil {
		return r
	}
	v := a.view()
	if v.phase == dead {
		return r
	}
	r.Found, r.Info = true, n.info(a, v, n.elapsed())
	turns := append(n.runningOn(id), n.waitingFor(a)...)
	r.Turns = turns[:min(len(turns), mostDescribed)]
	return r
}

// runningOn returns the turns of an object that are known to run, the first that began first.
func (n *Node) runningOn(id string) (turns []*inspectmsg.Turn) {
	l := n.lens.Load()
	if l == nil {
		return nil
	}
	now := n.elapsed()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.adoptOf(id, now)
	for s := range l.flying.all {
		if s.object == id && s.runs {
			turns = append(turns, s.told(s.began, nil))
		}
	}
	slices.SortFunc(turns, func(a, b *inspectmsg.Turn) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return turns
}

// waitingFor returns the turns that wait for an activation, in order. Of those that its runner
// has claimed the caller is not known.
func (n *Node) waitingFor(a *activation) (turns []*inspectmsg.Turn) {
	if a.bias.Load() != biasClosed {
		return nil
	}
	now := n.elapsed()
	add := func(since time.Duration, method, caller string) bool {
		turns = append(turns, &inspectmsg.Turn{
			Method: method, Caller: caller, ArrivedUs: n.base.Add(since).UnixMicro(), WaitedNs: int64(now - since),
		})
		return len(turns) < mostDescribed
	}
	a.lock()
	defer a.unlock()
	if a.queue == nil {
		return nil
	}
	for c := range a.queue.batch.waiting {
		if !add(c.since, methodKey{a.typ, c.entry}.name(), "") {
			return turns
		}
	}
	for w := a.queue.first(); w != nil; w = w.next {
		if !add(w.since, methodKey{a.typ, w.entry}.name(), w.caller()) {
			break
		}
	}
	return turns
}

// caller is the object that makes the waiter's call, as far as it is known. The lock is held.
func (w *waiter) caller() string {
	switch {
	case w.turn != nil:
		return w.turn.caller()
	case w.up != nil:
		return w.up.id()
	}
	return ""
}
