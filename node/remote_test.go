package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// places replaces "Plain-a" by an ID on the first node, "Plain-B" by one on the second.
func places(a, b *world, s string) string {
	var pairs []string
	for _, typ := range []string{"Plain", "Loop"} {
		for i, letter := range []string{"a", "c", "e"} {
			pairs = append(pairs, typ+"-"+letter, a.ids(typ, 3, 3)[i])
			pairs = append(pairs, typ+"-"+strings.ToUpper(letter), b.ids(typ, 12, 3)[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

func TestCyclesAcrossNodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, start, request, cycle string }{
		{"there and back", "Plain-a.Write", "call Plain-B.Write > Plain-a.Write", ": Plain-a.Write → Plain-B.Write → Plain-a.Write"},
		{"from the other node", "Plain-A.Write", "call Plain-c.Write > Plain-A.Write", ": Plain-A.Write → Plain-c.Write → Plain-A.Write"},
		{
			"to and fro", "Plain-a.Write", "call Plain-A.Write > Plain-c.Write > Plain-C.Write > Plain-a.Write",
			": Plain-a.Write → Plain-A.Write → Plain-c.Write → Plain-C.Write → Plain-a.Write",
		},
		{
			"one in the middle", "Plain-a.Write", "call Plain-A.Write > Plain-c.Write > Plain-C.Write > Plain-A.Read",
			": Plain-A.Write → Plain-c.Write → Plain-C.Write → Plain-A.Read",
		},
		{
			"two in a row on each node", "Plain-a.Write", "call Plain-c.Write > Plain-A.Write > Plain-C.Write > Plain-c.Write",
			": Plain-c.Write → Plain-A.Write → Plain-C.Write → Plain-c.Write",
		},
		{
			"the first of two in a row", "Plain-a.Write", "call Plain-c.Write > Plain-A.Write > Plain-C.Write > Plain-a.Write",
			": Plain-a.Write → Plain-c.Write → Plain-A.Write → Plain-C.Write → Plain-a.Write",
		},
		{"reader to writer", "Plain-a.Read", "call Plain-B.Write > Plain-a.Write", ": Plain-a.Read → Plain-B.Write → Plain-a.Write"},
		{"upgrade in a re-entrant object", "Loop-a.Read", "call Plain-B.Write > Loop-a.Write", ": Loop-a.Read → Plain-B.Write → Loop-a.Write"},
		{
			"past a concurrent turn", "Plain-a.Write", "call Plain-A.Write > Plain-a.Free > Plain-C.Write > Plain-a.Write",
			": Plain-a.Write → Plain-A.Write → Plain-a.Free → Plain-C.Write → Plain-a.Write",
		},
		{"detached", "Plain-a.Loose", "call Plain-A.Loose > Plain-a.Loose", ": Plain-a.Loose → Plain-A.Loose → Plain-a.Loose"},
		{"deletion of a caller", "Plain-a.Write", "call Plain-A.Write > Plain-c.Write ! delete Plain-a", ": Plain-a.Write → Plain-A.Write → Plain-c.Write → Plain-a.Delete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inPair(t, func(a, b *world) {
				began := time.Now()
				var refused error
				a.on("delete", func(ctx context.Context, _ *actor, arg string) (string, error) {
					refused = a.Delete(ctx, arg)
					return "", refused
				})
				a.on("call", func(ctx context.Context, o *actor, arg string) (string, error) {
					out, err := callOn(ctx, o, arg)
					if refused == nil {
						refused = err
					}
					return out, err
				})
				expand := func(s string) string { return places(a, b, strings.ReplaceAll(s, "Plain-B", "Plain-E")) }
				id, method, _ := cut(expand(c.start))
				_, err := a.do(id, method, expand(c.request))
				wantErr(t, refused, object.ErrDeadlock, object.ExecutedNo, expand(c.cycle))
				wantErr(t, err, object.ErrDeadlock, object.ExecutedYes)
				if d := time.Since(began); d != 0 {
					t.Errorf("the refusal took %v", d)
				}
				for _, id := range []string{"Plain-a", "Plain-c", "Plain-A", "Plain-C", "Loop-a"} {
					a.must(expand(id), "Write", "nothing")
				}
			})
		})
	}
}

