package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// depart makes the departure of a call from a turn that is held, as a chain would.
func forge(w *world, holder, target string) (d node.Departure, end func()) {
	got := make(chan node.Departure)
	w.on("depart", func(ctx context.Context, _ *actor, _ string) (string, error) {
		var d node.Departure
		if err := w.Depart(ctx, &d, target, "Write", word("nothing"), nil); err != nil {
			return "", err
		}
		defer d.Release()
		got <- d
		<-w.gate("held")
		return "", nil
	})
	p := w.spawn(w.t.Context(), holder, "Write", "depart", object.WithMetadata("chain", "1"))
	d = <-got
	return d, func() { w.open("held"); _, _ = p.wait() }
}

// What a chain from another node says lets nothing in that the turns of this node do
// not.
func TestForgedChains(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, _ *world) {
		loop, other := a.id("Loop", 3), a.ids("Loop", 3, 2)[1]
		d, end := forge(a, loop, a.id("Plain", 12))
		defer end()
		if len(d.Chain) != 1 || d.Chain[0].ID != loop || d.Chain[0].Method != "Write" || d.Chain[0].Turn == (node.TurnID{}) {
			t.Fatalf("chain %v", d.Chain)
		}
		own := d.Chain[0]
		flip := func(at int) node.Step {
			s := own
			s.Turn[at] ^= 1
			return s
		}
		long := make([]node.Step, 1000)
		for i := range long {
			long[i] = own
		}
		arrive := func(id string, chain []node.Step) (object.Reply, error) {
			ctx, cancel := context.WithTimeout(a.t.Context(), time.Second)
			defer cancel()
			return a.Arrive(ctx, node.Departure{
				Request: object.Request{
					ID: id, Method: "Write", Message: strName, Body: encoded(a.t, word("note ran")), Metadata: map[string]string{"chain": "1"},
				},
				Chain: chain,
			})()
		}
		for name, c := range map[string]struct {
			chain []node.Step
			want  error
		}{
			"none":                    {nil, object.ErrDeadlineExceeded},
			"no turn":                 {[]node.Step{{ID: loop, Method: "Write"}}, object.ErrDeadlineExceeded},
			"unknown turn":            {[]node.Step{flip(15)}, object.ErrDeadlineExceeded},
			"another node's turn":     {[]node.Step{flip(0)}, object.ErrDeadlineExceeded},
			"another object's turn":   {[]node.Step{{ID: other, Method: "Write", Turn: own.Turn}}, object.ErrDeadlineExceeded},
			"garbage":                 {[]node.Step{{ID: "", Method: "\xff", Turn: flip(3).Turn}, {}}, object.ErrDeadlineExceeded},
			"beyond one that is over": {[]node.Step{own, flip(15)}, object.ErrDeadlineExceeded},
			"a thousand steps":        {long, object.ErrFailedPrecondition},
			"too many":                {long[:32], object.ErrFailedPrecondition},
		} {
			_, err := arrive(loop, c.chain)
			if !errors.Is(err, c.want) || object.Executed(err) != object.ExecutedNo || errors.Is(err, object.ErrDeadlock) {
				t.Errorf("%s: %v", name, err)
			}
		}
		a.wantNotes()
		// The real one, whatever else is there.
		for _, chain := range [][]node.Step{{own}, {flip(0), own}, {own, flip(0)}, {own, {}}, {own, {ID: loop, Method: "Write"}}, long[:31]} {
			if _, err := arrive(loop, chain); err != nil {
				t.Error(err)
			}
			a.wantNotes("ran")
		}
		// It is an object of the shard: a drain lets it in, but not on the word of others.
		drain := a.drain(a.t.Context(), 3)
		if _, err := arrive(other, []node.Step{own}); err != nil {
			t.Error(err)
		}
		a.wantNotes("ran")
		synctest.Wait()
		for _, chain := range [][]node.Step{nil, {flip(15)}, {{ID: loop, Method: "Write"}}, {{ID: other, Method: "Write", Turn: own.Turn}}} {
			_, err := arrive(a.ids("Loop", 3, 3)[2], chain)
			wantErr(t, err, object.ErrUnavailable, object.ExecutedNo)
		}
		end()
		drain.ok()
		_, err := arrive(loop, []node.Step{own})
		wantErr(t, err, object.ErrUnavailable, object.ExecutedNo)
	})
}

