package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// purse has no synchronization at all, and its sum moves along.
type purse struct {
	object.BaseObject

	sum int64
}

// Add adds one here, and as many times as the request says in the objects after this one,
// on the way through them all.
func (p *purse) Add(ctx context.Context, req *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
	p.sum++
	if req.GetValue() > 0 {
		var at int
		if _, err := fmt.Sscanf(p.ID(), "Purse-%d", &at); err != nil {
			return nil, err
		}
		next := fmt.Sprint("Purse-", at+1)
		if _, err := worldOf(ctx).Call(ctx, next, "Add", wrapperspb.Int64(req.GetValue()-1)); err != nil {
			return nil, err
		}
	}
	return wrapperspb.Int64(p.sum), nil
}

// Get is read-only.
func (p *purse) Get(context.Context, *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
	return wrapperspb.Int64(p.sum), nil
}

func (p *purse) OnSnapshot(context.Context) (proto.Message, error) {
	return wrapperspb.Int64(p.sum), nil
}

func (p *purse) OnRestore(_ context.Context, state proto.Message) error {
	p.sum += state.(*wrapperspb.Int64Value).GetValue()
	return nil
}

func purseType(r *object.Registry) error {
	return r.RegisterObjectType((*purse)(nil), object.TypeName("Purse"), object.Concurrency(object.ReadOnly, "Get"))
}

// Shards move to and fro, and drains are broken off, under calls from both nodes that
// pass through several objects. No call fails, none is lost, none runs twice.
func TestMovesUnderCalls(t *testing.T) {
	t.Parallel()
	a, b := newPair(t, clock.System(), purseType)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const objects, callers, moves = 24, 6, 400
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var added atomic.Int64
	progress := make(chan struct{}, 4) // a call has returned
	var calls sync.WaitGroup
	for i := range callers {
		w := []*world{a, b}[i%2]
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		calls.Go(func() {
			for ctx.Err() == nil {
				id, deep := fmt.Sprint("Purse-", r.IntN(objects)), r.Int64N(4)
				if r.IntN(5) == 0 {
					if _, err := w.Call(t.Context(), id, "Get", nil); err != nil {
						t.Error(err)
					}
					continue
				}
				if _, err := w.Call(t.Context(), id, "Add", wrapperspb.Int64(deep)); err != nil {
					t.Errorf("%s: %v, executed=%v", id, err, object.Executed(err))
				}
				added.Add(deep + 1)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	moved, broken := moveAbout(a, b, rand.New(rand.NewPCG(seed, 99)), moves, progress)
	cancel()
	calls.Wait()
	sum := int64(0)
	for i := range objects + 4 {
		reply, err := a.Call(t.Context(), fmt.Sprint("Purse-", i), "Get", nil)
		if err != nil {
			t.Fatal(err)
		}
		sum += reply.(*wrapperspb.Int64Value).GetValue()
	}
	if sum != added.Load() || sum == 0 || moved < moves/4 || broken == 0 {
		t.Errorf("the objects have %d of %d, %d moves, %d broken off", sum, added.Load(), moved, broken)
	}
	for _, w := range []*world{a, b} {
		if err := w.Stop(t.Context()); err != nil || w.Activations() != 0 {
			t.Errorf("Stop: %v, %d activations", err, w.Activations())
		}
	}
}

// moveAbout moves shards between the nodes, with a few calls in between; some drains have
// too little time.
func moveAbout(a, b *world, r *rand.Rand, moves int, progress <-chan struct{}) (moved, broken int) {
	for range moves {
		for range 4 {
			<-progress
		}
		shard := r.Uint32N(16)
		from := a
		if from.Epoch(shard) == 0 {
			from = b
		}
		epoch := from.Epoch(shard)
		limit := time.Minute
		if r.IntN(3) == 0 {
			limit = time.Duration(r.IntN(100)) * time.Microsecond
		}
		ctx, cancel := context.WithTimeout(a.t.Context(), limit)
		state, err := from.DrainShard(ctx, shard, epoch)
		cancel()
		if err != nil {
			broken++
		}
		if err != nil || r.IntN(5) == 0 {
			if err := from.ReopenShard(shard, epoch, state); err != nil {
				a.t.Error(err)
			}
			continue
		}
		moved++
		from.ReleaseShard(shard, epoch)
		if err := from.peer.OpenShard(a.t.Context(), shard, epoch+1, state); err != nil {
			a.t.Error(err)
		}
	}
	return moved, broken
}

// A drain waits for a turn that waits for an object whose turn waits for the drain: the
// gate lets that one pass after a moment, without a failure of anybody. Two shards that
// are drained at the same time can wait for each other as well.
func TestDrainsThatWouldWaitForEachOther(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
		a.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-a.gate("go")
			return callOn(ctx, o, arg)
		})
		third, tenth := a.ids("Saver", 3, 2), a.ids("Saver", 12, 2)
		between := a.id("Plain", 5)
		a.must(third[1], "Write", "put mem")
		ps := []*pending{
			a.begin(third[0], "Write", "later "+between+".Write"),
			b.begin(between, "Write", "later "+third[1]+".Write ! get"),
		}
		began := time.Now()
		d := a.drain(a.t.Context(), 3)
		a.open("go")
		ps[0].ok("end")
		ps[1].ok("mem")
		if state := d.ok(); len(state) != 1 || time.Since(began) > 50*time.Millisecond {
			t.Errorf("%v after %v", state, time.Since(began))
		}
		if err := a.ReopenShard(3, 1, d.state); err != nil {
			t.Fatal(err)
		}
		a.on("cross", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-a.gate("cross")
			return callOn(ctx, o, arg)
		})
		ps = []*pending{
			a.begin(third[0], "Write", "cross "+tenth[1]+".Write"),
			a.begin(tenth[0], "Write", "cross "+third[1]+".Write ! get"),
		}
		began = time.Now()
		d, e := a.drain(a.t.Context(), 3), b.drain(a.t.Context(), 12)
		for _, over := range []*drained{d, e} { // what did not get in before finds the shard where it is then
			go func() {
				<-over.done
				if over.err == nil {
					_ = over.w.ReopenShard(over.shard, over.w.Epoch(over.shard), over.state)
				}
			}()
		}
		a.open("cross")
		ps[0].ok("end")
		ps[1].ok("mem")
		<-d.done
		<-e.done
		if d.err != nil || e.err != nil || len(d.state) != 1 || len(e.state) != 0 || time.Since(began) > 100*time.Millisecond {
			t.Errorf("%v, %v and %v, %v after %v", d.state, d.err, e.state, e.err, time.Since(began))
		}
	})
}

