package node

import (
	"context"
	"log/slog"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// sluggish is an object that takes a minute to come up, and whose method does what its runtime says.
type sluggish struct{ object.BaseObject }

func (*sluggish) OnActivate(context.Context) error {
	time.Sleep(time.Minute) //nolint:forbidigo // virtual time
	return nil
}

func (*sluggish) Run(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	rt, _ := object.FromContext(ctx)
	return &emptypb.Empty{}, rt.(*hostRuntime).run(ctx)
}

// hostRuntime is the runtime of sluggish objects.
type hostRuntime struct {
	object.Runtime

	run func(ctx context.Context) error
}

// linkedTo is how many contexts end with the node's era, beside what tells those that follow it.
func linkedTo(n *Node) int {
	return reflect.ValueOf(n.era.Load().ctx).Elem().FieldByName("children").Len() - 1
}

// The context of a turn that is refused after somebody has looked at it does not stay
// linked to the node.
func TestRefusedTurnsAreNotLinkedToTheNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := object.NewRegistry()
		if err := r.RegisterObjectType((*sluggish)(nil), object.TypeName("Slow"), object.Reentrant(), object.IdleTimeout(-1)); err != nil {
			t.Fatal(err)
		}
		rt := &hostRuntime{}
		n := New(Config{Registry: r, Clock: clock.Virtual(), Logger: slog.New(slog.DiscardHandler), Shards: 1, Runtime: rt})
		if err := n.OpenShard(t.Context(), 0, 1, nil); err != nil {
			t.Fatal(err)
		}
		// One that expires while its object is activated.
		rt.run = func(context.Context) error { return nil }
		_, err := n.Call(t.Context(), "Slow-1", "Run", nil)
		if object.CodeOf(err) != object.CodeDeadlineExceeded {
			t.Errorf("it ended with %v", err)
		}
		if got := linkedTo(n); got != 0 {
			t.Errorf("%d contexts are linked to the node after a call that expired", got)
		}
		// One that waits to come back into an object and is refused by a fence.
		rt.run = func(ctx context.Context) error {
			holder := n.callerTurn(ctx)
			holder.inside() <- struct{}{}
			ended := make(chan error, 1)
			go func() {
				_, err := n.Call(ctx, "Slow-1", "Run", nil)
				ended <- err
			}()
			synctest.Wait()
			n.closed.Or(closedByFence)
			<-holder.inside()
			err := <-ended
			n.closed.And(^closedByFence)
			return err
		}
		if _, err = n.Call(t.Context(), "Slow-1", "Run", nil); object.CodeOf(err) != object.CodeUnavailable {
			t.Errorf("it ended with %v", err)
		}
		if got := linkedTo(n); got != 0 {
			t.Errorf("%d contexts are linked to the node after a call that was fenced", got)
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Nobody begins to wait for an object once all turns were cut off: who waited before was told so, and nobody looks again.
func TestNobodyQueuesAfterTheCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := object.NewRegistry()
		if err := r.RegisterObjectType((*sluggish)(nil), object.TypeName("Slow"), object.CallTimeout(-1)); err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		rt := &hostRuntime{run: func(context.Context) error { <-release; return nil }}
		n := New(Config{Registry: r, Clock: clock.Virtual(), Logger: slog.New(slog.DiscardHandler), Shards: 1, Runtime: rt})
		if err := n.OpenShard(t.Context(), 0, 1, nil); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = n.Call(t.Context(), "Slow-1", "Run", nil) }()
		time.Sleep(2 * time.Minute)                               //nolint:forbidigo // virtual time
		late := &turn{parent: t.Context(), msg: &emptypb.Empty{}} // which has passed the door before
		to, m, err := n.resolve(late, "Slow-1", nil, &wanted{name: "Run"})
		if err != nil {
			t.Fatal(err)
		}
		late.runs(m)
		n.kill(context.Canceled)
		if w, err := n.seat(late, to.activation, to.typ); object.CodeOf(err) != object.CodeUnavailable {
			t.Errorf("it waits (%v), or was refused with %v", w != nil, err)
		}
		close(release)
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