// Metadata, keys and replies cross nodes; so do errors, and the encoded reply of a replay.
func TestWhatCrossesNodes(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, _ *world) {
		here, there := a.id("Plain", 3), a.id("Plain", 12)
		a.on("meta", func(ctx context.Context, _ *actor, _ string) (string, error) {
			a.note("ran")
			m := object.MetadataFrom(ctx)
			return m["a"] + m["b"] + m["c"] + object.IdempotencyKey(ctx), nil
		})
		a.on("relay", func(ctx context.Context, _ *actor, _ string) (string, error) {
			reply, err := worldOf(ctx).Call(ctx, there, "Write", word("meta"),
				object.WithMetadata("b", "2"), object.WithMetadata("c", "3"), object.WithIdempotencyKey("k"))
			return reply.(*str).GetValue(), err
		})
		for range 2 {
			if out := a.must(here, "Write", "relay", object.WithMetadata("a", "1"), object.WithMetadata("b", "?"), object.WithIdempotencyKey("own")); out != "123k" {
				t.Errorf("%q", out)
			}
		}
		a.wantNotes("ran")
		_, err := a.do(there, "Write", "fail with this")
		wantErr(t, err, object.ErrAborted, object.ExecutedYes, "with this")
		_, err = a.do(there, "Nothing", "x")
		wantErr(t, err, object.ErrUnknownMethod, object.ExecutedNo)
		_, err = a.Call(a.t.Context(), there, "Write", wrapperspb.Bool(true))
		wantErr(t, err, object.ErrInvalidArgument, object.ExecutedNo, "BoolValue")
		_, err = a.Call(a.t.Context(), there, "Write", word("\xff"))
		wantErr(t, err, object.ErrInvalidArgument, object.ExecutedNo, "encode")
		_, err = a.Call(a.t.Context(), there, "Write", word("nothing"), object.WithIdempotencyKey(strings.Repeat("k", 257)))
		wantErr(t, err, object.ErrInvalidArgument, object.ExecutedNo, "256")
		for _, req := range []*str{nil, {}} {
			a.on("", func(context.Context, *actor, string) (string, error) { return "empty", nil })
			if out, err := a.Call(a.t.Context(), there, "Write", req); err != nil || out.(*str).GetValue() != "empty" {
				t.Errorf("%v, %v", out, err)
			}
		}
		var d node.Departure
		if err := a.Depart(a.t.Context(), &d, there, "Write", nil, nil); err != nil {
			t.Fatal(err)
		}
		d.Release()
		for _, r := range []object.Reply{{Message: "no.such.Message"}, {Message: strName, Body: []byte{0xff}}} {
			_, err := d.Decode(r)
			wantErr(t, err, object.ErrInternal, object.ExecutedYes, "decode", there)
		}
	})
}

// A one-way call that has arrived ends with its own deadline, not with who brought it.
func TestOneWayCallThatArrives(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		busy := w.begin("Plain-a", "Write", "hold x")
		done := make(chan error, 2)
		for _, method := range []string{"Write", "Hurry"} {
			run := w.Arrive(ctx, node.Departure{
				Request: object.Request{ID: "Plain-a", Method: method, Message: strName, Body: encoded(w.t, word("heed "+method))}, OneWay: true,
			})
			go func() { _, err := run(); done <- err }()
		}
		cancel()
		sleep(2 * time.Second)
		wantErr(t, <-done, object.ErrDeadlineExceeded, object.ExecutedNo) // Hurry, which waited
		w.open("x")
		busy.ok("x")
		synctest.Wait()
		w.wantNotes("x", "Write")
		w.open("Write")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// One-way calls from one object to another arrive once, while the other moves to and fro
// and while some targets are slow to reach. They keep their order where they all go the
// same way.
func TestOneWayCallsArriveThroughMoves(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
		sender := a.id("Plain", 3)
		targets := []string{a.id("Saver", 5), a.id("Saver", 6), a.id("Saver", 12)}
		n := 0
		a.on("send", func(ctx context.Context, _ *actor, _ string) (string, error) {
			for range 3 {
				n++
				for _, id := range targets {
					if _, err := worldOf(ctx).Call(ctx, id, "Write", word(fmt.Sprintf("put %d,", n)), object.OneWay()); err != nil {
						return "", err
					}
				}
			}
			return "", nil
		})
		stuck := a.begin(a.ids("Plain", 6, 1)[0], "Write", "hold x") // shard 6 cannot be left for a while
		move := a.drain(a.t.Context(), 6)
		from := a
		for range 20 {
			a.must(sender, "Write", "send")
			from.move(5)
			a.must(sender, "Write", "send")
			from = from.peer
			a.must(sender, "Write", "send")
		}
		synctest.Wait()
		want := ""
		for i := range n {
			want += fmt.Sprintf("%d,", i+1)
		}
		for _, id := range []string{targets[0], targets[2]} { // they did not wait for the other
			if out := a.must(id, "Write", "get"); id == targets[2] && out != want || !slices.Equal(numbers(out), numbers(want)) {
				t.Errorf("%s received %s", id, out)
			}
		}
		a.open("x")
		stuck.ok("x")
		state := move.ok()
		a.ReleaseShard(6, 1)
		if err := b.OpenShard(a.t.Context(), 6, 2, state); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if out := a.must(targets[1], "Write", "get"); out != want {
			t.Errorf("%s received %s", targets[1], out)
		}
	})
}

// numbers are those in a list, sorted.
func numbers(list string) []string {
	all := strings.Split(list, ",")
	slices.Sort(all)
	return all
}