// Whoever waits for a drain that takes long gets in now and then, and the drain comes to
// its end all the same; after one that was broken off the gate is closed.
func TestLongDrain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ids := w.ids("Saver", 3, 2)
		p := w.begin(ids[0], "Patient", "hold x")
		w.must(ids[1], "Write", "put 0")
		w.on("put", func(ctx context.Context, o *actor, arg string) (string, error) {
			sleepIn(ctx, 2*time.Millisecond)
			o.memory = arg
			return "", nil
		})
		ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
		defer cancel()
		d := w.drain(ctx, 3)
		n, longest, last, isOver := 0, time.Duration(0), time.Now(), false
		for !isOver {
			if _, isOpen, changed := w.Gate(3); !isOpen {
				select {
				case <-changed:
				case <-d.done:
					isOver = true
				}
				continue
			}
			_, err := w.do(ids[1], "Write", fmt.Sprint("put ", n+1))
			if err == nil {
				n++
				longest, last = max(longest, time.Since(last)), time.Now()
			}
		}
		if d.err == nil || n < 10 || longest > 6*time.Second {
			t.Errorf("%v, %d calls, the longest wait was %v", d.err, n, longest)
		}
		if _, isOpen, _ := w.Gate(3); isOpen {
			t.Error("the gate is open")
		}
		again := w.drain(w.t.Context(), 3)
		sleep(200 * time.Millisecond)
		again.running()
		w.open("x")
		p.ok("x")
		state := again.ok()
		if err := w.ReopenShard(3, 1, state); err != nil {
			t.Fatal(err)
		}
		w.remembers(ids[1], fmt.Sprint(n))
	})
}

// A drain comes to its end also where there would always be a turn that runs, and objects
// do not come and go with every call meanwhile.
func TestDrainOfABusyShard(t *testing.T) {
	t.Parallel()
	for _, takes := range []time.Duration{time.Millisecond, 100 * time.Millisecond} {
		inBubble(t, func(w *world) {
			var calls, ends atomic.Int64
			w.on("OnSnapshot", func(context.Context, *actor, string) (string, error) {
				ends.Add(1)
				return "", nil
			})
			w.on("take", func(ctx context.Context, _ *actor, _ string) (string, error) {
				sleepIn(ctx, takes)
				return "", nil
			})
			var callers sync.WaitGroup
			ctx, cancel := context.WithCancel(w.t.Context())
			ids := w.ids("Saver", 3, 31)
			for i, id := range ids[1:] {
				callers.Go(func() {
					sleepIn(ctx, time.Duration(i)*takes/30)
					for ctx.Err() == nil {
						_, _, changed := w.Gate(3)
						if _, err := w.do(id, "Write", "take"); err == nil {
							calls.Add(1)
							continue
						}
						select {
						case <-changed:
						case <-ctx.Done():
						}
					}
				})
			}
			sleep(time.Second)
			before := calls.Load()
			long := w.begin(ids[0], "Write", "hold x")
			began := time.Now()
			d := w.drain(w.t.Context(), 3)
			sleep(80 * time.Millisecond)
			w.open("x")
			long.ok("x")
			d.ok()
			t.Logf("takes %v: drained after %v, %d calls, %d ends", takes, time.Since(began), calls.Load()-before, ends.Load())
			if time.Since(began) > 3*time.Second {
				t.Errorf("it took %v", time.Since(began))
			}
			cancel()
			callers.Wait()
		})
	}
}
