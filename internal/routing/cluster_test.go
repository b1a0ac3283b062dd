package routing_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/cluster"
	coord "github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/object"
)

const ttl = 6 * time.Second

// city is a world with real members.
type city struct {
	*world

	store   *coord.Store
	members []*member
	joined  int
}

// member is a peer that is one.
type member struct {
	*peer

	cluster *cluster.Member
	link    *coord.Client
	stop    context.CancelFunc
	ended   chan error
}

// inCity runs f on that many members, in a bubble.
func inCity(t *testing.T, n int, f func(c *city)) {
	t.Helper()
	inBubble(t, func(w *world) {
		c := &city{world: w, store: coord.New(w.clock, coord.Options{})}
		defer c.store.Close()
		defer w.wantNoClash()
		defer func() { // also after Fatal
			for _, m := range c.members {
				c.leave(m)
			}
		}()
		for range n {
			c.join()
		}
		f(c)
	})
}

// join is a new member that is ready.
func (c *city) join() *member {
	c.Helper()
	c.joined++
	name := fmt.Sprint("m", c.joined)
	m := &member{link: c.store.Connect(), ended: make(chan error, 1)}
	m.peer = c.build(name, func(cfg *routing.Config) { cfg.Valid = func() bool { return m.cluster.Valid() } })
	m.cluster = cluster.NewMember(cluster.Config{
		Store: m.link, Clock: c.clock, Logger: quiet, Name: "test", Address: address(name), Shards: shards, LeaseTTL: ttl,
		Host: m.Host(), Incarnation: name, Random: rand.NewPCG(1, uint64(c.joined)), Grace: -1,
	})
	m.serve(m.cluster)
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	ready := make(chan struct{})
	go func() { m.ended <- m.cluster.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-m.ended:
		c.Fatalf("%s: not a member: %v", name, err)
	}
	c.members = append(c.members, m)
	return m
}

// leave stops a member in peace.
func (c *city) leave(m *member) {
	c.Helper()
	m.stop()
	if err := <-m.ended; err != nil && !m.dead.Load() {
		c.Errorf("%s: %v", m.name, err)
	}
	m.ended <- nil
	if err := m.endpoint.Drain(context.Background()); err != nil {
		c.Errorf("%s: Drain: %v", m.name, err)
	}
	m.close()
	if n := m.node.Activations(); n != 0 {
		c.Errorf("%s: %d objects are left", m.name, n)
	}
}

// kill ends a member as a kill -9 does.
func (c *city) kill(m *member) {
	m.dead.Store(true)
	m.link.SetFaults(coord.Faults{Hang: true})
	m.endpoint.Close(context.Background())
}

// bury lets a killed member's goroutines end.
func (c *city) bury(m *member) { m.link.SetFaults(coord.Faults{Unavailable: true}) }

// objectOn is an object that is on a member.
func (c *city) objectOn(m *member) string {
	for i := 0; ; i++ {
		if id := fmt.Sprint("cell-on", i); m.node.Epoch(m.node.ShardOf(id)) != 0 {
			return id
		}
	}
}

// load calls objects from all members until stop, and counts what came of it.
type load struct {
	calls, failed, unknown atomic.Int64
	mu                     sync.Mutex
	done                   map[string]int // successes
	maybe                  map[string]int // … and those that may have run
	slowest                time.Duration
	first                  error
	stop                   func()
}

func (c *city) load(kind string, objects, callers int, from []*member, opts ...object.CallOption) *load {
	l := &load{done: make(map[string]int), maybe: make(map[string]int)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i, m := range from {
		for k := range callers {
			wg.Go(func() {
				dice := rand.New(rand.NewPCG(uint64(i), uint64(k)))
				for ctx.Err() == nil {
					id := fmt.Sprint(kind, "-", dice.IntN(objects))
					begun := time.Now()
					_, err := m.do(context.Background(), id, "sleep 2ms", opts...)
					l.note(id, err, time.Since(begun))
					time.Sleep(time.Duration(dice.IntN(25)) * time.Millisecond) //nolint:forbidigo // virtual time
				}
			})
		}
	}
	l.stop = func() { cancel(); wg.Wait() }
	return l
}

func (l *load) note(id string, err error, took time.Duration) {
	l.calls.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	switch {
	case err == nil:
		l.done[id]++
		return
	case object.Executed(err) != object.ExecutedNo:
		l.maybe[id]++
		l.unknown.Add(1)
	}
	l.failed.Add(1)
	if l.first == nil {
		l.first = err
	}
}

// worst is the longest that a call took.
func (l *load) worst() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slowest
}

