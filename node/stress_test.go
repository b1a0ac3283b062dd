package node_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// bare has no synchronization at all, not even that of a watch: the race detector
// sees whether turns of one object follow each other.
type bare struct {
	object.BaseObject

	n     int64
	words map[string]int
}

func (b *bare) Add(ctx context.Context, req *str) (*wrapperspb.Int64Value, error) {
	if b.words == nil {
		b.words = make(map[string]int)
	}
	b.words[req.GetValue()]++
	b.n++
	if b.n%512 == 0 && req.GetValue() == "panics" {
		panic("now and then")
	}
	if b.n%64 == 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return wrapperspb.Int64(b.n), nil
}

func (b *bare) Get(context.Context, *str) (*wrapperspb.Int64Value, error) {
	sum := int64(0)
	for _, n := range b.words {
		sum += int64(n)
	}
	if sum != b.n {
		return nil, fmt.Errorf("a reader sees %d words in %d turns", sum, b.n)
	}
	return wrapperspb.Int64(b.n), nil
}

// Through adds to the object after it, as part of its own turn.
func (b *bare) Through(ctx context.Context, req *str) (*wrapperspb.Int64Value, error) {
	b.n++
	if b.words == nil {
		b.words = make(map[string]int)
	}
	b.words[""]++
	_, err := worldOf(ctx).Call(ctx, "Bare-last", "Add", req)
	return wrapperspb.Int64(b.n), err
}

// Leave is read-only and leaves a reader behind that is not waited for.
func (b *bare) Leave(ctx context.Context, _ *str) (*wrapperspb.Int64Value, error) {
	w, id, outlives := worldOf(ctx), b.ID(), context.WithoutCancel(ctx)
	left := w.left.Load()
	for range 3 {
		left.Go(func() {
			if _, err := w.Call(outlives, id, "Get", nil); err != nil {
				w.t.Error(err)
			}
		})
	}
	runtime.Gosched()
	return nil, nil
}

func bareType(name string, opts ...object.RegisterOption) registration {
	return func(r *object.Registry) error {
		opts := append([]object.RegisterOption{object.TypeName(name), object.Concurrency(object.ReadOnly, "Get", "Leave")}, opts...)
		return r.RegisterObjectType((*bare)(nil), opts...)
	}
}

