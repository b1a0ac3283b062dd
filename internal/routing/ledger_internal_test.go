package routing

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// noted is a call that runs.
func (l *ledger) noted(ctx context.Context, from string, id uint64, again bool) *arrival {
	c := &transport.Call{From: from, Resent: again}
	binary.BigEndian.PutUint64(c.CallID[:], id*0x9e3779b97f4a7c15+1) // in any column
	a := &arrival{router: &Router{}, ctx: ctx, call: c}
	a.router.ledger.last.Store(l.column(c).account)
	a.enroll()
	return a
}

// knows says whether the outcome of a call is remembered.
func (l *ledger) knows(a *arrival) bool {
	c := l.column(a.call)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findLocked(a.call.CallID) != nil
}

// totals is how much is remembered.
func (l *ledger) totals() (running, kept, size, again, slots int) {
	l.all.Range(func(_, found any) bool {
		for i := range found.(*account).columns {
			c := &found.(*account).columns[i]
			for a := c.running; a != nil; a = a.next {
				running++
			}
			sum := 0
			for k := range c.count {
				sum += c.kept[(c.oldest+k)%len(c.kept)].size()
			}
			if sum != c.bytes {
				panic(fmt.Sprintf("%d bytes are counted, there are %d", c.bytes, sum))
			}
			kept, size, again, slots = kept+c.count, size+c.bytes, again+len(c.again), slots+len(c.kept)
		}
		return true
	})
	return running, kept, size, again, slots
}

// What is remembered of a body is a copy, unless it is large: it shares its memory with all that its call needed. Usually
// a small one is in the entry itself. Who is told of it again has a copy too.
func TestLedgerCopiesReplies(t *testing.T) {
	t.Parallel()
	const epoch = 7
	var l ledger
	for _, usual := range []bool{true, false} {
		for i, size := range []int{0, 1, 56, 57, 1000, 1100, copiedBytes, copiedBytes + 1} {
			want := bytes.Repeat([]byte{'x'}, size)
			body := bytes.Clone(want)
			a := l.noted(t.Context(), "a", uint64(i), false)
			if usual {
				a.epoch = epoch
			}
			a.column.finish(a, &transport.Reply{Reply: object.Reply{Message: "m", Body: body}, Epoch: epoch, Revision: 5})
			e := a.column.findLocked(a.call.CallID)
			if size <= copiedBytes {
				clear(body)
			}
			if in := e.whole == nil; in != (size <= len(e.body) && usual) {
				t.Errorf("%d bytes, usual %t: the entry itself has them: %t", size, usual, in)
			}
			a.view = &view{table: members{}}
			retell := a.retell(e)
			if e.whole != nil {
				clear(e.whole.Body)
			}
			clear(e.body[:])
			reply := retell()
			if !bytes.Equal(reply.Body, want) || reply.Message != "m" || reply.Epoch != epoch || reply.Revision != 5 || reply.Err != nil {
				t.Errorf("%d bytes, usual %t, are told again as %+v", size, usual, reply)
			}
		}
	}
}

// The memory of outcomes that are dropped serves those that follow, where it is about as large: no more is held than
// is counted.
func TestLedgerUsesMemoryAgain(t *testing.T) {
	t.Parallel()
	var l ledger
	c := l.column(&transport.Call{From: "a"})
	keep := func(id, size int) *entry {
		e := entry{whole: &transport.Reply{Reply: object.Reply{Body: bytes.Repeat([]byte{byte(id)}, size)}}}
		binary.BigEndian.PutUint64(e.id[:], uint64(id))
		c.keepLocked(&e)
		return c.findLocked(e.id)
	}
	again := map[*byte]int{}
	const rounds = 3000
	for id := 1; id <= rounds; id++ {
		again[&keep(id, 1000).whole.Body[0]]++
	}
	if len(again) > rounds/4 {
		t.Errorf("%d outcomes took memory %d times", rounds, len(again))
	}
	for _, id := range []int{rounds - 1, rounds} {
		var e entry
		binary.BigEndian.PutUint64(e.id[:], uint64(id))
		if body := c.findLocked(e.id).whole.Body; !bytes.Equal(body, bytes.Repeat([]byte{byte(id)}, 1000)) {
			t.Errorf("outcome %d is not what it was", id)
		}
	}
	for range 3 { // so that the next ones drop none
		c.dropLocked()
	}
	if x, y := keep(rounds, 600).whole, keep(rounds, 600).whole; &x.Body[0] == &y.Body[0] {
		t.Error("two outcomes have the same memory")
	}
	if e := keep(rounds+1, 100); cap(e.whole.Body) > 200 {
		t.Errorf("100 bytes hold memory of %d", cap(e.whole.Body))
	}
}

// An entry of a small reply has two cache lines.
func TestSizeOfAnEntry(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(entry{}); size != 128 {
		t.Errorf("it has %d bytes", size)
	}
}

// Only calls are remembered that may be sent again.
func TestRememberedCalls(t *testing.T) {
	t.Parallel()
	named := transport.Call{CallID: transport.CallID{15: 1}}
	for _, tc := range []struct {
		change func(c *transport.Call)
		want   bool
	}{
		{func(*transport.Call) {}, true},
		{func(c *transport.Call) { c.Op = transport.OpCreate }, true},
		{func(c *transport.Call) { c.Op = transport.OpDelete }, true},
		{func(c *transport.Call) { c.Op = transport.OpPush }, false},
		{func(c *transport.Call) { c.Op = opHandover }, false},
		{func(c *transport.Call) { c.OneWay = true }, false},
		{func(c *transport.Call) { c.AtMostOnce = true }, false},
		{func(c *transport.Call) { c.CallID = transport.CallID{} }, false},
	} {
		c := named
		if tc.change(&c); remembered(&c) != tc.want {
			t.Errorf("remembered(%+v) is not %v", c, tc.want)
		}
	}
}

