package node_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// What the turns of one object send to another arrives in the order of the turns.
func TestSendsOfSuccessiveTurnsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	const callers, calls = 16, 100
	w := newWorld(t, clock.System())
	var order []int // of the receiver
	w.on("got", func(_ context.Context, _ *actor, arg string) (string, error) {
		i, err := strconv.Atoi(arg)
		order = append(order, i)
		return "", err
	})
	sent := 0 // of the sender
	w.on("send", func(ctx context.Context, _ *actor, _ string) (string, error) {
		sent++
		return w.try(ctx, "Endless-to", "Write", fmt.Sprintf("got %d", sent), object.OneWay())
	})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				if _, err := w.do("Endless-from", "Write", "send"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if len(order) != callers*calls {
		t.Errorf("%d of %d sends arrived", len(order), callers*calls)
	}
	for i := range order {
		if order[i] != i+1 {
			t.Fatalf("send %d arrived as number %d", order[i], i+1)
		}
	}
}

// A turn that succeeds while the node stops has sent what it sent.
func TestStopLosesNoSends(t *testing.T) {
	t.Parallel()
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, clock.Virtual())
			var arrived atomic.Int32
			w.on("got", func(context.Context, *actor, string) (string, error) { arrived.Add(1); return "", nil })
			w.on("send", func(ctx context.Context, _ *actor, _ string) (string, error) {
				return w.try(ctx, "Plain-to", "Write", "got", object.OneWay())
			})
			head := w.begin("Plain-from", "Write", "hold x")
			var senders []*pending
			for range 8 {
				senders = append(senders, w.begin("Plain-from", "Write", "send"))
			}
			w.open("x")
			if err := w.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			head.ok("x")
			for _, p := range senders {
				p.ok("")
			}
			if n := arrived.Load(); n != 8 || w.logText() != "" {
				t.Errorf("%d of 8 sends arrived; logged %q", n, w.logText())
			}
		})
		if t.Failed() {
			return
		}
	}
}

// What the hook at the end of a failed activation calls is called by the chain whose
// turn failed, for which the hook runs.
func TestHookOfAFailedActivationBelongsToTheChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		var refused error
		w.on("OnDeactivate", func(ctx context.Context, _ *actor, _ string) (string, error) {
			_, refused = w.Call(ctx, "Plain-a", "Write", wrapperspb.String("echo 1"))
			return "", nil
		})
		began := time.Now()
		_, err := w.do("Plain-a", "Write", "call Hook-b.Write ! panic x")
		wantErr(t, err, object.ErrInternal, object.ExecutedYes)
		wantErr(t, refused, object.ErrDeadlock, object.ExecutedNo, "Plain-a.Write → ")
		if d := time.Since(began); d != 0 {
			t.Errorf("took %v", d)
		}
		w.must("Plain-a", "Write", "echo 1")
	})
}