func TestChainsAcrossNodesThatAreNoCycles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, start, request string }{
		{"long way", "Plain-a.Write", "call Plain-A.Write > Plain-c.Write > Plain-C.Read"},
		{"concurrent method of a held object", "Plain-a.Write", "call Plain-A.Write > Plain-a.Free"},
		{"writer of a concurrent turn", "Plain-a.Free", "call Plain-A.Write > Plain-a.Write"},
		{"reader in reader", "Plain-a.Read", "call Plain-A.Write > Plain-a.Read"},
		{"re-entrant", "Loop-a.Write", "call Plain-A.Write > Loop-a.Write > Plain-C.Write > Loop-a.Read > Loop-a.Free"},
		{"two re-entrant ones", "Loop-a.Write", "call Loop-A.Write > Loop-a.Write > Loop-A.Write > Loop-a.Write > Loop-A.Read"},
		{"re-entrant, detached on the way", "Loop-a.Loose", "call Plain-A.Loose > Loop-a.Loose > Plain-C.Loose > Loop-a.Loose"},
		{"re-entrant past a concurrent turn", "Loop-a.Write", "call Plain-A.Write > Loop-a.Free > Plain-C.Write > Loop-a.Write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inPair(t, func(a, b *world) {
				id, method, _ := cut(places(a, b, c.start))
				if out := a.must(id, method, places(a, b, c.request), object.WithMetadata("chain", "1")); out != "end" {
					t.Errorf("answer %q", out)
				}
				for _, id := range []string{"Plain-a", "Plain-c", "Plain-A", "Plain-C", "Loop-a", "Loop-A"} {
					a.must(places(a, b, id), "Write", "nothing")
				}
			})
		})
	}
}

// A reader of a chain that holds the object as a reader passes a waiting writer, also by
// way of another node; others do not.
func TestReaderInReaderAcrossNodes(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
		a.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-a.gate("go")
			return callOn(ctx, o, arg)
		})
		id, via := a.id("Plain", 3), a.id("Plain", 12)
		reader := a.begin(id, "Read", "later "+via+".Write > "+id+".Read")
		writer := a.begin(id, "Write", "note writer")
		other := b.begin(id, "Read", "note other")
		writer.running()
		other.running()
		a.open("go")
		reader.ok("end")
		writer.ok("writer")
		other.ok("other")
		a.wantNotes("writer", "other")
	})
}

// The limit of a chain is that of its calls, wherever they run.
func TestDepthAcrossNodes(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
		here, there := a.ids("Plain", 3, 20), a.ids("Plain", 12, 20)
		path := func(n int) string {
			var steps []string
			for i := range n {
				steps = append(steps, []string{there[i/2], here[i/2]}[i%2]+".Write")
			}
			return "call " + strings.Join(steps, " > ")
		}
		if out := a.must(a.id("Plain", 4), "Write", path(31)); out != "end" {
			t.Errorf("answer %q", out)
		}
		_, err := a.do(a.id("Plain", 4), "Write", path(32))
		wantErr(t, err, object.ErrFailedPrecondition, object.ExecutedYes, "32")
	})
}

