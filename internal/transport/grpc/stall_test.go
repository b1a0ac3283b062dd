package grpc_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
)

// judge notes whether the time of calls was over when they arrived.
type judge struct {
	mu   sync.Mutex
	over map[string][2]int // by method: those in time, and those that were not
}

// AcceptCall implements transport.Handler.
func (j *judge) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	late := 0
	if ctx.Err() != nil {
		late = 1
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.over[c.Method]
	n[late]++
	j.over[c.Method] = n
	return func() *transport.Reply { return &transport.Reply{} }
}

func (j *judge) of(method string) (inTime, late int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.over[method][0], j.over[method][1]
}

// The time that calls wait in a socket whose reader stands still is theirs: what is over then has not arrived in time,
// whether anybody waits for it or not, and the rest has.
func TestTimeThatPassesInTheSocket(t *testing.T) {
	t.Parallel()
	const calls, brief = 50, 100 * time.Millisecond
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	seen := &judge{over: map[string][2]int{}}
	w.callee = w.listen(grpc.Config{}, peer("127.0.0.1:0"), seen)
	p := newProxy(t, w.callee.Peer().Address)
	link := w.through(p)
	for range 20 {
		if _, err := link.Call(w.ctx, call("Before")); err != nil {
			t.Fatal(err)
		}
	}
	p.stall(true, false)
	short, cancel := context.WithTimeout(w.ctx, brief)
	defer cancel()
	var done sync.WaitGroup
	var unsent atomic.Int64
	for range calls {
		done.Go(func() {
			_, err := link.Call(short, call("Short"))
			if object.CodeOf(err) != object.CodeDeadlineExceeded {
				t.Errorf("a short call ended with %v", err)
			}
			if object.Executed(err) == object.ExecutedNo { // where the machine is slow
				unsent.Add(1)
			}
		})
		done.Go(func() {
			if _, err := link.Call(w.ctx, call("Long")); err != nil {
				t.Errorf("a long call ended with %v", err)
			}
		})
		c := call("ShortSend")
		c.Timeout = brief
		if err := link.Send(w.ctx, c); err != nil {
			t.Error(err)
		}
		c = call("LongSend")
		c.Timeout = time.Hour
		if err := link.Send(w.ctx, c); err != nil {
			t.Error(err)
		}
	}
	passed, stop := context.WithTimeout(w.ctx, 10*brief) // also where the machine was slow before
	defer stop()
	<-passed.Done()
	p.stall(false, false)
	done.Wait()
	sent := calls - int(unsent.Load())
	for _, c := range []struct {
		method       string
		inTime, late int
	}{{"Before", 20, 0}, {"Short", 0, sent}, {"Long", calls, 0}, {"ShortSend", 0, calls}, {"LongSend", calls, 0}} {
		w.soon("all "+c.method+" to arrive", func() bool {
			inTime, late := seen.of(c.method)
			return inTime+late == c.inTime+c.late
		})
		if inTime, late := seen.of(c.method); inTime != c.inTime {
			t.Errorf("%s: %d arrived in time and %d too late, want %d and %d", c.method, inTime, late, c.inTime, c.late)
		}
	}
}
