package routing

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// bagCost is what a bag costs beside its content.
const bagCost = 256

// limbo is where what objects keep through a move waits until the move is done: at most one bag for a shard, that of the
// newest move, for a while.
type limbo struct {
	clock clock.Clock
	limit int
	time  time.Duration

	mu     sync.Mutex // guards the fields below
	bytes  int
	held   bool // the node is suspended: who would come for it cannot
	bags   map[uint32]*bag
	late   map[uint32]origin // by shard: the newest move whose bag has expired
	opened []uint64          // by shard, as far as needed: the epoch under which it was opened here last
}

// bag is what one move has brought.
type bag struct {
	origin origin
	pieces int // how many there are
	got    int // … have come
	size   int
	data   []byte
	since  time.Duration
}

// origin says which move it is.
type origin struct {
	tag   int64  // the revision of the shard's record that began the move
	epoch uint64 // of the shard after the move
	from  string // who hands over
}

func newLimbo(cfg Config) limbo {
	return limbo{
		clock: cfg.Clock, limit: cfg.KeptBytes, time: cfg.KeptTime,
		bags: make(map[uint32]*bag), late: make(map[uint32]origin),
	}
}

// put takes a piece of what a move brings. Pieces come in order; one that has come already is fine.
func (l *limbo) put(shard uint32, o origin, p piece) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bags[shard]
	if o.epoch <= l.openedUnder(shard) {
		return object.NewError(object.CodeFailedPrecondition, "the hand-over belongs to an earlier move")
	}
	if b != nil && o.tag > b.origin.tag {
		l.drop(shard)
		b = nil
	}
	if b == nil {
		if p.index != 0 {
			return object.NewError(object.CodeFailedPrecondition, "the beginning of the hand-over is missing")
		}
		if p.total > l.limit-l.bytes-bagCost {
			return object.NewError(object.CodeResourceExhausted, fmt.Sprintf("no room for %d bytes of a hand-over", p.total))
		}
		b = &bag{origin: o, pieces: p.count, size: p.total, data: make([]byte, 0, len(p.data)), since: l.clock.Monotonic()}
		l.bags[shard] = b
		l.bytes += b.size + bagCost
	}
	switch {
	case b.origin != o || b.pieces != p.count || b.size != p.total || p.index > b.got || len(b.data)+len(p.data) > b.size && p.index == b.got:
		return object.NewError(object.CodeFailedPrecondition, "the piece does not fit the hand-over")
	case p.index < b.got:
		return nil
	}
	b.data = append(b.data, p.data...)
	b.got++
	if b.got == b.pieces && len(b.data) != b.size {
		l.drop(shard)
		return object.NewError(object.CodeInvalidArgument, "the hand-over has another size than it says")
	}
	return nil
}

// errExpired says that nobody came in time for what a move has brought.
var errExpired = errors.New("it was kept for as long as the limit says, and nobody came for it")

// look returns what a move has brought, if it is complete: the one with this tag, to this epoch, and no other. A shard
// whose objects kept nothing was handed over with the same record: what never came is not missed.
func (l *limbo) look(shard uint32, tag int64, epoch uint64) ([]node.Kept, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bags[shard]
	if o, late := l.late[shard]; late && tag != 0 && o.tag == tag && o.epoch == epoch {
		return nil, errExpired
	}
	if tag == 0 || b == nil || b.origin.tag != tag || b.origin.epoch != epoch || b.got != b.pieces {
		return nil, nil
	}
	return unpack(b.data)
}

// close forgets what was brought for a shard that is open now, by whatever move to this epoch or an earlier one. It is
// not taken any more.
func (l *limbo) close(shard uint32, epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if missing := int(shard) + 1 - len(l.opened); missing > 0 {
		l.opened = append(l.opened, make([]uint64, missing)...)
	}
	l.opened[shard] = max(epoch, l.opened[shard])
	if b := l.bags[shard]; b != nil && b.origin.epoch <= epoch {
		l.drop(shard)
	}
	if o, late := l.late[shard]; late && o.epoch <= epoch {
		delete(l.late, shard)
	}
}

// openedUnder is the epoch under which a shard was opened here last, 0 if never.
func (l *limbo) openedUnder(shard uint32) uint64 {
	if int(shard) >= len(l.opened) {
		return 0
	}
	return l.opened[shard]
}

// expire drops what nobody has come for.
func (l *limbo) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held {
		return
	}
	now := l.clock.Monotonic()
	for shard, b := range l.bags {
		if now-b.since >= l.time {
			if b.got == b.pieces {
				l.late[shard] = b.origin
			}
			l.drop(shard)
		}
	}
}

// hold stops the time of all that is here, or lets it begin anew.
func (l *limbo) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = on
	for _, b := range l.bags {
		b.since = l.clock.Monotonic()
	}
}

func (l *limbo) drop(shard uint32) {
	l.bytes -= l.bags[shard].size + bagCost
	delete(l.bags, shard)
}
