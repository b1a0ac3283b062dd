package mem_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/internal/transport/transporttest"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(n *mem.Network) transporttest.Net {
	return transporttest.Net{
		New:     func(*testing.T) transport.Transport { return n },
		Address: func() string { return "node:0" },
	}
}

func TestConformanceOnVirtualTime(t *testing.T) {
	t.Parallel()
	for _, c := range transporttest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c.Run(t, open(mem.New(clock.Virtual(), mem.Options{})))
			})
		})
	}
}

// On real time, and all tests on one network, as the suite will meet gRPC.
func TestConformanceOnRealTime(t *testing.T) {
	t.Parallel()
	n := mem.New(clock.System(), mem.Options{})
	transporttest.Exercise(t, func(*testing.T) transporttest.Net { return open(n) })
}

// A slow network that mixes up what it may mix up keeps every promise.
func TestConformanceOnASlowNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range transporttest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := mem.New(clock.Virtual(), mem.Options{Seed: 7})
				const addresses = 16
				for i := range addresses {
					for j := range addresses {
						n.SetFaults(fmt.Sprintf("node:%d", i), fmt.Sprintf("node:%d", j), mem.Faults{
							Delay: time.Millisecond, Jitter: 2 * time.Millisecond, Reorder: 5 * time.Millisecond,
						})
					}
				}
				c.Run(t, open(n))
			})
		})
	}
}

// faults makes trouble on a network. A connection that has lost something does not survive that, as over TCP: what a
// network in memory swallows for a short time is lost without a word.
type faults struct {
	*mem.Network

	silence time.Duration
}

// Set implements transporttest.Faults.
func (f faults) Set(from, to string, t transporttest.Trouble) {
	set := mem.Faults{Cut: t.Cut, HalfOpen: t.Silent, Hold: t.Hold, Delay: t.Delay, Jitter: t.Jitter, Reorder: t.Scatter}
	if t.Slow {
		set.Pace = f.silence / 1000
	}
	if t.Replay {
		set.Duplicate, set.Jitter = 0.3, f.silence/100
	}
	if f.Faults(from, to).HalfOpen {
		f.SetFaults(from, to, mem.Faults{Cut: true})
		f.SetFaults(to, from, mem.Faults{Cut: true})
		f.SetFaults(to, from, mem.Faults{})
	}
	f.SetFaults(from, to, set)
}

func troubled(seed uint64, c clock.Clock, silence time.Duration) transporttest.Net {
	n := mem.New(c, mem.Options{Seed: seed, Keepalive: silence})
	net := open(n)
	net.Faults, net.Silence, net.Seed = faults{n, silence}, silence, seed
	return net
}

// On virtual time there is enough of it for many seeds.
func TestConformanceInTrouble(t *testing.T) {
	t.Parallel()
	for _, c := range transporttest.FaultCases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				synctest.Test(t, func(t *testing.T) { c.Run(t, troubled(seed, clock.Virtual(), time.Second)) })
			}
		})
	}
}

func TestConformanceInTroubleOnRealTime(t *testing.T) {
	t.Parallel()
	for _, c := range transporttest.FaultCases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Run(t, troubled(1, clock.System(), 400*time.Millisecond))
		})
	}
}

func BenchmarkCall(b *testing.B) {
	n := mem.New(clock.System(), mem.Options{})
	listen := func(address string) transport.Endpoint {
		e, err := n.Listen(b.Context(), transport.Peer{Cluster: "c", Address: address, Incarnation: "1"},
			transport.HandlerFunc(func(context.Context, *transport.Call) *transport.Reply { return &transport.Reply{} }))
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	here, there := listen("a"), listen("b")
	link := here.Dial(there.Peer())
	c := call("X-1", "Echo", "0123456789")
	for b.Loop() {
		if _, err := link.Call(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(here.Close(b.Context()), there.Close(b.Context())); err != nil {
		b.Error(err)
	}
}