func always(string) bool { return true }
func never(string) bool  { return false }

// What is remembered of a node is bounded, in number and bytes, and is what was last; of many nodes as well.
func TestLedgerIsBounded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		nodes, calls, bytes int
		least               int // how many are remembered of each node
	}{
		{1, 10_000, 10, 3500}, {1, 10_000, 1000, 800}, {1, 100, 20_000, 40}, {1, 100, 100_000, 100}, // the last: all are too large
		{100, 3000, 10, 1000}, {1000, 600, 10, 200},
	} {
		var l ledger
		l.sweep(time.Second, always)
		for n := range tc.nodes {
			l.column(&transport.Call{From: fmt.Sprint(n)})
		}
		for n := range tc.nodes {
			var all []*arrival
			for i := range tc.calls {
				a := l.noted(t.Context(), fmt.Sprint(n), uint64(i), false)
				a.column.finish(a, &transport.Reply{Reply: object.Reply{Body: bytes.Repeat([]byte{1}, tc.bytes)}})
				all = append(all, a)
			}
			known := 0
			for _, a := range all {
				if l.knows(a) {
					known++
				}
			}
			if known < tc.least || !l.knows(all[len(all)-1]) {
				t.Errorf("%+v: %d are known", tc, known)
			}
		}
		running, kept, size, _, slots := l.totals()
		most := max(min(mostEntries, allEntries/tc.nodes), leastEntries)
		if running != 0 || kept > tc.nodes*most || size > tc.nodes*most*entryBytes || slots > 2*tc.nodes*most {
			t.Errorf("%+v: %d run, %d outcomes in %d slots take %d bytes", tc, running, kept, slots, size)
		}
		l.sweep(time.Second+keepEntries+1, always)
		if _, kept, size, _, slots := l.totals(); kept+size+slots != 0 || int(l.nodes.Load()) != tc.nodes {
			t.Errorf("%+v: after a while %d outcomes in %d slots take %d bytes, of %d nodes", tc, kept, slots, size, l.nodes.Load())
		}
		l.sweep(3*keepEntries, never)
		if l.nodes.Load() != 0 || l.last.Load() != nil {
			t.Errorf("%+v: %d nodes are left", tc, l.nodes.Load())
		}
	}
}

// Calls that run stay known whatever comes after them, and those whose goroutines were ended are forgotten with their
// callers.
func TestLedgerOfCallsThatRun(t *testing.T) {
	t.Parallel()
	var l ledger
	l.sweep(time.Second, always)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var run []*arrival
	for i := range 100 {
		run = append(run, l.noted(ctx, "a", uint64(i), false))
	}
	for i := range 10_000 {
		a := l.noted(t.Context(), "a", uint64(1000+i), false)
		a.column.finish(a, &transport.Reply{Err: object.NewError(object.CodeAborted, "").WithExecuted(object.ExecutedNo)}) // no outcome
	}
	if running, kept, _, _, _ := l.totals(); running != 100 || kept != 0 {
		t.Fatalf("%d run, %d outcomes", running, kept)
	}
	for i := 0; i < 100; i += 2 {
		run[i].column.finish(run[i], &transport.Reply{})
	}
	l.sweep(time.Hour, never)
	if running, _, _, _, _ := l.totals(); running != 50 || l.nodes.Load() != 1 {
		t.Errorf("%d run, of %d nodes", running, l.nodes.Load())
	}
	cancel()
	l.sweep(2*time.Hour, never)
	if running, _, _, _, _ := l.totals(); running != 50 {
		t.Errorf("just after their links broke, %d are known", running)
	}
	l.sweep(2*time.Hour+keepEntries+1, never)
	if running, _, _, _, _ := l.totals(); running != 0 {
		t.Errorf("%d are known still", running)
	}
	run[1].column.finish(run[1], &transport.Reply{}) // it comes to its end after all
}

// The names of calls that ran as sent again are bounded.
func TestLedgerOfCallsThatAreSentAgain(t *testing.T) {
	t.Parallel()
	var l ledger
	l.sweep(time.Second, always)
	for i := range 10 * mostEntries {
		a := l.noted(t.Context(), "a", uint64(i), true)
		a.column.finish(a, &transport.Reply{})
	}
	if _, _, _, again, _ := l.totals(); again == 0 || again > mostEntries {
		t.Errorf("%d names", again)
	}
	l.sweep(time.Hour, always)
	if _, _, _, again, _ := l.totals(); again != 0 {
		t.Errorf("%d names are left", again)
	}
}

func BenchmarkLedger(b *testing.B) {
	var l ledger
	l.sweep(time.Second, always)
	r := &Router{}
	r.ledger.last.Store(l.column(&transport.Call{From: "a"}).account)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		a := arrival{router: r, ctx: b.Context(), call: &transport.Call{From: "a"}}
		var reply transport.Reply
		for i := uint64(1); pb.Next(); i++ {
			binary.BigEndian.PutUint64(a.call.CallID[:], i*0x9e3779b97f4a7c15)
			a.enroll()
			a.column.finish(&a, &reply)
		}
	})
}
