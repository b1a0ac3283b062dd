package node_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// inPair runs f on two nodes of one scene in virtual time. The first has the shards
// below 8, the second the others. Calls find their way by [world.route].
func inPair(t *testing.T, f func(a, b *world), types ...registration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(t, clock.Virtual(), types...)
		defer a.sweep()()
		defer b.sweep()()
		defer func() { // also after Fatal
			a.openAll()
			a.Resume()
			b.Resume()
			for _, w := range []*world{a, b} {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if err := w.Stop(ctx); err != nil {
					t.Errorf("Stop: %v", err)
				}
				cancel()
				if n := w.Activations(); n != 0 {
					t.Errorf("%d activations after Stop", n)
				}
				if w.Away() != 0 || w.Lines() != 0 {
					t.Errorf("%d calls and %d lines to other nodes after Stop", w.Away(), w.Lines())
				}
			}
		}()
		f(a, b)
	})
}

func newPair(t *testing.T, c clock.Clock, types ...registration) (a, b *world) {
	t.Helper()
	s := &scene{t: t, actions: make(map[string]action), gates: make(map[string]chan struct{})}
	a, b = newNode(s, c, types...), newNode(s, c, types...)
	a.peer, b.peer = b, a
	a.openShards(0, 8)
	b.openShards(8, 16)
	a.standardActions()
	return a, b
}

// Call implements [object.Runtime]: where there are two nodes, the call goes to the one
// that takes it.
func (w *world) Call(ctx context.Context, id, method string, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
	if w.peer == nil {
		return w.Node.Call(ctx, id, method, req, opts...)
	}
	for {
		gates := w.gatesOf(id)
		reply, err := w.Node.Call(ctx, id, method, req, opts...)
		if !refusedHere(err) {
			return reply, err
		}
		reply, err = w.callPeer(ctx, id, method, req, opts)
		if !refusedHere(err) {
			return reply, err
		}
		select {
		case <-gates[0]:
		case <-gates[1]:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// gatesOf returns what is closed when the gate of the object's shard changes.
func (w *world) gatesOf(id string) (changed [2]<-chan struct{}) {
	_, _, changed[0] = w.Gate(w.ShardOf(id))
	_, _, changed[1] = w.peer.Gate(w.ShardOf(id))
	return changed
}

// refusedHere reports whether a node has refused a call because it is not the one to
// run it.
func refusedHere(err error) bool {
	return object.CodeOf(err) == object.CodeUnavailable && object.Executed(err) == object.ExecutedNo
}

// callPeer sends a call to the other node, which is told when the caller leaves.
func (w *world) callPeer(ctx context.Context, id, method string, req proto.Message, opts []object.CallOption) (proto.Message, error) {
	var d node.Departure
	if err := w.Depart(ctx, &d, id, method, req, opts); err != nil {
		return nil, err
	}
	defer d.Release()
	if _, isOpen, _ := w.peer.Gate(w.ShardOf(id)); d.OneWay && !isOpen {
		return nil, object.NewError(object.CodeUnavailable, "not there").WithExecuted(object.ExecutedNo)
	}
	there, cancel := context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, cancel)()
	run := w.peer.Arrive(there, d)
	type outcome struct {
		reply object.Reply
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		defer cancel()
		reply, err := run()
		if d.OneWay && refusedHere(err) { // nobody else would try it again
			_, err = w.peer.Call(context.WithoutCancel(ctx), id, method, req, opts...)
		}
		done <- outcome{reply, err}
	}()
	if d.OneWay {
		return nil, nil
	}
	select {
	case o := <-done:
		if o.err != nil {
			return nil, o.err
		}
		return d.Decode(o.reply)
	case <-ctx.Done():
		return nil, object.FromError(ctx.Err()).WithExecuted(object.ExecutedUnknown)
	}
}

// ids returns IDs of a type in one shard.
func (w *world) ids(typ string, shard uint32, count int) (ids []string) {
	for i := 0; len(ids) < count; i++ {
		if id := fmt.Sprintf("%s-%d", typ, i); w.ShardOf(id) == shard {
			ids = append(ids, id)
		}
	}
	return ids
}

// id returns the first ID of a type in a shard.
func (w *world) id(typ string, shard uint32) string { return w.ids(typ, shard, 1)[0] }

// drained is a drain on a goroutine of its own.
type drained struct {
	w     *world
	shard uint32
	done  chan struct{}
	state []node.Kept
	err   error
}

// drain drains a shard of epoch 1; in a bubble it returns when that is blocked or over.
func (w *world) drain(ctx context.Context, shard uint32) *drained {
	d := &drained{w: w, shard: shard, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.state, d.err = w.DrainShard(ctx, shard, w.Epoch(shard))
	}()
	synctest.Wait()
	return d
}

func (d *drained) running() {
	d.w.t.Helper()
	select {
	case <-d.done:
		d.w.t.Errorf("the drain of shard %d has returned: %v", d.shard, d.err)
	default:
	}
}

// ok waits for the drain and returns what the objects want to have.
func (d *drained) ok() []node.Kept {
	d.w.t.Helper()
	<-d.done
	if d.err != nil {
		d.w.t.Fatalf("drain shard %d: %v", d.shard, d.err)
	}
	if _, isOpen, _ := d.w.Gate(d.shard); isOpen {
		d.w.t.Errorf("shard %d is open after its drain", d.shard)
	}
	return d.state
}

// move drains a shard here and opens it on the other node.
func (w *world) move(shard uint32) {
	w.t.Helper()
	epoch := w.Epoch(shard)
	state, err := w.DrainShard(w.t.Context(), shard, epoch)
	if err != nil {
		w.t.Fatalf("drain shard %d: %v", shard, err)
	}
	w.ReleaseShard(shard, epoch)
	if err := w.peer.OpenShard(w.t.Context(), shard, epoch+1, state); err != nil {
		w.t.Fatalf("open shard %d: %v", shard, err)
	}
}

// hearAll notes the hooks of the given names, with object and argument.
func (w *world) hearAll(hooks ...string) {
	for _, hook := range hooks {
		w.on(hook, func(_ context.Context, o *actor, arg string) (string, error) {
			w.note("%s %s %s", o.ID(), hook, arg)
			return "", nil
		})
	}
}

// wantNoted is wantNotes where the order does not matter.
func (w *world) wantNoted(want ...string) {
	w.t.Helper()
	got := w.notes()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("noted %q, want %q", got, want)
	}
}
