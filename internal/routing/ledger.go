package routing

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// What is remembered of the calls of other nodes.
const (
	// keepEntries is how long: a caller hears of a link that has died within seconds, and sends again soon after.
	keepEntries = 30 * time.Second
	// sweepEntries is how often what is older is dropped.
	sweepEntries = time.Second
	// columns share the work of a node that calls a lot.
	columns = 8
	// mostEntries is how many of one node's calls, and allEntries of all nodes': where these are many, each has less, but
	// leastEntries.
	mostEntries  = 4096
	leastEntries = 256
	allEntries   = 32 * mostEntries
	// entryBytes is what an entry may take on average: replies that are larger push out more than one.
	entryBytes = 256
	// copiedBytes is how large a body may be that is copied, so that the memory that it came in serves the next call.
	copiedBytes = 4 << 10
)

// ledger remembers the calls that other nodes may send again: those that run, and for a while what they came to. A
// caller whose link breaks does not know whether its call has run; if it sends it again to the same node, that answers
// with the outcome of the first sending and does not run it a second time. What has to be remembered for that is
// bounded, so it is no promise: for that there are idempotency keys.
//
// What a sending costs that is the first, as nearly all are, is that it is noted while it runs, and its outcome after.
type ledger struct {
	now   atomic.Int64 // the time of the last sweep
	swept time.Duration
	nodes atomic.Int64 // how many accounts there are
	last  atomic.Pointer[account]
	all   sync.Map // of *account by incarnation
}

// account is one other node's calls.
type account struct {
	ledger  *ledger
	node    string
	columns [columns]column
}

// column is some of them.
type column struct {
	account *account

	mu      sync.Mutex // guards the fields below, and of arrivals what says so
	running *arrival   // the first of a list
	kept    []entry    // a ring of outcomes
	spare   []byte     // memory for a body that is not small
	sizes   []int32    // theirs: the oldest is dropped without a look at it, which is far from the processor by then
	oldest  int        // … where it begins
	count   int        // … how many there are
	bytes   int        // … what they take
	// again is the calls that ran as sent again although no first sending was known: it may still come, over the link that
	// has broken.
	again map[transport.CallID]time.Duration
}

// entry is the outcome of a call, for a small reply in two cache lines: every call writes one, where another node's or
// its own of long ago was.
type entry struct {
	id       transport.CallID
	at       time.Duration
	epoch    uint64           // not 0: it is to be told only while the node owns the shard under that
	revision int64            // of a small reply
	message  string           // likewise
	whole    *transport.Reply // one that is not small; nil: it is, or was too large to keep
	withheld bool             // it is to be told only while the shard's gate is open, too
	large    bool             // the reply was too large to keep
	short    uint8            // how long the body of a small reply is
	body     [56]byte         // … itself: there it shares its memory with the call that it came from
}

// size is what an entry takes, with some for its error.
func (e *entry) size() int {
	n := entryBytes*3/4 + len(e.message)
	if e.whole != nil {
		n += e.whole.Size()
	}
	return n
}

// note has the entry hold a reply. A body that is not small is not copied.
func (e *entry) note(r *transport.Reply) {
	if len(r.Body) <= len(e.body) && r.Err == nil && r.Owner == nil && r.Epoch == e.epoch {
		e.message, e.revision = r.Message, r.Revision
		e.short = uint8(copy(e.body[:], r.Body)) //nolint:gosec // G115: at most 56
		return
	}
	whole := *r
	e.whole = &whole
}

// reply is what the entry holds, for good.
func (e *entry) reply() *transport.Reply {
	if e.whole != nil {
		r := *e.whole
		r.Body = bytes.Clone(r.Body)
		return &r
	}
	return &transport.Reply{
		Reply: object.Reply{Message: e.message, Body: bytes.Clone(e.body[:e.short])}, Epoch: e.epoch, Revision: e.revision,
	}
}

// remembered says whether a call may be sent again after it may have run.
func remembered(c *transport.Call) bool {
	return c.CallID != (transport.CallID{}) && c.Op <= transport.OpDelete && !c.OneWay && !c.AtMostOnce
}

// column is where a call is noted.
func (l *ledger) column(c *transport.Call) *column {
	a := l.last.Load()
	if a == nil || a.node != c.From {
		found, ok := l.all.Load(c.From)
		if !ok {
			made := &account{ledger: l, node: c.From}
			for i := range made.columns {
				made.columns[i].account = made
			}
			if found, ok = l.all.LoadOrStore(c.From, made); !ok {
				l.nodes.Add(1)
			}
		}
		a, _ = found.(*account)
		l.last.Store(a)
	}
	return &a.columns[c.CallID[0]%columns]
}

