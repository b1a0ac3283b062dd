package node_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
	"github.com/xiaonanln/goverse/util/clock"
)

// populate puts objects into memory, one after the other in time, with different numbers of
// calls, and returns what the searches should know of them.
func populate(w *world) (model []*inspectmsg.ObjectInfo) {
	hostile := []string{"<script>", "\"'&", "\u202eabc", "😀", strings.Repeat("x", 240), "-", "a b", "%2F", "é"}
	for i := range 60 {
		typ := []string{"Plain", "Hook", "Endless"}[i%3]
		name := fmt.Sprintf("n%d", i)
		if i < len(hostile) {
			name = hostile[i]
		}
		calls := 1 + rand.IntN(5)
		for range calls {
			w.must(typ+"-"+name, "Write", "echo x")
		}
		model = append(model, &inspectmsg.ObjectInfo{Id: typ + "-" + name, Type: typ, Calls: uint64(calls), AgeNs: int64(60 - i)})
		sleep(time.Second)
		w.Observe().Close() // brings the coarse time up to date
	}
	return model
}

func TestSearchSortsAndPages(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		o := w.Observe()
		defer o.Close()
		model := populate(w)
		orders := map[inspectmsg.SearchRequest_Sort]func(a, b *inspectmsg.ObjectInfo) int{
			inspectmsg.SearchRequest_SORT_UNSPECIFIED: func(_, _ *inspectmsg.ObjectInfo) int { return 0 },
			inspectmsg.SearchRequest_SORT_CALLS:       func(a, b *inspectmsg.ObjectInfo) int { return cmp.Compare(b.GetCalls(), a.GetCalls()) },
			inspectmsg.SearchRequest_SORT_AGE:         func(a, b *inspectmsg.ObjectInfo) int { return cmp.Compare(a.GetAgeNs(), b.GetAgeNs()) },
			inspectmsg.SearchRequest_SORT_IDLE:        func(a, b *inspectmsg.ObjectInfo) int { return cmp.Compare(b.GetAgeNs(), a.GetAgeNs()) },
		}
		for sort, order := range orders {
			for _, req := range []*inspectmsg.SearchRequest{{}, {Type: "Hook"}, {Prefix: "n1"}, {Limit: 7, Offset: 3}, {Limit: 5, Offset: 58}, {Offset: 1 << 31}, {Type: "None"}} {
				req.Sort = sort
				var all []string
				want := slices.Clone(model)
				slices.SortFunc(want, func(a, b *inspectmsg.ObjectInfo) int { return cmp.Or(order(a, b), cmp.Compare(a.GetId(), b.GetId())) })
				for _, m := range want {
					if (req.GetType() == "" || req.GetType() == m.GetType()) && strings.HasPrefix(strings.TrimPrefix(m.GetId(), m.GetType()+"-"), req.GetPrefix()) {
						all = append(all, m.GetId())
					}
				}
				from := min(int(req.GetOffset()), len(all))
				page := all[from:min(len(all), from+cmp.Or(int(req.GetLimit()), 50))]
				var got []string
				r := w.Search(w.t.Context(), req)
				for _, m := range r.GetObjects() {
					got = append(got, m.GetId())
				}
				if !slices.Equal(got, page) || r.GetTotal() != uint64(len(all)) {
					w.t.Errorf("%v: %d of %d: %q, want %q", req, len(got), r.GetTotal(), got, page)
				}
			}
		}
	})
}

