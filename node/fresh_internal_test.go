package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

type quiet struct{ object.BaseObject }

func (*quiet) Nothing(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// What is between the two steps of a call's arrival: its object is in memory, and nobody
// activates it yet.
func TestReleaseAndSuspensionBetweenTheStepsOfAnArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := object.NewRegistry()
		if err := r.RegisterObjectType((*quiet)(nil), object.TypeName("Quiet")); err != nil {
			t.Fatal(err)
		}
		n := New(Config{Registry: r, Clock: clock.Virtual(), Logger: slog.New(slog.DiscardHandler), Shards: 1})
		ctx := t.Context()
		arrive := func(id string) (*turn, *activation) {
			tn := &turn{parent: ctx, act: n.newActivation(id, r.Lookup("Quiet"))}
			tn.runs(tn.act.typ.Method("Nothing"))
			a, err := n.put(tn, tn.act)
			if err != nil {
				t.Fatal(err)
			}
			return tn, a
		}
		if err := n.OpenShard(ctx, 0, 1, nil); err != nil {
			t.Fatal(err)
		}
		tn, a := arrive("Quiet-1")
		n.ReleaseShard(0, 1)
		if w, ok, err := n.enter(tn, a); w != nil || ok || err != nil {
			t.Errorf("entered a lost object: %v %v %v", w, ok, err)
		}
		synctest.Wait()
		if n.Activations() != 0 {
			t.Errorf("%d activations", n.Activations())
		}
		n.disown(a) // it is gone: nothing happens
		if err := n.OpenShard(ctx, 0, 2, nil); err != nil {
			t.Fatal(err)
		}
		tn, a = arrive("Quiet-1")
		n.Suspend(nil)
		if _, _, err := n.enter(tn, a); !errors.Is(err, object.ErrFenced) {
			t.Errorf("entered on a suspended node: %v", err)
		}
		n.Resume()
		n.coarse.Store(int64(object.DefaultIdleTimeout) * 2)
		for _, a := range n.idleIn(a.shard, int64(object.DefaultIdleTimeout)*3) {
			if a.closeIdle(int64(object.DefaultIdleTimeout)*3, n.patience(a, n.quantum)) {
				n.end(a, nil, ending{reason: object.ReasonIdle})
			}
		}
		if n.Activations() != 0 {
			t.Errorf("%d activations that nobody activates", n.Activations())
		}
		tn, _ = arrive("Quiet-1")
		if over, err := n.deleteKept(tn); over || err != nil {
			t.Errorf("deleted beside an object that comes up: %v %v", over, err)
		}
		if _, err := n.DrainShard(ctx, 0, 2); err != nil || n.Activations() != 0 {
			t.Errorf("drain: %v, %d activations", err, n.Activations())
		}
		if err := n.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
}