// most is how many outcomes a column keeps.
func (l *ledger) most() int {
	return max(min(mostEntries, allEntries/int(max(l.nodes.Load(), 1))), leastEntries) / columns
}

func (l *ledger) time() time.Duration { return time.Duration(l.now.Load()) }

// sweep drops what is old, and all of nodes that are gone.
func (l *ledger) sweep(now time.Duration, lives func(node string) bool) {
	if l.swept != 0 && now-l.swept < sweepEntries {
		return
	}
	l.swept = now
	l.now.Store(int64(now))
	l.all.Range(func(node, found any) bool {
		a, _ := found.(*account)
		used := false
		for i := range a.columns {
			used = a.columns[i].sweep(now) || used
		}
		if !used && !lives(a.node) {
			l.all.Delete(node)
			l.nodes.Add(-1)
			l.last.CompareAndSwap(a, nil)
		}
		return true
	})
}

// sweep drops what is old; false: nothing is left. A call that does not come to its end, as its goroutine was ended, is
// forgotten with its caller.
func (c *column) sweep(now time.Duration) (used bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.count > 0 && now-c.kept[c.oldest].at > keepEntries {
		c.dropLocked()
	}
	if c.count == 0 {
		c.kept, c.sizes, c.spare, c.oldest = nil, nil, nil, 0
	}
	for id, at := range c.again {
		if now-at > keepEntries {
			delete(c.again, id)
		}
	}
	for a := c.running; a != nil; {
		following := a.next
		switch {
		case a.ctx.Err() == nil:
		case a.left == 0:
			a.left = now
		case now-a.left > keepEntries:
			c.unlinkLocked(a)
			a.isOverLocked()
		}
		a = following
	}
	return c.running != nil || c.count > 0 || len(c.again) > 0
}

// enroll notes a call. What it returns, if it does, answers one that is not to be run: it has run, or runs, or has been
// sent again before it came.
func (a *arrival) enroll() (run func() *transport.Reply) {
	c := a.router.ledger.column(a.call)
	c.mu.Lock()
	defer c.mu.Unlock()
	id := a.call.CallID
	_, late := c.again[id]
	switch {
	case a.call.Resent:
		if first := c.runsLocked(id); first != nil {
			if first.over == nil {
				first.over = make(chan struct{})
			}
			over := first.over
			return func() *transport.Reply { return a.follow(over) }
		}
		if e := c.findLocked(id); e != nil && a.mayTell(e) {
			return a.retell(e)
		}
		c.noteAgainLocked(id)
	case late:
		return a.refuse(object.CodeAborted, "", "the call has been sent again meanwhile")
	}
	a.column = c
	if a.next = c.running; a.next != nil {
		a.next.prev = a
	}
	c.running = a
	return nil
}

// follow answers a call whose first sending runs.
func (a *arrival) follow(over <-chan struct{}) *transport.Reply {
	select {
	case <-over:
	case <-a.ctx.Done():
		return a.reply(object.Reply{}, object.Refuse(endOf(a.ctx), "", a.call.Op.String(), a.call.ID, a.call.Method,
			"it ended while the call, which was sent before, ran").WithExecuted(object.ExecutedUnknown))
	}
	if run := a.enroll(); run != nil {
		return run()
	}
	return a.accept(false)()
}

// mayTell says whether an outcome still is one: the object's memory is that of the turn, and, for one that was withheld,
// may be answered for again. A client object's is as long as it is there.
func (a *arrival) mayTell(e *entry) bool {
	if e.epoch == 0 {
		return true
	}
	epoch, open, _ := a.router.cfg.Node.Gate(a.call.Shard)
	return epoch == e.epoch && (open || !e.withheld)
}

// retell answers a call with the outcome of its first sending. The column's lock is held; what it returns needs none.
func (a *arrival) retell(e *entry) func() *transport.Reply {
	large, reply := e.large, e.reply()
	return func() *transport.Reply {
		switch {
		case !a.view.table.Valid():
			err := fenced(a.call.Op.String(), a.call.ID, a.call.Method)
			return a.reply(object.Reply{}, err.WithExecuted(object.ExecutedUnknown))
		case large:
			return a.reply(object.Reply{}, object.Refuse(object.CodeUnavailable, "", a.call.Op.String(), a.call.ID, a.call.Method,
				"the call ran, and its reply, which is too large to be kept, was lost with the link").WithExecuted(object.ExecutedYes))
		}
		return reply
	}
}

