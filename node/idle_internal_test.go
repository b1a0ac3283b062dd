package node

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

type slow struct{ object.BaseObject }

func (*slow) Wait(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (*slow) Nothing(context.Context, *emptypb.Empty) (*emptypb.Empty, error) { return nil, nil }

// What waiting leaves at an object, a queue and its timer, goes with the next sweep.
func TestSweepTakesTheQueueOfAnIdleObject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		types := object.NewRegistry()
		if err := types.RegisterObjectType((*slow)(nil), object.TypeName("Slow")); err != nil {
			t.Fatal(err)
		}
		n := New(Config{Registry: types, Clock: clock.Virtual(), Logger: slog.New(slog.DiscardHandler), Shards: 1})
		if err := n.OpenShard(t.Context(), 0, 1, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go n.Call(ctx, "Slow-1", "Wait", nil)
		synctest.Wait()
		waited := make(chan error)
		go func() {
			_, err := n.Call(t.Context(), "Slow-1", "Nothing", nil)
			waited <- err
		}()
		synctest.Wait()
		a := n.objects.find("Slow-1")
		if a.queue.len() != 1 {
			t.Fatal("no call waits")
		}
		n.shards[0].due = 0
		n.sweep()
		if a.queue.len() != 1 {
			t.Fatal("the sweep took the queue of a busy object")
		}
		cancel()
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		n.shards[0].due = 0
		n.sweep()
		if a.queue != nil {
			t.Error("the sweep left the queue of an idle object")
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
