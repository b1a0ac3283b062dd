package cluster

import (
	"context"
	"errors"
	"sync"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// holdings are the shards that a member has to do with. Those that it serves, and about
// which nothing is under way, follow from their records in the table: of them it keeps a
// bit each. They are guarded by Member.mu.
type holdings struct {
	busy    map[uint32]*holding // the others
	settled []bool              // by shard
	count   int                 // of settled
}

func newHoldings(shards int) holdings {
	return holdings{busy: make(map[uint32]*holding), settled: make([]bool, shards)}
}

func (h *holdings) len() int { return len(h.busy) + h.count }

// settle and unsettle move a shard between the two.
func (h *holdings) settle(n uint32) {
	delete(h.busy, n)
	h.settled[n] = true
	h.count++
}

func (h *holdings) unsettle(n uint32, own *holding) {
	h.busy[n] = own
	h.settled[n] = false
	h.count--
}

// held returns the rules of all shards that the member has to do with. Those of settled ones are copies.
func (m *Member) held(yield func(uint32, *shard.Owner) bool) {
	for n, h := range m.holdings.busy {
		if !yield(n, &h.rules) {
			return
		}
	}
	for n, settled := range m.holdings.settled {
		if !settled {
			continue
		}
		if o := m.settledOwner(uint32(n)); !yield(uint32(n), &o) {
			return
		}
	}
}

func (m *Member) settledOwner(n uint32) shard.Owner {
	e := &m.table.entries[n]
	return shard.ServingOwner(m.id, m.self, e.Record, e.Rev, m.flaws)
}

// holding is what the member keeps of a shard that it has to do with and that is not
// settled; nil without one.
func (m *Member) holding(n uint32) *holding {
	if m.holdings.settled[n] {
		m.holdings.unsettle(n, &holding{rules: m.settledOwner(n)})
	}
	return m.holdings.busy[n]
}

// rest keeps no more than it must of a shard on which nobody works.
func (m *Member) rest(n uint32, h *holding) {
	switch {
	case h.rules.Phase == shard.Closed:
		delete(m.holdings.busy, n)
	case len(h.queue) == 0 && h.rules.Settled() && h.rules.Rev == m.table.entries[n].Rev:
		m.holdings.settle(n)
	}
}

// holding is a shard that the member has to do with: its rules, and what they have asked
// for. One goroutine at a time does that, in order.
type holding struct {
	rules   shard.Owner
	queue   []shard.OwnerAction
	busy    bool // a goroutine works
	current uint64
	cancel  context.CancelFunc // of the action under way, or nil
	failed  int                // writes in a row that did not get through
	shut    func()             // the worker's own: ends the shard's stay among those that are shut; or nil
}

// step tells the rules of a shard what happened and has done what they say.
func (m *Member) step(n uint32, e shard.OwnerEvent) {
	h := m.holding(n)
	if h == nil {
		if m.over {
			return
		}
		h = &holding{rules: shard.NewOwner(m.id, m.self, m.flaws)}
		m.holdings.busy[n] = h
	}
	for _, a := range h.rules.Step(e) {
		if a.Kind == shard.CallOff {
			h.callOff(a.Number)
			continue
		}
		h.queue = append(h.queue, a)
	}
	switch {
	case len(h.queue) > 0 && !h.busy:
		h.busy = true
		m.spawnIn(&m.workers, func(ctx context.Context) {
			over := false
			defer func() {
				if !over {
					m.abandon(n, h)
				}
			}()
			m.work(ctx, n, h)
			over = true // h.busy may be another goroutine's by now
		})
	case !h.busy:
		m.rest(n, h)
	}
}

// callOff ends an action that is under way or waits.
func (h *holding) callOff(number uint64) {
	if h.current == number && h.cancel != nil {
		h.cancel()
		return
	}
	for i, a := range h.queue {
		if a.Number == number {
			h.queue = append(h.queue[:i:i], h.queue[i+1:]...)
			return
		}
	}
}

// work does what the rules of a shard ask for until that is done.
func (m *Member) work(parent context.Context, n uint32, h *holding) {
	for {
		ctx, cancel := context.WithCancel(parent)
		a, tries, ok := m.nextAction(n, h, cancel)
		if !ok {
			cancel()
			return
		}
		if a.Kind == shard.Drain {
			h.shut = m.shutOne(ctx)
		}
		e, matters := m.perform(ctx, n, a, tries)
		cancel()
		if h.shut != nil && e.Kind != shard.Drained { // else the transfer follows
			h.shut()
			h.shut = nil
		}
		m.performed(n, h, a, e, matters)
	}
}

// nextAction is the next thing to do for a shard, and how often the last write failed;
// false: there is none, and the goroutine's work is over.
func (m *Member) nextAction(n uint32, h *holding, cancel context.CancelFunc) (shard.OwnerAction, int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(h.queue) == 0 {
		h.busy = false
		if m.holdings.busy[n] == h {
			m.rest(n, h)
		}
		m.announce()
		return shard.OwnerAction{}, 0, false
	}
	a := h.queue[0]
	h.queue = h.queue[1:]
	h.current, h.cancel = a.Number, cancel
	return a, h.failed, true
}

// performed tells the rules how an action ended, if that matters.
func (m *Member) performed(n uint32, h *holding, a shard.OwnerAction, e shard.OwnerEvent, matters bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h.current, h.cancel = 0, nil
	if !matters {
		return
	}
	switch e.Kind {
	case shard.Unknown, shard.Denied, shard.Refused:
		h.failed++
	case shard.Written:
		h.failed = 0
	case shard.RecordSeen, shard.Opened, shard.Drained, shard.DrainFailed, shard.Read, shard.Quit:
	}
	e.Number = a.Number
	m.step(n, e)
}

// abandon forgets a shard whose work has panicked, and has the host do so too.
func (m *Member) abandon(n uint32, h *holding) {
	defer func() { // also where the host panics again
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.holdings.busy, n)
		m.announce()
	}()
	m.mu.Lock()
	epoch := h.rules.Epoch
	m.mu.Unlock()
	m.cfg.Host.ReleaseShard(n, epoch, ReleaseDead)
}