// Turns of one object follow each other, for the race detector and for the sums,
// whichever way they are admitted: idle, queued, handed over, after cancellations.
func TestTurnsFollowEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System(), bareType("Bare"))
	const callers, calls = 8, 2500
	var added atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range calls {
				ctx, cancel := context.WithCancel(t.Context())
				method := []string{"Add", "Add", "Get", "Through", "Add"}[rand.IntN(5)]
				id := []string{"Bare-0", "Bare-1"}[rand.IntN(2)]
				if i%10 == 0 {
					go cancel()
				}
				_, err := w.Call(ctx, id, method, wrapperspb.String("w"))
				switch {
				case err == nil && method != "Get":
					added.Add(1)
				case err != nil && object.Executed(err) == object.ExecutedUnknown && i%10 == 0:
					added.Add(1) // Add counts before it looks at its context
				case err != nil && method == "Through" && object.Executed(err) == object.ExecutedYes && errors.Is(err, object.ErrCanceled):
					added.Add(1) // the call it makes was refused
				case err != nil && (object.Executed(err) != object.ExecutedNo || i%10 != 0):
					t.Errorf("%s: %v, executed=%v", method, err, object.Executed(err))
				}
				cancel()
			}
		})
	}
	wg.Wait()
	sum := int64(0)
	for _, id := range []string{"Bare-0", "Bare-1"} {
		reply, err := w.Call(t.Context(), id, "Get", wrapperspb.String(""))
		if err != nil {
			t.Fatal(err)
		}
		sum += reply.(*wrapperspb.Int64Value).GetValue()
	}
	if sum != added.Load() {
		t.Errorf("%d turns left their mark, %d were answered so", sum, added.Load())
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// What a turn leaves behind is no part of it once it has ended: it does not get past
// the writers then.
func TestLeftBehindCallsTakeTheirTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System(), bareType("Bare"))
	var left sync.WaitGroup
	w.left.Store(&left)
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			for range 700 {
				if _, err := w.Call(t.Context(), "Bare-0", []string{"Add", "Leave"}[g%2], nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	left.Wait()
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// The same beside everything that ends activations: idleness in milliseconds,
// deletions, panics, creations. Each call is answered, with what such a call may get.
func TestTurnsAndEndsOfActivations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System(), bareType("Bare", object.IdleTimeout(1)))
	stop := w.sweep()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				id := []string{"Bare-0", "Bare-1", "Bare-2"}[rand.IntN(3)]
				var err error
				what := rand.IntN(20)
				switch what {
				case 0:
					err = w.Delete(t.Context(), id)
				case 1:
					_, err = w.Create(t.Context(), "Bare", id, nil)
				case 2, 3:
					_, err = w.Call(t.Context(), id, "Get", nil)
				case 4:
					_, err = w.Call(t.Context(), id, "Through", nil)
				case 5:
					_, err = w.Call(t.Context(), id, "Add", nil, object.OneWay())
				default:
					_, err = w.Call(t.Context(), id, "Add", wrapperspb.String("panics"))
				}
				switch {
				case err == nil, what == 1 && errors.Is(err, object.ErrAlreadyExists), what > 5 && errors.Is(err, object.ErrInternal):
				default:
					t.Errorf("operation %d: %v", what, err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.Activations(); n != 0 {
		t.Errorf("%d activations are left", n)
	}
	stop()
}

// Many objects come and go in few shards. Each belongs to one goroutine, which must
// find it exactly as it left it, however its neighbours move in the tables.
func TestObjectsComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System(), bareType("Bare"))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			turns := make(map[string]int64)
			for i := range 6000 {
				id := fmt.Sprintf("Bare-%d-%d", g, rand.IntN(40+i/20))
				switch n, there := turns[id]; rand.IntN(5) {
				case 0, 1:
					if _, err := w.Create(t.Context(), "Bare", id, nil); there == (err == nil) {
						t.Errorf("create %s, there %v: %v", id, there, err)
					}
					if !there {
						turns[id] = 0
					}
				case 2:
					if err := w.Delete(t.Context(), id); err != nil {
						t.Error(err)
					}
					delete(turns, id)
				default:
					reply, err := w.Call(t.Context(), id, "Add", nil)
					if err != nil || reply.(*wrapperspb.Int64Value).GetValue() != n+1 {
						t.Errorf("%s after %d turns: %v, %v", id, n, reply, err)
					}
					turns[id] = n + 1
				}
			}
		})
	}
	wg.Wait()
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.Activations(); n != 0 {
		t.Errorf("%d activations are left", n)
	}
}

// Objects are found while others make the tables grow that they are in.
func TestDeletionWhileTablesGrow(t *testing.T) {
	t.Parallel()
	for range 2 {
		w := newWorld(t, clock.System(), bareType("Bare"))
		var wg sync.WaitGroup
		var full atomic.Bool
		wg.Go(func() {
			defer full.Store(true)
			for i := range 6000 {
				if _, err := w.Call(t.Context(), fmt.Sprintf("Bare-other-%d", i), "Add", nil); err != nil {
					t.Error(err)
				}
			}
		})
		for i := 0; !full.Load(); i++ {
			own := fmt.Sprintf("Bare-own-%d", i%500)
			reply, err := w.Call(t.Context(), own, "Add", nil)
			if err != nil || reply.(*wrapperspb.Int64Value).GetValue() != 1 {
				t.Errorf("a deleted object answers %v, %v", reply, err)
			}
			if err := w.Delete(t.Context(), own); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Chains come back to their objects from several goroutines at once.
func TestReentryUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System(), bareType("Bare"), typed((*actor)(nil), "Ring", object.Reentrant()))
	w.on("ring", func(ctx context.Context, o *actor, _ string) (string, error) {
		o.n++ // of this turn's chain alone
		before := o.n
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := w.try(ctx, "Plain-"+o.Name(), "Free", "call "+o.ID()+".Write ! within"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if o.n != before+4 { // Write counts once, and within once more
			t.Errorf("%d turns inside, want 4 steps", o.n-before)
		}
		return "", nil
	})
	w.on("within", func(_ context.Context, o *actor, _ string) (string, error) { o.n++; return "", nil })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				chain := object.WithMetadata("chain", fmt.Sprintf("%d %d", g, i))
				if _, err := w.do(fmt.Sprintf("Ring-%d", i%2), "Write", "ring", chain); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