func TestSearchFindsTheBusy(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.must("Plain-idle", "Write", "echo x")
		if err := w.AttachClient(w.t.Context(), "Guest-1"); err != nil {
			w.t.Fatal(err)
		}
		held := w.begin("Plain-a", "Write", "hold g")
		var behind []*pending
		for range 3 {
			behind = append(behind, w.begin("Plain-a", "Write", "echo x"))
		}
		other := w.begin("Plain-b", "Read", "hold g")
		find := func(req *inspectmsg.SearchRequest) (ids []string) {
			for _, m := range w.Search(w.t.Context(), req).GetObjects() {
				ids = append(ids, fmt.Sprintf("%s %s %d/%d", m.GetId(), m.GetPhase(), m.GetRunning(), m.GetWaiting()))
			}
			return ids
		}
		want := func(req *inspectmsg.SearchRequest, want ...string) {
			w.t.Helper()
			if got := find(req); !slices.Equal(got, want) {
				w.t.Errorf("%v finds %q, want %q", req, got, want)
			}
		}
		want(&inspectmsg.SearchRequest{Busy: true, Sort: inspectmsg.SearchRequest_SORT_WAITING}, "Plain-a live 1/3", "Plain-b live 1/0")
		want(&inspectmsg.SearchRequest{MinWaiting: 3}, "Plain-a live 1/3")
		want(&inspectmsg.SearchRequest{MinWaiting: 4})
		want(&inspectmsg.SearchRequest{Type: "Guest"}, "Guest-1 live 0/0")
		d := w.Describe("Guest-1")
		if d.GetShard() != -1 || d.GetInfo().GetShard() != -1 || !d.GetFound() {
			w.t.Errorf("the client's object is described as %v", d)
		}
		w.open("g")
		held.ok("g")
		other.ok("g")
		for _, p := range behind {
			p.ok("x")
		}
		want(&inspectmsg.SearchRequest{Busy: true})
		ended, cancel := context.WithCancel(w.t.Context())
		cancel()
		if r := w.Search(ended, &inspectmsg.SearchRequest{}); r.GetTotal() != 0 {
			w.t.Errorf("a search that nobody waits for finds %d", r.GetTotal())
		}
		if err := w.DetachClient(w.t.Context(), "Guest-1", object.DisconnectKicked); err != nil {
			w.t.Error(err)
		}
	})
}

func TestDescribeUnknown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		for _, id := range []string{"", "Nobody-a", "Plain", "\x00", "Plain-" + strings.Repeat("y", 300)} {
			if d := w.Describe(id); d.GetFound() || d.GetShard() != -1 {
				w.t.Errorf("%q is described as %v", id, d)
			}
		}
		if d := w.Describe("Brief-away"); d.GetFound() || !d.GetOwned() || d.GetShard() != int32(w.ShardOf("Brief-away")) || time.Duration(d.GetIdleTimeoutNs()) != time.Minute {
			w.t.Errorf("what is not in memory is described as %v", d)
		}
	})
}

// toil is a clock by which whoever reads it has worked for a millisecond since, while it is switched on.
type toil struct {
	clock.Clock

	on     atomic.Bool
	worked atomic.Int64
}

func (c *toil) Monotonic() time.Duration {
	if c.on.Load() {
		c.worked.Add(int64(time.Millisecond))
	}
	return c.Clock.Monotonic() + time.Duration(c.worked.Load())
}

// A search leaves the processor to the calls that are made meanwhile, and to nobody else.
func TestSearchRestsWhileCallsAreMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &toil{Clock: clock.Virtual()}
		w := newWorld(t, c)
		defer w.sweep()()
		o := w.Observe()
		defer o.Close()
		w.must("Plain-a", "Write", "echo x")
		search := func(ctx context.Context) (found uint64, rested time.Duration) {
			c.on.Store(true)
			defer c.on.Store(false)
			began := time.Now()
			return w.Search(ctx, &inspectmsg.SearchRequest{}).GetTotal(), time.Since(began)
		}
		if n, rested := search(t.Context()); n != 1 || rested != 0 {
			t.Errorf("%d found; it rested for %v with nobody to rest for", n, rested)
		}
		for range 500 {
			w.must("Plain-a", "Write", "echo x")
		}
		worked := c.worked.Load()
		n, rested := search(t.Context())
		if work := time.Duration(c.worked.Load() - worked); n != 1 || rested < work || rested > 3*work {
			t.Errorf("%d found; it rested for %v after %v of work", n, rested, work)
		}
		for range 500 {
			w.must("Plain-a", "Write", "echo x")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, rested := search(ctx); rested != 50*time.Millisecond {
			t.Errorf("a search that nobody waits for any more ends after %v", rested)
		}
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