// perform does one thing and says how it ended; false: that does not matter.
func (m *Member) perform(ctx context.Context, n uint32, a shard.OwnerAction, tries int) (shard.OwnerEvent, bool) {
	switch a.Kind {
	case shard.Open:
		return m.open(ctx, n, a)
	case shard.Drain:
		return m.drain(ctx, n, a)
	case shard.Reopen:
		m.cfg.Host.ReopenShard(n, a.Epoch)
	case shard.Release:
		m.cfg.Host.ReleaseShard(n, a.Epoch, a.Why)
	case shard.WriteTransfer, shard.WriteAbort:
		if tries > 0 {
			done, ok := m.turn(ctx, writing, tries-1)
			if !ok {
				return shard.OwnerEvent{}, false
			}
			defer done()
		}
		return m.write(ctx, n, a)
	case shard.ReadRecord:
		return m.reread(ctx, n)
	case shard.CallOff:
	}
	return shard.OwnerEvent{}, false
}

// shutOne waits until the member may shut one more shard, and returns what is to be called when that has an owner who
// takes calls again. Calls wait for a shard from the beginning of its drain until its transfer is written, and
// the store takes transfers one after the other: a shard that is shut before its turn would only wait for the others'. One
// that does not drain at once does not hold them up.
func (m *Member) shutOne(ctx context.Context) (done func()) {
	if !take(ctx, m.shuts) {
		return nil
	}
	giveBack := sync.OnceFunc(func() { <-m.shuts })
	timer := m.cfg.Clock.AfterFunc(shutTime, giveBack)
	return func() {
		timer.Stop()
		giveBack()
	}
}

