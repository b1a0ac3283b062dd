package node_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
	inPair(t, func(a, _ *world) {
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
		local := "call " + there[0] + ".Write > " + strings.Join(a.ids("Plain", 5, 31), ".Write > ") + ".Write"
		_, err = a.do(a.id("Plain", 4), "Write", local)
		wantErr(t, err, object.ErrFailedPrecondition, object.ExecutedYes, "32")
	})
}

// A turn that has ended waits for nothing that it left behind: such a call neither
// re-enters the objects of the chain, nor is refused as a deadlock. It waits.
func TestLeftoversAcrossNodes(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"Loop", "Plain"} {
		for _, far := range []int{0, 1} { // how the leftover gets to the object: after another turn of the chain's first node
			inPair(t, func(a, _ *world) {
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
	inPair(t, func(a, _ *world) {
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
		inPair(t, func(a, _ *world) {
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

// The chain ends at the turn that has ended, although its own callers, further out, wait
// for each other still.
func TestLeftoversInTheMiddleOfAChain(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, _ *world) {
		first, second, third, fourth := a.id("Loop", 3), a.id("Plain", 12), a.id("Plain", 4), a.id("Plain", 13)
		leftover := make(chan error, 1)
		a.on("last", func(ctx context.Context, _ *actor, _ string) (string, error) {
			<-a.gate("last")
			_, err := worldOf(ctx).Call(ctx, first, "Write", word("note leftover"))
			leftover <- err
			return "", nil
		})
		var left sync.WaitGroup
		a.on("third", func(ctx context.Context, _ *actor, _ string) (string, error) {
			outlives, w := context.WithoutCancel(ctx), worldOf(ctx)
			left.Go(func() { _, _ = w.Call(outlives, fourth, "Write", word("last")) })
			synctest.Wait()
			return "", nil
		})
		a.on("second", func(ctx context.Context, o *actor, _ string) (string, error) {
			out, err := callOn(ctx, o, third+".Write ! third")
			<-a.gate("second")
			a.note("second ends")
			return out, err
		})
		p := a.spawn(a.t.Context(), first, "Patient", "call "+second+".Patient ! second")
		sleep(time.Second)
		a.open("last")
		sleep(time.Second)
		a.open("second")
		if _, err := p.wait(); err != nil {
			t.Error(err)
		}
		if err := <-leftover; err != nil {
			t.Error(err)
		}
		left.Wait()
		a.wantNotes("second ends", "leftover")
	})
}