func (l *load) wantPeace(c *city) {
	c.Helper()
	if l.failed.Load() > 0 {
		c.Errorf("%d of %d calls failed, first: %v", l.failed.Load(), l.calls.Load(), l.first)
	}
	if l.calls.Load() < 100 {
		c.Errorf("only %d calls", l.calls.Load())
	}
	if l.slowest > 150*time.Millisecond {
		c.Errorf("a call took %v", l.slowest)
	}
}

// Members join and leave, and shards move: no call fails, none runs twice, and what objects keep goes along.
func TestPlannedMovesFailNoCall(t *testing.T) {
	t.Parallel()
	inCity(t, 2, func(c *city) {
		stay := c.members[:2:2]
		l := c.load("keeper", 60, 4, stay, object.AtMostOnce())
		pass(time.Second)
		third := c.join()
		l3 := c.load("keeper", 60, 2, []*member{third}, object.AtMostOnce())
		pass(3 * time.Second)
		dice := rand.New(rand.NewPCG(7, 7))
		for range 30 {
			to := c.members[dice.IntN(3)]
			if err := stay[0].cluster.Move(c.Context(), uint32(dice.IntN(shards)), to.name); err != nil {
				c.Errorf("Move: %v", err)
			}
		}
		fourth := c.join()
		pass(3 * time.Second)
		if third.node.Activations() == 0 || fourth.node.Activations() == 0 {
			c.Error("a new member has nothing to do")
		}
		l3.stop() // its own callers go first
		c.leave(third)
		c.leave(fourth)
		fifth := c.join()
		pass(2 * time.Second)
		c.leave(fifth)
		pass(time.Second)
		l.stop()
		l.wantPeace(c)
		l3.wantPeace(c)
		c.members = stay
		for i := range 60 {
			id := fmt.Sprint("keeper-", i)
			if want := l.done[id] + l3.done[id]; c.ran(id) != want {
				c.Errorf("%s ran %d times for %d calls", id, c.ran(id), want)
			} else if got := stay[0].must(id, "add"); got != fmt.Sprint(want+1) {
				c.Errorf("%s: %d calls, the count is %s", id, want, got)
			}
		}
	})
}

// All members are replaced, one after the other.
func TestARollingRestartFailsNoCall(t *testing.T) {
	t.Parallel()
	inCity(t, 3, func(c *city) {
		objects := 30
		total := make(map[string]int)
		var loads []*load
		running := make(map[*member]*load)
		for _, m := range c.members {
			running[m] = c.load("keeper", objects, 3, []*member{m}, object.AtMostOnce())
			loads = append(loads, running[m])
		}
		for _, old := range c.members[:3:3] {
			m := c.join()
			running[m] = c.load("keeper", objects, 3, []*member{m}, object.AtMostOnce())
			loads = append(loads, running[m])
			pass(time.Second)
			running[old].stop()
			c.leave(old)
		}
		c.members = c.members[3:]
		pass(time.Second)
		for _, m := range c.members {
			running[m].stop()
		}
		for _, l := range loads {
			l.wantPeace(c)
			for id, n := range l.done {
				total[id] += n
			}
		}
		for id, n := range total {
			if got := c.members[0].must(id, "add"); got != fmt.Sprint(n+1) || c.ran(id) != n+1 {
				c.Errorf("%s: %d calls, the count is %s, it ran %d times", id, n, got, c.ran(id))
			}
		}
	})
}

// A member is killed: the others answer for its shards within TTL + 1 s, and no other call fails.
func TestAKilledMember(t *testing.T) {
	t.Parallel()
	inCity(t, 3, func(c *city) {
		stay := c.members[:2:2]
		victim := c.members[2]
		l := c.load("cell", 60, 4, stay)
		pass(3 * time.Second)
		once := stay[0].start(c.Context(), c.objectOn(victim), "deaf 10s", object.AtMostOnce())
		c.kill(victim)
		r := <-once
		c.want(r.err, object.CodeUnavailable, object.ExecutedUnknown, "")
		killed := time.Now()
		pass(ttl + time.Second)
		for i := range 60 {
			id := fmt.Sprint("cell-", i)
			for _, m := range stay {
				if got := m.must(id, "where"); got == victim.name {
					c.Errorf("%s is on the dead member", id)
				}
			}
		}
		if d := time.Since(killed); d > ttl+1500*time.Millisecond {
			c.Errorf("all answer after %v", d)
		}
		l.stop()
		if l.failed.Load() > 0 || l.slowest > ttl+time.Second {
			c.Errorf("%d failed, first: %v; the slowest took %v", l.failed.Load(), l.first, l.slowest)
		}
		c.members = stay
		c.bury(victim)
		victim.stop()
		<-victim.ended
		victim.close()
	})
}