// take takes a slot and returns what gives it back; false: ctx ended.
func take(ctx context.Context, slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (m *Member) open(ctx context.Context, n uint32, a shard.OwnerAction) (shard.OwnerEvent, bool) {
	for tries := 0; ; tries++ {
		if !take(ctx, m.opens) {
			return shard.OwnerEvent{}, false
		}
		err := m.cfg.Host.OpenShard(ctx, n, a.Epoch, a.Handover)
		<-m.opens
		if err == nil {
			return shard.OwnerEvent{Kind: shard.Opened}, true
		}
		if ctx.Err() != nil {
			return shard.OwnerEvent{}, false
		}
		m.cfg.Logger.WarnContext(ctx, "shard not opened: trying again", "shard", n, "epoch", a.Epoch, "error", err.Error())
		if !m.pause(ctx, m.backOff(tries, openBackoff, maxOpenBackoff)) {
			return shard.OwnerEvent{}, false
		}
	}
}

func (m *Member) drain(ctx context.Context, n uint32, a shard.OwnerAction) (shard.OwnerEvent, bool) {
	if !take(ctx, m.drains) {
		return shard.OwnerEvent{}, false
	}
	defer func() { <-m.drains }()
	target, ok := m.Node(a.Target)
	if !ok {
		return shard.OwnerEvent{Kind: shard.DrainFailed}, true
	}
	target.Epoch, target.Revision = a.Record.Epoch, a.Handover
	limited, cancel := context.WithTimeout(ctx, m.cfg.DrainTimeout)
	defer cancel()
	if err := m.cfg.Host.DrainShard(limited, n, a.Epoch, target, a.Handover); err != nil {
		if ctx.Err() == nil {
			m.cfg.Logger.InfoContext(ctx, "shard not drained: it stays, and its move will be tried again", "shard", n, "target", a.Target, "error", err.Error())
		}
		return shard.OwnerEvent{Kind: shard.DrainFailed}, true
	}
	return shard.OwnerEvent{Kind: shard.Drained}, true
}

// write replaces the own record of a shard, if it is still the one of the revision that
// the rules know, and those whom it names live.
func (m *Member) write(ctx context.Context, n uint32, a shard.OwnerAction) (shard.OwnerEvent, bool) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL/2)
	defer cancel()
	txn := coord.Txn{
		If:   []coord.Compare{coord.CreateRev(m.keys.node(m.id), m.self)},
		Then: []coord.Op{coord.Put(m.keys.shard(n), a.Record.Encode())},
	}
	if !m.flaws.NoCompare {
		txn.If = append(txn.If, coord.ModRev(m.keys.shard(n), a.Rev))
	}
	if a.Kind == shard.WriteTransfer {
		txn.If = append(txn.If, coord.CreateRev(m.keys.node(a.Record.Owner), a.Record.OwnerRev))
	}
	res, err := m.cfg.Store.Txn(ctx, txn)
	m.trouble(writing, err)
	switch {
	case errors.Is(err, coord.ErrRefused):
		return shard.OwnerEvent{Kind: shard.Denied}, true
	case err != nil:
		m.restored(err)
		return shard.OwnerEvent{Kind: shard.Unknown}, true
	case !res.Succeeded:
		return shard.OwnerEvent{Kind: shard.Refused}, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.rev = max(m.table.rev, res.Rev)
	m.putShard(n, a.Record, res.Rev, false)
	m.announce()
	return shard.OwnerEvent{Kind: shard.Written, Record: a.Record, Rev: res.Rev}, true
}

// reread reads a shard's record until that succeeds.
func (m *Member) reread(ctx context.Context, n uint32) (shard.OwnerEvent, bool) {
	done := func() {}
	for tries := 0; ; tries++ {
		limited, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL/2)
		kv, rev, err := m.cfg.Store.Get(limited, m.keys.shard(n))
		cancel()
		m.trouble(reading, err)
		done()
		if err == nil {
			m.note(n, kv, rev)
			e := shard.OwnerEvent{Kind: shard.Read, Rev: rev}
			if record, err := shard.DecodeShard(kv.Value); err == nil && kv.Exists() {
				e.Record = record
			}
			if kv.Exists() {
				e.Rev = kv.ModRev
			}
			return e, true
		}
		if m.restored(err) || errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return shard.OwnerEvent{}, false
		}
		var ok bool
		if done, ok = m.turn(ctx, reading, tries); !ok {
			return shard.OwnerEvent{}, false
		}
	}
}
