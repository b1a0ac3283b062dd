package routing_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	coord "github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

var (
	simSeed  = flag.Int64("sim.seed", -1, "simulate this seed only")
	simCount = flag.Int("sim.count", 12, "how many seeds to simulate")
)

// regressions are seeds that have found something: whoever mends what a seed has found
// adds it here. Each is simulated with every run of the tests.
var regressions = []uint64{}

// fired counts what has happened to members in all seeds: a simulation in which nothing
// goes wrong proves nothing.
type fired struct{ fenced, lost, moved atomic.Int64 }

// wantAll fails a test whose seeds have left something out.
func (f *fired) wantAll(t *testing.T) {
	t.Helper()
	for what, n := range map[string]int64{"fenced": f.fenced.Load(), "lost leases": f.lost.Load(), "moves": f.moved.Load()} {
		t.Logf("%s: %d", what, n)
		if n == 0 {
			t.Errorf("%s: none in all seeds: nothing is simulated", what)
		}
	}
}

// weather is what goes wrong in a simulation.
type weather struct {
	c    *city
	dice *rand.Rand
	wg   sync.WaitGroup
	all  *fired
}

func (x *weather) member() *member {
	for {
		if m := x.c.members[x.dice.IntN(len(x.c.members))]; !m.dead.Load() {
			return m
		}
	}
}

// strike lets one thing go wrong, or right.
func (x *weather) strike() {
	a, b := x.member(), x.member()
	way := func(f mem.Faults) { x.c.net.SetFaults(address(a.name), address(b.name), f) }
	ms := func(n int) time.Duration { return time.Duration(x.dice.IntN(n)) * time.Millisecond }
	switch what := x.dice.IntN(12); what {
	case 0:
		way(mem.Faults{Cut: true})
	case 1:
		way(mem.Faults{Delay: ms(30), Jitter: ms(60), Reorder: ms(10)})
	case 2:
		way(mem.Faults{Drop: 0.05})
	case 3:
		way(mem.Faults{HalfOpen: true})
	case 4, 5:
		way(mem.Faults{})
	case 6, 7, 8:
		n := uint32(x.dice.IntN(shards))
		x.wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if a.cluster.Move(ctx, n, b.name) == nil {
				x.all.moved.Add(1)
			}
		})
	case 9:
		a.link.SetFaults(coord.Faults{Unavailable: x.dice.IntN(2) == 0, Hang: true})
		for d := ms(9000); d > 0; d -= time.Second { // perhaps longer than the lease
			pass(min(d, time.Second))
		}
		if len(a.ended) == 0 && !a.cluster.Valid() {
			x.all.fenced.Add(1)
		}
		a.link.SetFaults(coord.Faults{})
	case 10:
		x.c.net.Pause(address(a.name))
		pass(ms(3000))
		x.c.net.Resume(address(a.name))
	case 11:
		a.link.SetFaults(coord.Faults{RequestDelay: ms(300), ReplyDelay: ms(300), LoseReplies: x.dice.IntN(3) == 0})
		pass(ms(2000))
		a.link.SetFaults(coord.Faults{})
	}
	pass(ms(800))
}

// clear ends all troubles, and replaces the members that have not survived them.
func (x *weather) clear() {
	x.wg.Wait()
	for _, a := range x.c.members {
		for _, b := range x.c.members {
			x.c.net.SetFaults(address(a.name), address(b.name), mem.Faults{})
		}
	}
}

// Networks tremble, members lose the store, shards move, turns ignore their contexts and outlive leases. What is
// answered never overlaps, what may run once runs once, and in the end all objects answer from everywhere.
func TestSimulatedTrouble(t *testing.T) {
	t.Parallel()
	seeds := slices.Clone(regressions)
	var all fired
	if *simSeed >= 0 {
		seeds = []uint64{uint64(*simSeed)}
	} else {
		for seed := range uint64(*simCount) {
			seeds = append(seeds, seed)
		}
		t.Cleanup(func() { all.wantAll(t) }) // when all seeds are over
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("again: go test ./internal/routing -run TestSimulatedTrouble -sim.seed %d", seed)
				}
			})
			inCity(t, 4, func(c *city) {
				c.court.lax = true
				x := &weather{c: c, dice: rand.New(rand.NewPCG(seed, 1)), all: &all}
				loads := []*load{
					c.work("cell", 20, 2, seed, nil),
					c.work("keeper", 20, 2, seed+100, nil),
					c.work("cell", 20, 1, seed+200, []object.CallOption{object.AtMostOnce()}),
				}
				for range 40 {
					x.strike()
				}
				x.clear()
				pass(30 * time.Second)
				for _, l := range loads {
					l.stop()
				}
				lost := 0
				for _, m := range c.members {
					select {
					case err := <-m.ended:
						if !errors.Is(err, cluster.ErrLeaseLost) {
							c.Errorf("%s: %v", m.name, err)
						}
						m.ended <- nil
						lost++
					default:
					}
				}
				all.lost.Add(int64(lost))
				var living []*member
				for _, m := range c.members {
					if len(m.ended) == 0 {
						living = append(living, m)
					}
				}
				for i := range 20 {
					id := fmt.Sprint("cell-", i)
					for _, m := range living {
						if got, there := living[0].must(id, "where"), m.must(id, "where"); got != there {
							c.Errorf("%s is on %s and on %s", id, got, there)
						}
					}
				}
				if cases := c.court.judge(); cases < 100 {
					c.Errorf("only %d cases", cases)
				}
				calls, failed, unknown := 0, 0, 0
				for _, l := range loads {
					calls, failed, unknown = calls+int(l.calls.Load()), failed+int(l.failed.Load()), unknown+int(l.unknown.Load())
				}
				t.Logf("seed %d: %d calls, %d failed, %d of them unknown; %d of %d members lost their lease", seed, calls, failed, unknown, lost, len(c.members))
			})
		})
	}
}

// work is a load of numbered turns, some of which take longer than a lease, from all members.
func (c *city) work(kind string, objects, callers int, seed uint64, opts []object.CallOption) *load {
	l := &load{done: make(map[string]int), maybe: make(map[string]int)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i, m := range c.members {
		for k := range callers {
			wg.Go(func() {
				dice := rand.New(rand.NewPCG(seed, uint64(10*i+k)))
				for serial := 0; ctx.Err() == nil; serial++ {
					id := fmt.Sprint(kind, "-", dice.IntN(objects))
					took := []string{"0s", "1ms", "20ms", "300ms", "3s", "10s"}[min(dice.IntN(4)+dice.IntN(2)+dice.IntN(2)*dice.IntN(2), 5)]
					limit, release := context.WithTimeout(context.Background(), time.Duration(1+dice.IntN(15))*time.Second)
					begun := time.Now()
					name := fmt.Sprint("call ", i, " ", k, " ", seed, " ", serial)
					if len(opts) > 0 {
						name = "once " + name
					}
					number, err := m.do(limit, id, "work "+took+" "+name, opts...)
					release()
					switch {
					case err == nil:
						c.court.answered(id, number)
					case object.Executed(err) == object.ExecutedNo:
						c.court.deny(name)
					}
					l.note(id, err, time.Since(begun))
					time.Sleep(time.Duration(dice.IntN(300)) * time.Millisecond) //nolint:forbidigo // virtual time
				}
			})
		}
	}
	l.stop = func() { cancel(); wg.Wait() }
	return l
}
