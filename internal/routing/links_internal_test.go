package routing

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLink notes that it was closed.
type fakeLink struct {
	transport.Link

	to     transport.Peer
	closed bool
}

func (l *fakeLink) Close() { l.closed = true }

// fakeNetwork makes them.
type fakeNetwork struct{ made []*fakeLink }

func (n *fakeNetwork) Dial(to transport.Peer) transport.Link {
	l := &fakeLink{to: to}
	n.made = append(n.made, l)
	return l
}

// members is a table that knows who lives.
type members struct {
	Table

	living map[string]bool
}

func (members) Incarnation() string { return "self" }

func (members) Changed() <-chan struct{} { return nil }

func (members) Valid() bool { return true }

func (m members) Node(incarnation string) (cluster.Route, bool) {
	return cluster.Route{}, m.living[incarnation]
}

func TestLinksLastAsLongAsTheirMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network, table := &fakeNetwork{}, members{living: map[string]bool{"a": true, "b": true}}
		l := newLinks(t.Context(), Config{Cluster: "test", Clock: clock.Virtual()}, network, new(atomic.Uint64))
		route := func(name string) cluster.Route {
			return cluster.Route{Incarnation: name, Address: name + ":1", Epoch: 1}
		}
		a, b := l.to(route("a")), l.to(route("b"))
		if again := l.to(cluster.Route{Incarnation: "a", Address: "a:1", Epoch: 7}); again != a || a == b {
			t.Error("one member has two links, or two have one")
		}
		if l.to(cluster.Route{Incarnation: "a", Address: "elsewhere:1"}) == a {
			t.Error("a wrong address leads to the same link")
		}
		if to := network.made[0].to; to != (transport.Peer{Cluster: "test", Address: "a:1", Incarnation: "a"}) {
			t.Errorf("dialed %v", to)
		}
		stranger := l.to(route("z"))
		sweep := func(after time.Duration) {
			time.Sleep(after) //nolint:forbidigo // virtual time
			l.sweep(table)
		}
		want := func(what string, links ...bool) {
			t.Helper()
			for i, x := range []*link{a, b, stranger} {
				if made := x.Link.(*fakeLink); made.closed != links[i] {
					t.Errorf("%s: link %d is closed: %v", what, i, made.closed)
				}
			}
		}
		sweep(0)
		table.living["b"] = false
		sweep(time.Second)
		want("just gone", false, false, false)
		table.living["b"] = true
		sweep(linger / 2)
		table.living["b"] = false
		sweep(linger)
		want("gone again", false, false, false)
		sweep(linger - 1)
		want("not for long", false, false, false)
		sweep(1)
		want("gone", false, true, false)
		if l.to(route("b")) == b {
			t.Error("a closed link is given away")
		}
		sweep(acquaintance)
		sweep(linger)
		want("never known", false, true, true)
		l.close()
		want("closed", true, true, true)
		if x := l.to(route("a")).Link.(*fakeLink); !x.closed {
			t.Error("there are links after the end")
		}
	})
}

// What a peer sends as a hand-over must be read without harm, and what is sent must be read as it was.
func FuzzHandover(f *testing.F) {
	f.Add([]byte{0, 1, 3, 1, 2, 3})
	f.Add(cut([]byte("hello"))[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := readPiece(b); err == nil && (p.index >= p.count || p.total < len(p.data) || p.total < 0 || p.count < 0) {
			t.Errorf("%+v", p)
		}
		kept, err := unpack(b)
		if err != nil {
			return
		}
		again, err := unpack(pack(kept))
		if err != nil || len(again) != len(kept) {
			t.Fatalf("%v: %v", again, err)
		}
		for i := range kept {
			if kept[i].ID != again[i].ID || kept[i].Message != again[i].Message || string(kept[i].Body) != string(again[i].Body) {
				t.Errorf("%v is not %v", again[i], kept[i])
			}
		}
		joined := []byte{}
		for _, c := range cut(b) {
			p, err := readPiece(c)
			if err != nil || p.total != len(b) {
				t.Fatal(p, err)
			}
			joined = append(joined, p.data...)
		}
		if string(joined) != string(b) {
			t.Error("the pieces are not the whole")
		}
	})
}

// A line keeps its order and forgets nobody, in whatever order its calls leave.
func TestLines(t *testing.T) {
	t.Parallel()
	for code := range 5 * 5 * 5 * 5 * 5 * 5 {
		l := &lot{limit: 4, share: 3}
		var line []*spot // as it should be
		for n, step := code, 0; step < 6; n, step = n/5, step+1 {
			if i := n % 5; i == 4 || i >= len(line) {
				s := l.enter(1, string(rune('a'+step%2)), true)
				if (s == nil) != (len(line) >= 4 || count(line, string(rune('a'+step%2))) >= 3) {
					t.Fatalf("%d: entered %v behind %d", code, s, len(line))
				}
				if s != nil {
					line = append(line, s)
				}
			} else {
				line[i].leave()
				line[i].leave()
				line = append(line[:i:i], line[i+1:]...)
			}
			for i, s := range line {
				select {
				case <-s.head:
					if i != 0 {
						t.Fatalf("%d: number %d is at the head", code, i)
					}
				default:
					if i == 0 {
						t.Fatalf("%d: nobody is at the head", code)
					}
				}
			}
			if l.occupied(1) != (len(line) > 0) || l.occupied(2) || int(l.size.Load()) != len(line) {
				t.Fatalf("%d: %d in line, occupied %v, size %d", code, len(line), l.occupied(1), l.size.Load())
			}
		}
		for _, s := range line {
			s.leave()
		}
		if len(l.lines) != 0 || len(l.from) != 0 || l.size.Load() != 0 {
			t.Fatalf("%d: something is left: %v", code, l)
		}
	}
}

func count(line []*spot, from string) (n int) {
	for _, s := range line {
		if s.from == from {
			n++
		}
	}
	return n
}

func TestServeClosesItsLinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network, table := &fakeNetwork{}, members{living: map[string]bool{"a": true}}
		r := New(Config{Cluster: "test", Clock: clock.Virtual()})
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- r.Serve(ctx, table, network) }()
		synctest.Wait()
		v := r.view.Load()
		v.links.to(cluster.Route{Incarnation: "a", Address: "a:1"})
		cancel()
		if err := <-served; err != nil || !network.made[0].closed {
			t.Errorf("%v, closed %v", err, network.made[0].closed)
		}
		select {
		case <-v.over:
		default:
			t.Error("nobody is told")
		}
	})
}