// finish notes the outcome of a call that was noted, if it is one: what has not run, or not to its end, may run again.
func (c *column) finish(a *arrival, reply *transport.Reply) {
	e := entry{id: a.call.CallID, at: c.account.ledger.time()}
	if a.call.Shard != noShard {
		e.epoch = a.epoch
		if a.withheld != nil {
			reply, e.withheld = a.withheld, true
		}
	}
	ran := reply.Err == nil || object.Executed(reply.Err) == object.ExecutedYes
	if ran {
		e.note(reply)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unlinkLocked(a)
	if ran {
		c.keepLocked(&e)
	}
	a.isOverLocked()
}

// isOverLocked lets those go on who wait for the end of a call. It may be called again.
func (a *arrival) isOverLocked() {
	if a.over != nil {
		close(a.over)
		a.over = nil
	}
}

// exited forgets a call that was noted and has ended its goroutine.
func (a *arrival) exited(reply **transport.Reply) {
	if c := a.column; c != nil && *reply == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unlinkLocked(a)
		a.isOverLocked()
	}
}

// keepLocked keeps an outcome instead of the oldest ones.
func (c *column) keepLocked(e *entry) {
	most, size := c.account.ledger.most(), e.size()
	if size > most*entryBytes/4 {
		e.large, e.whole = true, nil
		size = e.size()
	}
	if e.whole != nil && len(e.whole.Body) <= copiedBytes {
		e.whole.Body = c.copyLocked(e.whole.Body)
	}
	for c.count > 0 && (c.count >= most || c.bytes+size > most*entryBytes) {
		c.dropLocked()
	}
	if c.count == len(c.kept) {
		c.kept, c.sizes, c.oldest = grown(c.kept, c.oldest), grown(c.sizes, c.oldest), 0
	}
	i := (c.oldest + c.count) % len(c.kept)
	c.kept[i], c.sizes[i] = *e, int32(size) //nolint:gosec // G115: at most that of all
	c.count++
	c.bytes += size
}

// copyLocked is a copy of a body, in memory of about that size where there is some.
func (c *column) copyLocked(body []byte) []byte {
	if n := len(body); n == 0 || cap(c.spare) < n || cap(c.spare) > 2*n {
		return bytes.Clone(body)
	}
	spare := c.spare[:0]
	c.spare = nil
	return append(spare, body...)
}

// grown is a larger ring with what a full one has, the oldest first.
func grown[T any](ring []T, oldest int) []T {
	larger := make([]T, max(8, 2*len(ring)))
	n := copy(larger, ring[oldest:])
	copy(larger[n:], ring[:oldest])
	return larger
}

// dropLocked forgets the oldest outcome.
func (c *column) dropLocked() {
	e := &c.kept[c.oldest]
	if c.sizes[c.oldest] > entryBytes && e.whole != nil && cap(e.whole.Body) <= copiedBytes {
		c.spare = e.whole.Body
	}
	c.bytes -= int(c.sizes[c.oldest])
	c.kept[c.oldest] = entry{}
	c.oldest = (c.oldest + 1) % len(c.kept)
	c.count--
}

// findLocked looks for an outcome, the newest first.
func (c *column) findLocked(id transport.CallID) *entry {
	for i := c.count - 1; i >= 0; i-- {
		if e := &c.kept[(c.oldest+i)%len(c.kept)]; e.id == id {
			return e
		}
	}
	return nil
}

func (c *column) runsLocked(id transport.CallID) *arrival {
	for a := c.running; a != nil; a = a.next {
		if a.call.CallID == id {
			return a
		}
	}
	return nil
}

// noteAgainLocked notes a call that runs although it may have run; as many as outcomes at most.
func (c *column) noteAgainLocked(id transport.CallID) {
	if c.again == nil {
		c.again = make(map[transport.CallID]time.Duration)
	}
	for other := range c.again {
		if len(c.again) < c.account.ledger.most() {
			break
		}
		delete(c.again, other)
	}
	c.again[id] = c.account.ledger.time()
}

// unlinkLocked takes a call out of those that run, if it is there.
func (c *column) unlinkLocked(a *arrival) {
	switch {
	case a.prev != nil:
		a.prev.next = a.next
	case c.running == a:
		c.running = a.next
	default:
		return
	}
	if a.next != nil {
		a.next.prev = a.prev
	}
	a.prev, a.next = nil, nil
}