// A turn that has ended waits for nothing that it left behind: such a call neither
// re-enters the objects of the chain, nor is refused as a deadlock. It waits.
func TestLeftoversAcrossNodes(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"Loop", "Plain"} {
		for _, far := range []int{0, 1} { // how the leftover gets to the object: after another turn of the chain's first node
			inPair(t, func(a, b *world) {
				first, second, third := a.id(typ, 3), a.id("Plain", 12), a.id("Plain", 4)
				fourth := a.id("Plain", 13)
				var left sync.WaitGroup
				leftover := make(chan error, 1)
				a.on("leave", func(ctx context.Context, _ *actor, _ string) (string, error) {
					outlives := context.WithoutCancel(ctx)
					arrived := make(chan struct{})
					a.on("last", func(ctx context.Context, _ *actor, _ string) (string, error) {
						close(arrived)
						<-a.gate("left")
						_, err := worldOf(ctx).Call(context.WithoutCancel(ctx), first, "Write", word("note leftover"))
						leftover <- err
						return "", nil
					})
					left.Go(func() {
						_, _ = callOn(outlives, nil, []string{third + ".Write ! last", third + ".Write > " + fourth + ".Write ! last"}[far])
					})
					<-arrived
					return "", nil
				})
				a.on("first", func(ctx context.Context, o *actor, _ string) (string, error) {
					out, err := callOn(ctx, o, second+".Write ! leave")
					a.note("back")
					<-a.gate("first")
					a.note("ends")
					return out, err
				})
				p := a.begin(first, "Patient", "first")
				a.wantNotes("back")
				a.open("left")
				sleep(time.Second)
				a.wantNotes() // it waits
				a.open("first")
				if _, err := p.wait(); err != nil {
					t.Error(err)
				}
				if err := <-leftover; err != nil {
					t.Error(err)
				}
				left.Wait()
				a.wantNotes("ends", "leftover")
			})
		}
	}
}

// A call that its caller has left, as its time was over, is no part of the chain any
// more either.
func TestLeftCallsAcrossNodes(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
		first, second := a.id("Loop", 3), a.id("Plain", 12)
		late := make(chan error, 1)
		a.on("back", func(ctx context.Context, _ *actor, _ string) (string, error) {
			<-a.gate("left")
			_, err := worldOf(ctx).Call(context.WithoutCancel(ctx), first, "Write", word("note late"))
			late <- err
			return "", nil
		})
		a.on("first", func(ctx context.Context, _ *actor, _ string) (string, error) {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := worldOf(ctx).Call(short, second, "Write", word("back"))
			wantErr(t, err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
			<-a.gate("first")
			a.note("ends")
			return "", nil
		})
		p := a.begin(first, "Patient", "first")
		sleep(2 * time.Second)
		a.open("left")
		sleep(time.Second)
		a.open("first")
		if _, err := p.wait(); err != nil {
			t.Error(err)
		}
		if err := <-late; err != nil {
			t.Error(err)
		}
		a.wantNotes("ends", "late")
	})
}

