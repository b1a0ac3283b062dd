package node

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// Counters are what a node has counted since it was made, and the calls that wait for
// their turn at this moment.
type Counters struct{ Activations, Deactivations, Waiting uint64 }

// Counters returns the node's.
func (n *Node) Counters() Counters {
	alive := uint64(max(n.count.Load(), 0))
	made := max(n.made.Load(), alive) // counted before
	return Counters{Activations: made, Deactivations: made - alive, Waiting: n.queues.waiting()}
}

// population counts the activations of each type.
type population struct{ types sync.Map } // *object.Type → *atomic.Int64

func (p *population) add(typ *object.Type, by int64) {
	of, there := p.types.Load(typ)
	if !there {
		of, _ = p.types.LoadOrStore(typ, new(atomic.Int64))
	}
	of.(*atomic.Int64).Add(by) //nolint:forcetypeassert // nothing else is in it
}

// census returns how many activations there are of each type, by name.
func (n *Node) census() (counts []*inspectmsg.TypeCount) {
	n.population.types.Range(func(typ, of any) bool {
		if objects := of.(*atomic.Int64).Load(); objects > 0 { //nolint:forcetypeassert // as above
			counts = append(counts, &inspectmsg.TypeCount{Type: typ.(*object.Type).Name, Objects: uint64(objects)}) //nolint:forcetypeassert // as above
		}
		return true
	})
	slices.SortFunc(counts, func(a, b *inspectmsg.TypeCount) int { return cmp.Compare(a.GetType(), b.GetType()) })
	return counts
}

// Population returns how many activations there are of each type that has any, by name.
func (n *Node) Population() map[string]int {
	counts := make(map[string]int)
	for _, of := range n.census() {
		counts[of.GetType()] = int(of.GetObjects()) //nolint:gosec // G115: they are in memory
	}
	return counts
}

// queues are the activations that have a queue, empty or not: an idle one loses it.
type queues struct {
	mu  sync.Mutex               // taken after an activation's
	set map[*activation]struct{} // guarded by mu
}

func (q *queues) add(a *activation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.set == nil {
		q.set = make(map[*activation]struct{})
	}
	q.set[a] = struct{}{}
}

func (q *queues) remove(a *activation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.set, a)
}

// waiting counts the calls that wait in all queues.
func (q *queues) waiting() (n uint64) {
	q.mu.Lock()
	all := make([]*activation, 0, len(q.set))
	for a := range q.set {
		all = append(all, a)
	}
	q.mu.Unlock()
	for _, a := range all {
		n += uint64(a.view().waiting)
	}
	return n
}

// view is what an activation does at a moment.
type view struct {
	phase            phase
	running, waiting uint32
}

// view looks at an activation. One that is idle, or runs a turn for which nobody waits, is
// not disturbed.
func (a *activation) view() view {
	switch a.bias.Load() {
	case biasOpen:
		return view{phase: live}
	case biasHeld:
		return view{phase: live, running: 1}
	}
	a.lock()
	defer a.unlock()
	v := view{phase: a.phase, running: uint32(a.readers + a.concurrent)} //nolint:gosec // G115: not negative
	if a.writer {
		v.running++
	}
	if q := a.queue; q != nil {
		v.waiting = uint32(q.calls) //nolint:gosec // G115: not negative
		for range q.batch.waiting {
			v.waiting++
		}
	}
	return v
}

// String is the name of a phase for inspectors.
func (p phase) String() string {
	return [...]string{"activating", "activating", "live", "closing", "closing"}[p]
}

// shardNumber is that of the activation's shard; -1 for a client's object.
func (a *activation) shardNumber() int32 {
	if a.pinned || a.typ != nil && a.typ.Client {
		return -1
	}
	return int32(a.shard.number) //nolint:gosec // G115: at most 2^16 shards
}

// mark is one word about an activation: whether its shard was given up, and since when it
// is in memory. Objects are many: that time is in eighths of a second, which lasts for
// eight years.
type mark struct{ word atomic.Uint32 }

const (
	lostBit   = 1
	bornShift = 1
	bornUnit  = time.Second / 8
)

// Load reports whether the activation is lost.
func (m *mark) Load() bool { return m.word.Load()&lostBit != 0 }

// Lose notes that the activation is lost.
func (m *mark) Lose() { m.word.Or(lostBit) }

// bear notes when the activation came into memory. Nobody else has it yet.
func (m *mark) bear(at time.Duration) {
	m.word.Store(uint32(min(at/bornUnit, 1<<31-1)) << bornShift) //nolint:gosec // G115: bounded
}

// born is when the activation came into memory, since the node was made.
func (m *mark) born() time.Duration { return time.Duration(m.word.Load()>>bornShift) * bornUnit }

// now is the time since the node was made: coarse, but while somebody observes.
func (n *Node) now() time.Duration {
	if n.lens.Load() != nil {
		return n.elapsed()
	}
	return time.Duration(n.coarse.Load())
}

// refresh brings the coarse time up to date.
func (n *Node) refresh() { n.coarse.Store(int64(n.elapsed())) }
