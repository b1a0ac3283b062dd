package node

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// The bounds of a page.
const (
	defaultPage = 50
	mostPage    = 11_000 // so that who merges nodes' objects has those before a page at once
)

// Search lists objects in memory, sorted and cut. It looks at the directory segment by segment:
// calls go on meanwhile, and what comes and goes may be in the result or not. While somebody
// observes that many calls are made, it rests between segments, so that all searches together, one
// after the other, leave them most of the processor. When ctx ends it returns what it has.
func (n *Node) Search(ctx context.Context, req *inspectmsg.SearchRequest) *inspectmsg.SearchResponse {
	limit := min(cmp.Or(int64(req.GetLimit()), defaultPage), mostPage)
	from := int(min(int64(req.GetOffset()), 1<<30))
	s := &search{node: n, req: req, now: n.elapsed(), most: from + int(limit)}
	s.began = s.now
	var batch []*activation
	for i := range n.objects.segments {
		if ctx.Err() != nil {
			break
		}
		batch = n.objects.segments[i].all(batch[:0])
		s.consider(batch, s.loadsOf(i))
		s.rest(ctx)
	}
	s.cut()
	slices.SortFunc(s.found, compareHits)
	defer s.worked(mostWork * 10)
	r := &inspectmsg.SearchResponse{Total: s.total}
	if from < len(s.found) {
		for _, h := range s.found[from:] {
			r.Objects = append(r.Objects, n.info(h.a, h.view, s.now))
		}
	}
	return r
}

// all appends the activations of a segment.
func (s *segment) all(to []*activation) []*activation {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := s.slots.Load()
	if slots == nil {
		return to
	}
	for i := range *slots {
		for a := (*slots)[i].Load(); a != nil; a = a.next.Load() {
			to = append(to, a)
		}
	}
	return to
}

// search keeps the first of what it has found, the last of them in its place where full, then some that came later.
type search struct {
	node  *Node
	req   *inspectmsg.SearchRequest
	now   time.Duration
	most  int
	total uint64
	found []hit
	full  bool            // there are as many as are wanted
	began time.Duration   // when it began to work, after its last rest
	loads map[string]load // of the segment, where they decide about the order
}

// loadsOf returns what is known of the calls of a segment's objects, if it is wanted: a copy, so that
// no turn waits for the search.
func (s *search) loadsOf(segment int) map[string]load {
	if by := s.req.GetSort(); by != inspectmsg.SearchRequest_SORT_CALLS && by != inspectmsg.SearchRequest_SORT_TIME {
		return nil
	}
	l := s.node.lens.Load()
	if l == nil {
		return nil
	}
	if s.loads == nil {
		s.loads = make(map[string]load)
	}
	l.settledLoads().copyTo(s.loads, segment)
	return s.loads
}

// worked notes the work since it was noted last, which cannot have been more than most, and returns how
// long to rest for it.
func (s *search) worked(most time.Duration) (rest time.Duration) {
	now := s.node.elapsed()
	work := min(now-s.began, most)
	s.began = now
	if l := s.node.lens.Load(); l == nil || !l.general.busy(now) {
		return 0
	}
	return s.node.ration.take(work, now)
}

// rest leaves the processor to others for as long as is due.
func (s *search) rest(ctx context.Context) {
	d := s.worked(mostWork)
	if d == 0 {
		return
	}
	timer := s.node.cfg.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	s.began = s.node.elapsed()
}

// hit is an object that a search has found.
type hit struct {
	a    *activation
	rank int64 // the less, the earlier
	view view
}

func compareHits(x, y hit) int {
	return cmp.Or(cmp.Compare(x.rank, y.rank), strings.Compare(x.a.id, y.a.id))
}

func (s *search) consider(batch []*activation, loads map[string]load) {
	for _, a := range batch {
		if v, ok := s.matches(a); ok {
			s.total++
			s.keep(hit{a, s.rank(a, v, loads), v})
		}
	}
}

func (s *search) matches(a *activation) (v view, ok bool) {
	if typ := s.req.GetType(); typ != "" && a.typ.Name != typ {
		return v, false
	}
	if prefix := s.req.GetPrefix(); prefix != "" && !strings.HasPrefix(a.id[len(a.typ.Name)+1:], prefix) {
		return v, false
	}
	v = a.view()
	return v, v.phase != dead && (!s.req.GetBusy() || v.running > 0) && v.waiting >= s.req.GetMinWaiting()
}

// rank is the place of an object in the order that is wanted; the id decides between equals.
func (s *search) rank(a *activation, v view, loads map[string]load) int64 {
	switch s.req.GetSort() {
	case inspectmsg.SearchRequest_SORT_CALLS:
		return -int64(loads[a.id].calls) //nolint:gosec // G115: small
	case inspectmsg.SearchRequest_SORT_TIME:
		return -int64(loads[a.id].time)
	case inspectmsg.SearchRequest_SORT_WAITING:
		return -int64(v.waiting)
	case inspectmsg.SearchRequest_SORT_IDLE:
		return -int64(a.idle(v, s.now))
	case inspectmsg.SearchRequest_SORT_AGE:
		return -int64(a.lost.born())
	case inspectmsg.SearchRequest_SORT_UNSPECIFIED:
	}
	return 0
}

// keep keeps a hit if it may be among the first.
func (s *search) keep(h hit) {
	if s.full && compareHits(h, s.found[s.most-1]) >= 0 {
		return
	}
	if s.found = append(s.found, h); len(s.found) >= 2*s.most {
		s.cut()
	}
}

// cut leaves out what is not among the first. The last of them is in its place then, the others are not sorted.
func (s *search) cut() {
	if len(s.found) >= s.most {
		part(s.found, s.most-1)
		s.found, s.full = s.found[:s.most], true
	}
}

// part brings the hit to place k that would be there if all were sorted, and those before it to before it: Hoare's
// selection, with a pivot that nobody can foresee.
func part(hits []hit, k int) {
	for lo, hi := 0, len(hits)-1; lo < hi; {
		pivot := hits[lo+rand.IntN(hi-lo+1)] //nolint:gosec // G404: no secret
		i, j := lo, hi
		for i <= j {
			for compareHits(hits[i], pivot) < 0 {
				i++
			}
			for compareHits(hits[j], pivot) > 0 {
				j--
			}
			if i <= j {
				hits[i], hits[j] = hits[j], hits[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return
		}
	}
}

// idle is how long no turn has run.
func (a *activation) idle(v view, now time.Duration) time.Duration {
	if v.running > 0 {
		return 0
	}
	return max(0, now-time.Duration(a.used.Load()))
}

// info puts an object into words.
func (n *Node) info(a *activation, v view, now time.Duration) *inspectmsg.ObjectInfo {
	o := &inspectmsg.ObjectInfo{
		Id: a.id, Type: a.typ.Name, Shard: a.shardNumber(), Phase: v.phase.String(), Running: v.running, Waiting: v.waiting,
		IdleNs: int64(a.idle(v, now)), AgeNs: int64(max(0, now-a.lost.born())),
	}
	if o.GetShard() >= 0 {
		o.Epoch = a.shard.epoch.Load()
	}
	if l := n.lens.Load(); l != nil {
		of := l.settledLoads().find(a.id)
		o.Calls, o.TimeNs = of.calls, uint64(of.time) //nolint:gosec // G115: not negative
	}
	return o
}