// A re-entrant call that waits for another one inside does not run there when its caller
// has gone on meanwhile.
func TestReentranceAfterTheCallerHasGoneOn(t *testing.T) {
	t.Parallel()
	for _, shard := range []uint32{4, 12} { // here, there
		inPair(t, func(a, b *world) {
			first, second := a.id("Loop", 3), a.id("Plain", shard)
			var left sync.WaitGroup
			a.on("leave", func(ctx context.Context, _ *actor, _ string) (string, error) {
				outlives, w := context.WithoutCancel(ctx), worldOf(ctx)
				left.Go(func() { _, _ = w.Call(outlives, first, "Write", word("hold inside")) })
				synctest.Wait()
				left.Go(func() {
					if _, err := w.Call(outlives, first, "Write", word("note late")); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				return "", nil
			})
			a.on("first", func(ctx context.Context, o *actor, _ string) (string, error) {
				if _, err := callOn(ctx, o, second+".Write ! leave"); err != nil {
					return "", err
				}
				<-a.gate("first")
				a.note("ends")
				return "", nil
			})
			p := a.spawn(a.t.Context(), first, "Patient", "first", object.WithMetadata("chain", "1"))
			sleep(time.Second)
			a.open("inside")
			sleep(time.Second)
			a.wantNotes("inside") // which was let in while its caller was waited for
			a.open("first")
			if _, err := p.wait(); err != nil {
				t.Error(err)
			}
			left.Wait()
			a.wantNotes("ends", "late")
		})
	}
}

// depart makes the departure of a call from a turn that is held, as a chain would.
func forge(w *world, holder, target string) (d node.Departure, end func()) {
	got := make(chan node.Departure)
	w.on("depart", func(ctx context.Context, _ *actor, _ string) (string, error) {
		d, _, release, err := w.Depart(ctx, target, "Write", word("nothing"), nil)
		if err != nil {
			return "", err
		}
		defer release()
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
	inPair(t, func(a, b *world) {
		loop, other := a.id("Loop", 3), a.ids("Loop", 3, 2)[1]
		d, end := forge(a, loop, a.id("Plain", 12))
		defer end()
		if len(d.Chain) != 1 || d.Chain[0].ID != loop || d.Chain[0].Method != "Write" || d.Chain[0].Turn == (node.TurnID{}) {
			t.Fatalf("chain %v", d.Chain)
		}
		real := d.Chain[0]
		flip := func(at int) node.Step {
			s := real
			s.Turn[at] ^= 1
			return s
		}
		long := make([]node.Step, 1000)
		for i := range long {
			long[i] = real
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
			"another object's turn":   {[]node.Step{{ID: other, Method: "Write", Turn: real.Turn}}, object.ErrDeadlineExceeded},
			"garbage":                 {[]node.Step{{ID: "", Method: "\xff", Turn: flip(3).Turn}, {}}, object.ErrDeadlineExceeded},
			"beyond one that is over": {[]node.Step{real, flip(15)}, object.ErrDeadlineExceeded},
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
		for _, chain := range [][]node.Step{{real}, {flip(0), real}, {real, flip(0)}, {real, {}}, {real, {ID: loop, Method: "Write"}}, long[:31]} {
			if _, err := arrive(loop, chain); err != nil {
				t.Error(err)
			}
			a.wantNotes("ran")
		}
		// It is an object of the shard: a drain lets it in, but not on the word of others.
		drain := a.drain(a.t.Context(), 3)
		if _, err := arrive(other, []node.Step{real}); err != nil {
			t.Error(err)
		}
		a.wantNotes("ran")
		synctest.Wait()
		for _, chain := range [][]node.Step{nil, {flip(15)}, {{ID: loop, Method: "Write"}}, {{ID: other, Method: "Write", Turn: real.Turn}}} {
			_, err := arrive(a.ids("Loop", 3, 3)[2], chain)
			wantErr(t, err, object.ErrUnavailable, object.ExecutedNo)
		}
		end()
		drain.ok()
		_, err := arrive(loop, []node.Step{real})
		wantErr(t, err, object.ErrUnavailable, object.ExecutedNo)
	})
}

// Metadata, keys and replies cross nodes; so do errors, and the encoded reply of a replay.
func TestWhatCrossesNodes(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
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
		_, decode, release, err := a.Depart(a.t.Context(), there, "Write", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		release()
		for _, r := range []object.Reply{{Message: "no.such.Message"}, {Message: strName, Body: []byte{0xff}}} {
			_, err := decode(r)
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

// One-way calls from one object to another keep their order, while the other moves to and
// fro and while some targets are slow to reach.
func TestOneWayCallsKeepTheirOrderThroughMoves(t *testing.T) {
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
			if out := a.must(id, "Write", "get"); out != want {
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

// A drain admits the calls of its chains that come by way of another node.
func TestDrainAdmitsChainsAcrossNodes(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
		in, out := a.ids("Plain", 3, 4), a.ids("Plain", 12, 3)
		saver := a.id("Saver", 3)
		a.must(saver, "Write", "put old")
		a.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-a.gate("go")
			return callOn(ctx, o, arg)
		})
		ps := []*pending{
			a.begin(in[0], "Write", "call "+out[0]+".Write ! later "+in[1]+".Write > "+out[1]+".Write > "+saver+".Read ! get"),
			b.begin(in[2], "Read", "later "+out[2]+".Write > "+in[3]+".Free ! echo old"), // its caller is on the other node
		}
		d := a.drain(a.t.Context(), 3)
		outside := b.begin(out[2], "Free", "call "+in[0]+".Read ! echo moved") // waits for the move
		a.open("go")
		for _, p := range ps {
			p.ok("old")
		}
		state := d.ok()
		outside.running()
		a.ReleaseShard(3, 1)
		if err := b.OpenShard(a.t.Context(), 3, 2, state); err != nil {
			t.Fatal(err)
		}
		outside.ok("moved")
		if out := a.must(saver, "Write", "get"); out != "old" {
			t.Errorf("it remembers %q", out)
		}
	})
}