// A member loses the store for longer than its lease: it answers nobody, the others take over, and it comes to itself.
func TestACutOffMember(t *testing.T) {
	t.Parallel()
	inCity(t, 3, func(c *city) {
		stay := c.members[:2:2]
		victim := c.members[2]
		l := c.load("cell", 60, 4, stay)
		pass(3 * time.Second)
		victim.link.SetFaults(coord.Faults{Unavailable: true})
		pass(3 * time.Second)
		if d := l.worst(); d > 100*time.Millisecond {
			c.Errorf("before the lease is over a call took %v", d)
		}
		pass(ttl)
		for i := range 60 {
			if got := stay[0].must(fmt.Sprint("cell-", i), "where"); got == victim.name {
				c.Errorf("cell-%d is on a member that is fenced", i)
			}
		}
		short, cancel := context.WithTimeout(c.Context(), time.Second)
		defer cancel()
		_, err := victim.do(short, "cell-1", "where")
		if err != nil {
			c.want(err, object.CodeDeadlineExceeded, object.ExecutedNo, "")
		}
		victim.link.SetFaults(coord.Faults{})
		if err := <-victim.ended; !errors.Is(err, cluster.ErrLeaseLost) {
			c.Errorf("%v", err)
		}
		victim.ended <- nil
		l.stop()
		if l.failed.Load() > 0 || l.slowest > ttl+time.Second {
			c.Errorf("%d failed, first: %v; the slowest took %v", l.failed.Load(), l.first, l.slowest)
		}
	})
}

// The store is away for longer than the leases: all are fenced, and go on under the same epochs with all that they had.
func TestAnOutageOfTheStore(t *testing.T) {
	t.Parallel()
	inCity(t, 3, func(c *city) {
		pass(5 * time.Second) // all shards are where they will be
		for i := range 60 {
			c.members[0].must(fmt.Sprint("cell-", i), "add")
		}
		c.store.SetOutage(true)
		pass(2 * ttl)
		short, cancel := context.WithTimeout(c.Context(), time.Second)
		defer cancel()
		for _, m := range c.members {
			_, err := m.do(short, "cell-1", "add")
			c.want(err, object.CodeDeadlineExceeded, object.ExecutedNo, "")
		}
		var waiting []<-chan result
		for _, m := range c.members {
			waiting = append(waiting, m.start(c.Context(), "cell-1", "add"))
		}
		c.store.SetOutage(false)
		for _, w := range waiting {
			if r := <-w; r.err != nil || r.after > 5*time.Second {
				c.Errorf("%+v", r)
			}
		}
		for i := range 60 {
			want := "2"
			if i == 1 {
				want = "5"
			}
			if got := c.members[1].must(fmt.Sprint("cell-", i), "add"); got != want {
				c.Errorf("cell-%d: the count is %s, not %s", i, got, want)
			}
		}
	})
}

// A client object answers from everywhere while shards move.
func TestClientsInACluster(t *testing.T) {
	t.Parallel()
	inCity(t, 3, func(c *city) {
		id := "visitor-eve@" + c.members[1].name
		if err := c.members[1].node.AttachClient(c.Context(), id); err != nil {
			c.Fatal(err)
		}
		c.members[1].clients.connect(id)
		fourth := c.join()
		for _, m := range c.members {
			if got := m.must(id, "hi"); got != c.members[1].name+" hi" {
				c.Error(got)
			}
			if err := m.Push(c.Context(), id, wrapperspb.String("x")); err != nil {
				c.Error(err)
			}
		}
		c.leave(fourth)
		c.members = c.members[:3]
		if err := c.members[1].node.DetachClient(c.Context(), id, object.DisconnectClosed); err != nil {
			c.Error(err)
		}
	})
}
