package routing_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// truth is who owns what, as the store knows it.
type truth struct {
	mu       sync.Mutex
	revision int64
	routes   map[uint32]cluster.Route
	living   map[string]bool
	down     bool        // it does not answer
	broken   atomic.Bool // it answers with errors
}

// table is what one member knows of it: what the test tells it, and what it learns.
type table struct {
	truth *truth
	self  string

	mu        sync.Mutex
	routes    map[uint32]cluster.Route
	living    map[string]bool
	fenced    bool
	changed   chan struct{}
	refreshes int
	learned   int
	judge     func() bool
}

func newTable(t *truth, self string) *table {
	return &table{truth: t, self: self, routes: make(map[uint32]cluster.Route), living: make(map[string]bool), changed: make(chan struct{})}
}

func (t *table) Incarnation() string { return t.self }

func (t *table) Valid() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.judge == nil {
		return !t.fenced
	}
	judge := t.judge
	t.mu.Unlock()
	defer t.mu.Lock()
	return judge()
}

// whenValid lets f decide what Valid says, if it is not nil.
func (t *table) whenValid(f func() bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.judge = f
}

func (t *table) Route(n uint32) (cluster.Route, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.routes[n]
	return r, ok
}

func (t *table) Learn(n uint32, r cluster.Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learned++
	if old := t.routes[n]; r.Revision > old.Revision && old.Incarnation != t.self {
		t.routes[n] = r
		t.announce()
	}
}

func (t *table) announce() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *table) Refresh(ctx context.Context, n uint32) (cluster.Route, error) {
	t.mu.Lock()
	t.refreshes++
	t.mu.Unlock()
	t.truth.mu.Lock()
	r, known, down := t.truth.routes[n], t.truth.routes[n].Incarnation != "", t.truth.down
	t.truth.mu.Unlock()
	if t.truth.broken.Load() {
		return cluster.Route{}, errors.New("the store fails")
	}
	if down {
		<-ctx.Done()
		return cluster.Route{}, errors.New("the store does not answer")
	}
	if known {
		t.tell(n, r)
	}
	return r, nil
}

func (t *table) Node(incarnation string) (cluster.Route, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return cluster.Route{Incarnation: incarnation, Address: address(incarnation)}, t.living[incarnation]
}

func (t *table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

func (t *table) tell(n uint32, r cluster.Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.routes[n] = r
	t.announce()
}

func (t *table) forget(n uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.routes, n)
	t.announce()
}

func (t *table) setAlive(name string, alive bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.living[name] = alive
	t.announce()
}

func (t *table) fence(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fenced = on
}

func (t *table) asked() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refreshes
}

// stage is a world whose tables are the test's.
type stage struct {
	*world

	truth *truth
}

// onStage runs f with that many nodes, which know each other and own nothing.
func onStage(t *testing.T, n int, f func(s *stage, p []*peer), opts ...option) {
	t.Helper()
	inBubble(t, func(w *world) {
		s := &stage{world: w, truth: &truth{routes: make(map[uint32]cluster.Route), living: make(map[string]bool)}}
		for i := range n {
			s.join(string(rune('a'+i)), opts...)
		}
		defer w.wantNoClash()
		defer func() { // also after Fatal
			for _, p := range w.peers {
				p.close()
			}
		}()
		f(s, w.peers)
	})
}

func (s *stage) join(name string, opts ...option) *peer {
	s.Helper()
	p := s.build(name, opts...)
	p.table = newTable(s.truth, name)
	for _, other := range s.peers {
		other.table.setAlive(name, true)
		p.table.setAlive(other.name, true)
	}
	p.serve(p.table)
	return p
}

// record makes a peer the owner of an object's shard, as the store knows it.
func (s *stage) record(p *peer, id string) cluster.Route {
	s.truth.mu.Lock()
	defer s.truth.mu.Unlock()
	s.truth.revision++
	r := cluster.Route{
		Incarnation: p.name, Address: address(p.name),
		Epoch: s.truth.routes[p.node.ShardOf(id)].Epoch + 1, Revision: s.truth.revision,
	}
	s.truth.routes[p.node.ShardOf(id)] = r
	return r
}

// give makes a peer the owner of an object's shard, opens it there and tells it and others.
func (s *stage) give(p *peer, id string, others ...*peer) cluster.Route {
	s.Helper()
	r := s.record(p, id)
	n := p.node.ShardOf(id)
	if err := p.Host().OpenShard(s.Context(), n, r.Epoch, 0); err != nil {
		s.Fatal(err)
	}
	for _, x := range append(others, p) {
		x.table.tell(n, r)
	}
	return r
}

// move moves an object's shard from a peer to another, in peace, and tells these two and others.
func (s *stage) move(from, to *peer, id string, others ...*peer) cluster.Route {
	s.Helper()
	old, tag, target := s.begin(from, to, id)
	n := from.node.ShardOf(id)
	if err := from.Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
		s.Fatal(err)
	}
	return s.finish(from, to, id, tag, others...)
}

// begin writes that a move begins.
func (s *stage) begin(from, to *peer, id string) (old cluster.Route, tag int64, target cluster.Route) {
	s.truth.mu.Lock()
	defer s.truth.mu.Unlock()
	s.truth.revision++
	old = s.truth.routes[from.node.ShardOf(id)]
	return old, s.truth.revision, cluster.Route{Incarnation: to.name, Address: address(to.name), Epoch: old.Epoch + 1, Revision: s.truth.revision}
}

// finish writes the transfer, tells the two, and opens the shard.
func (s *stage) finish(from, to *peer, id string, tag int64, others ...*peer) cluster.Route {
	s.Helper()
	n := from.node.ShardOf(id)
	r := s.record(to, id)
	from.table.tell(n, r)
	from.Host().ReleaseShard(n, r.Epoch-1, cluster.ReleaseMoved)
	to.table.tell(n, r)
	if err := to.Host().OpenShard(s.Context(), n, r.Epoch, tag); err != nil {
		s.Fatal(err)
	}
	for _, x := range others {
		x.table.tell(n, r)
	}
	synctest.Wait()
	return r
}

// raw is a link to a peer that says it is from another, for calls that no router would send.
func (s *stage) raw(from, to *peer) transport.Link {
	s.Helper()
	l := from.endpoint.Dial(to.endpoint.Peer())
	s.Cleanup(l.Close)
	return l
}

// request is a call as a router sends it.
func (s *stage) request(p *peer, id, words string) *transport.Call {
	body := encode(s.T, words)
	r, _ := p.table.Route(p.node.ShardOf(id))
	return &transport.Call{
		Request: object.Request{ID: id, Method: "Do", Message: "google.protobuf.StringValue", Body: body},
		Shard:   p.node.ShardOf(id), Epoch: r.Epoch, Revision: r.Revision,
	}
}
