package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// A call by method expression finds the method of that type only.
func TestInvoke(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		invoke := func(id string, expr object.Expr, opts ...object.CallOption) (string, error) {
			reply, err := w.Invoke(w.t.Context(), id, expr, wrapperspb.String("echo x"), opts...)
			if err != nil || reply == nil {
				return "", err
			}
			return reply.(*str).GetValue(), nil
		}
		for range 2 { // cold and warm
			for _, id := range []string{"Plain-a", "Loop-a"} { // two names of one Go type
				if out, err := invoke(id, object.ExprOf((*actor).Write)); err != nil || out != "x" {
					t.Errorf("%s: %q, %v", id, out, err)
				}
			}
			_, err := invoke("nest-a", object.ExprOf((*actor).Write))
			wantErr(w.t, err, object.ErrInvalidArgument, object.ExecutedNo, "actor", "nest")
			_, err = invoke("Hook-a", object.ExprOf((*actor).Write)) // embeds it, but is another type
			wantErr(w.t, err, object.ErrInvalidArgument, object.ExecutedNo)
			_, err = invoke("nest-a", object.ExprOf((*actor).Write), object.OneWay())
			wantErr(w.t, err, object.ErrInvalidArgument, object.ExecutedNo)
			_, err = invoke("Nobody-a", object.ExprOf((*actor).Write))
			wantErr(w.t, err, object.ErrNotRegistered, object.ExecutedNo)
			_, err = invoke("Plain-a", object.ExprOf(func(*actor, context.Context, *str) (*str, error) { return nil, nil }))
			wantErr(w.t, err, object.ErrUnknownMethod, object.ExecutedNo)
		}
		w.countRuns()
		for range 2 {
			if out, err := w.Invoke(w.t.Context(), "Plain-a", object.ExprOf((*actor).Write), wrapperspb.String("run"), object.WithIdempotencyKey("k")); err != nil || out.(*str).GetValue() != "run 1" {
				t.Errorf("%v, %v", out, err)
			}
		}
		if n := w.Activations(); n != 2 {
			t.Errorf("%d activations", n)
		}
	}, func(r *object.Registry) error { return r.RegisterObjectType((*nest)(nil)) })
}

// What a node's own configuration sets: timeouts, the fence, the view of errors.
func TestConfig(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := object.NewRegistry()
		if err := typed((*actor)(nil), "Plain")(r); err != nil {
			t.Fatal(err)
		}
		w := &world{scene: &scene{t: t, actions: make(map[string]action), gates: make(map[string]chan struct{})}}
		w.standardActions()
		refuse := errors.New("no fence")
		fenced := ""
		w.Node = node.New(node.Config{
			Registry: r, Clock: clock.Virtual(), Runtime: w, Logger: slog.New(slog.DiscardHandler), Shards: 4,
			IdleTimeout: 2 * time.Minute, CallTimeout: -1,
			AppError: func(err error) *object.Error { return object.NewError(object.CodeDataLoss, "seen: "+err.Error()) },
			Fence: func(_ context.Context, s uint32, epoch uint64) error {
				fenced += fmt.Sprintf("%d@%d ", s, epoch)
				if epoch == 1 {
					return refuse
				}
				return nil
			},
		})
		stop := w.sweep()
		s := w.ShardOf("Plain-a")
		if err := w.OpenShard(t.Context(), s, 1, nil); !errors.Is(err, refuse) || w.Epoch(s) != 0 {
			t.Errorf("OpenShard behind a fence: %v, epoch %d", err, w.Epoch(s))
		}
		_, err := w.do("Plain-a", "Write", "nothing")
		wantErr(t, err, object.ErrUnavailable, object.ExecutedNo)
		if err := w.OpenShard(t.Context(), s, 2, nil); err != nil || w.Epoch(s) != 2 {
			t.Errorf("OpenShard: %v, epoch %d", err, w.Epoch(s))
		}
		if want := fmt.Sprintf("%d@1 %d@2 ", s, s); fenced != want {
			t.Errorf("fenced %q, want %q", fenced, want)
		}
		w.on("deadline", func(ctx context.Context, _ *actor, _ string) (string, error) {
			_, ok := ctx.Deadline()
			return fmt.Sprint(ok), nil
		})
		if out := w.must("Plain-a", "Write", "deadline"); out != "false" {
			t.Error("a deadline, where the node sets none")
		}
		_, err = w.do("Plain-a", "Write", "fail x")
		wantErr(t, err, object.ErrDataLoss, object.ExecutedYes, "seen: ", "x")
		sleep(2*time.Minute - 1)
		if n := w.Activations(); n != 1 {
			t.Errorf("%d activations before the idle time", n)
		}
		sleep(30*time.Second + 1) // two sweeps, each an eighth of the idle time
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations after the idle time", n)
		}
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		stop()
	})
}

// Two nodes in one process never mix: a turn of one is no chain of the other, and
// sees its own runtime.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, two := newWorld(t, clock.Virtual()), newWorld(t, clock.Virtual())
		two.on("runtime", func(ctx context.Context, _ *actor, _ string) (string, error) {
			rt, _ := object.FromContext(ctx)
			return fmt.Sprint(rt == object.Runtime(two)), nil
		})
		one.on("across", func(ctx context.Context, o *actor, _ string) (string, error) {
			out, err := two.try(ctx, o.ID(), "Write", "runtime") // the same ID, another object
			if err != nil {
				return "", err
			}
			_, err = two.try(ctx, "Plain-b", "Write", "note one way", object.OneWay())
			return out, err
		})
		if out := one.must("Plain-a", "Write", "across"); out != "true" {
			t.Errorf("the other node's turn saw the wrong runtime")
		}
		synctest.Wait()
		two.wantNotes("one way")
		for _, w := range []*world{one, two} {
			if err := w.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
