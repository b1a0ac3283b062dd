package node_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

func TestCyclesAreRefusedAndNamed(t *testing.T) {
	t.Parallel()
	const deadlock = "the call would wait for itself: "
	for _, c := range []struct{ name, start, request, cycle string }{
		{"itself", "Plain-a.Write", "call Plain-a.Write", "Plain-a.Write → Plain-a.Write"},
		{"two", "Plain-a.Write", "call Plain-b.Write > Plain-a.Write", "Plain-a.Write → Plain-b.Write → Plain-a.Write"},
		{
			"three", "Plain-a.Write", "call Plain-b.Write > Plain-c.Read > Plain-a.Read",
			"Plain-a.Write → Plain-b.Write → Plain-c.Read → Plain-a.Read",
		},
		{"not from the start", "Plain-z.Write", "call Plain-a.Write > Plain-b.Write > Plain-a.Write", deadlock + "Plain-a.Write → Plain-b.Write → Plain-a.Write"},
		{"reader to writer", "Plain-a.Read", "call Plain-a.Write", "Plain-a.Read → Plain-a.Write"},
		{"writer to reader", "Plain-a.Write", "call Plain-a.Read", "Plain-a.Write → Plain-a.Read"},
		{"upgrade in a re-entrant object", "Loop-a.Read", "call Loop-a.Write", "Loop-a.Read → Loop-a.Write"},
		{"upgrade through another", "Loop-a.Read", "call Plain-b.Write > Loop-a.Write", "Loop-a.Read → Plain-b.Write → Loop-a.Write"},
		{"past a concurrent turn", "Plain-a.Write", "call Plain-a.Free > Plain-a.Write", "Plain-a.Write → Plain-a.Free → Plain-a.Write"},
		{"deletion of itself", "Plain-a.Write", "delete Plain-a", "Plain-a.Write → Plain-a.Delete"},
		{"deletion of itself, concurrent", "Plain-a.Free", "delete Plain-a", "Plain-a.Free → Plain-a.Delete"},
		{"deletion of itself, re-entrant", "Loop-a.Write", "delete Loop-a", "Loop-a.Write → Loop-a.Delete"},
		{"deletion of a caller", "Plain-a.Write", "call Plain-b.Write ! delete Plain-a", "Plain-a.Write → Plain-b.Write → Plain-a.Delete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				began := time.Now()
				var refused error
				w.on("delete", func(ctx context.Context, _ *actor, arg string) (string, error) {
					refused = w.Delete(ctx, arg)
					return "", refused
				})
				w.on("call", func(ctx context.Context, o *actor, arg string) (string, error) {
					out, err := callOn(ctx, o, arg)
					if refused == nil {
						refused = err // as the caller of the refused call saw it
					}
					return out, err
				})
				id, method, _ := cut(c.start)
				_, err := w.do(id, method, c.request)
				wantErr(t, refused, object.ErrDeadlock, object.ExecutedNo, c.cycle)
				wantErr(t, err, object.ErrDeadlock, object.ExecutedYes) // the method that got it did run
				if d := time.Since(began); d != 0 {
					t.Errorf("the refusal took %v", d)
				}
				w.must("Plain-a", "Write", "echo 1")
				w.must("Loop-a", "Write", "echo 1")
			})
		})
	}
}

func cut(path string) (id, method string, ok bool) {
	for i := range len(path) {
		if path[i] == '.' {
			return path[:i], path[i+1:], true
		}
	}
	return path, "", false
}

func TestChainsThatAreNoCycles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, start, request string }{
		{"long way", "Plain-a.Write", "call Plain-b.Write > Plain-c.Write > Plain-d.Read"},
		{"type with the same name", "Plain-a.Write", "call Endless-a.Write"},
		{"concurrent method of a held object", "Plain-a.Write", "call Plain-a.Free"},
		{"concurrent method, far", "Plain-a.Write", "call Plain-b.Write > Plain-a.Free"},
		{"concurrent of concurrent", "Plain-a.Free", "call Plain-a.Free > Plain-a.Free"},
		{"writer of a concurrent turn", "Plain-a.Free", "call Plain-a.Write"},
		{"reader in reader", "Plain-a.Read", "call Plain-a.Read > Plain-a.Read"},
		{"reader in reader, far", "Plain-a.Read", "call Plain-b.Write > Plain-a.Read"},
		{"re-entrant", "Loop-a.Write", "call Loop-a.Write"},
		{"re-entrant, deep", "Loop-a.Write", "call Loop-a.Write > Loop-a.Write > Loop-a.Write > Loop-a.Read"},
		{"re-entrant, far", "Loop-a.Write", "call Plain-b.Write > Loop-a.Write > Plain-c.Write > Loop-a.Read > Loop-a.Free"},
		{"two re-entrant ones", "Loop-a.Write", "call Loop-b.Write > Loop-a.Write > Loop-b.Write > Loop-a.Write"},
		{"reader in re-entrant reader", "Loop-a.Write", "call Loop-a.Read > Loop-a.Read"},
		{"re-entrant past a concurrent turn", "Loop-a.Write", "call Loop-a.Free > Loop-a.Write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				id, method, _ := cut(c.start)
				if out := w.must(id, method, c.request, object.WithMetadata("chain", "1")); out != "end" {
					t.Errorf("answer %q", out)
				}
				for _, id := range []string{"Plain-a", "Plain-b", "Loop-a", "Loop-b"} {
					w.must(id, "Write", "echo 1") // nothing is held any more
				}
			})
		})
	}
}

// A reader of a chain that holds the object as a reader must not queue behind a
// writer that waits for that very chain.
func TestReaderInReaderPassesAWaitingWriter(t *testing.T) {
	t.Parallel()
	for _, via := range []string{"", "Plain-b.Write > "} {
		inBubble(t, func(w *world) {
			w.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
				<-w.gate("go")
				return callOn(ctx, o, arg)
			})
			reader := w.begin("Plain-a", "Read", "later "+via+"Plain-a.Read")
			writer := w.begin("Plain-a", "Write", "note writer")
			other := w.begin("Plain-a", "Read", "note other")
			writer.running()
			other.running() // an unrelated reader keeps its place
			w.open("go")
			reader.ok("end")
			writer.ok("writer")
			other.ok("other")
			w.wantNotes("writer", "other")
		})
	}
}

func TestReentryExcludesUnrelatedCallers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		outer := w.begin("Loop-a", "Write", "call Plain-b.Write > Loop-a.Write ! hold in", object.WithMetadata("chain", "1"))
		stranger := w.begin("Loop-a", "Write", "note stranger")
		reader := w.begin("Loop-a", "Read", "note reader")
		w.wantNotes("in")
		stranger.running()
		w.open("in")
		outer.ok("in")
		stranger.ok("stranger")
		reader.ok("reader")
		w.wantNotes("stranger", "reader")
	})
}

// Two branches of one chain come back to the object at the same time: they run one
// after the other.
func TestParallelBranchesReenterOneAtATime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		inside := 0
		w.on("visit", func(ctx context.Context, _ *actor, arg string) (string, error) {
			if inside++; inside != 1 { // the race detector watches as well
				t.Errorf("%d branches inside at once", inside)
			}
			sleepIn(ctx, time.Second)
			inside--
			w.note("%s", arg)
			return "", nil
		})
		w.on("fork", func(ctx context.Context, _ *actor, _ string) (string, error) {
			done := make(chan error)
			for _, via := range []string{"Plain-b", "Plain-c", "Plain-d"} {
				go func() {
					_, err := w.Call(ctx, via, "Write", wrapperspb.String("call Loop-a.Write ! visit "+via))
					done <- err
				}()
				<-time.After(time.Millisecond)
			}
			for range 3 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			return "", nil
		})
		w.must("Loop-a", "Write", "fork", object.WithMetadata("chain", "1"))
		w.wantNotes("Plain-b", "Plain-c", "Plain-d")
	})
}

func sleepIn(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// A method that does not wait for its own re-entrant call must not leave it running
// beside the next turn.
func TestReentrantCallLeftBehindHoldsTheObject(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("leave", func(ctx context.Context, _ *actor, _ string) (string, error) {
			w.spawn(ctx, "Loop-a", "Write", "hold in")
			<-time.After(time.Millisecond)
			return "", nil
		})
		outer := w.begin("Loop-a", "Write", "leave", object.WithMetadata("chain", "1"))
		next := w.begin("Loop-a", "Write", "note next")
		sleep(time.Second)
		w.wantNotes("in")
		next.running()
		w.open("in")
		outer.ok("")
		next.ok("next")
	})
}

// A detached method inside a turn of its own chain does not run beside that turn: the
// call returns when the method does.
func TestDetachedReentrantTurnHoldsTheObject(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("try", func(ctx context.Context, _ *actor, _ string) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := w.Call(ctx, "Loop-a", "Loose", wrapperspb.String("hold in"))
			w.note("back: %v", err)
			return "", nil
		})
		outer := w.begin("Loop-a", "Write", "try", object.WithMetadata("chain", "1"))
		next := w.begin("Loop-a", "Write", "note next")
		sleep(5 * time.Second)
		w.wantNotes("in")
		next.running()
		w.open("in")
		outer.ok("")
		next.ok("next")
		w.wantNotes("back: <nil>", "next")
	})
}

func TestContextKeptAfterItsTurn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		out := make(chan context.Context, 1)
		w.on("keep", func(ctx context.Context, _ *actor, _ string) (string, error) { out <- ctx; return "", nil })
		w.must("Plain-a", "Write", "keep", object.WithMetadata("m", "1"))
		kept := <-out
		_, err := w.try(kept, "Plain-b", "Write", "note ran")
		wantErr(t, err, object.ErrCanceled, object.ExecutedNo)
		_, err = w.Create(kept, "Plain", "Plain-new", nil)
		wantErr(t, err, object.ErrCanceled, object.ExecutedNo)
		wantErr(t, w.Delete(kept, "Plain-a"), object.ErrCanceled, object.ExecutedNo)
		w.wantNotes()

		// Who takes the cancellation out on purpose calls from outside any turn: it
		// waits for the object like everybody else, and is no deadlock.
		w.on("later", func(ctx context.Context, _ *actor, _ string) (string, error) {
			p := w.spawn(context.WithoutCancel(ctx), "Plain-a", "Write", "note own")
			w.on("result", func(context.Context, *actor, string) (string, error) { return p.wait() })
			return "", nil
		})
		w.must("Plain-a", "Write", "later")
		if own := w.must("Plain-b", "Write", "result"); own != "own" {
			t.Errorf("answer %q", own)
		}
	})
}

// A chain of contexts that outlive their turns is not a call chain and grows no depth.
func TestSuccessorsOfEndedTurnsAreNoChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		kept := make(chan context.Context, 1)
		w.on("keep", func(ctx context.Context, _ *actor, _ string) (string, error) {
			kept <- context.WithoutCancel(ctx)
			return object.MetadataFrom(ctx)["m"], nil
		})
		w.must("Plain-a", "Write", "keep", object.WithMetadata("m", "1"))
		for i := range 100 {
			if out, err := w.try(<-kept, "Plain-a", "Write", "keep"); err != nil || out != "1" {
				t.Fatalf("call %d: %q, %v", i, out, err)
			}
		}
	})
}

func TestDepthLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		path := func(n int) string {
			s := "call Plain-1.Write"
			for range n - 2 {
				s += " > Plain-2.Free"
			}
			return s
		}
		if out := w.must("Plain-0", "Write", path(32)); out != "end" {
			t.Errorf("32 calls: %q", out)
		}
		_, err := w.do("Plain-0", "Write", path(33))
		wantErr(t, err, object.ErrFailedPrecondition, object.ExecutedYes, "longer than 32")
	})
}

func TestHooksMayNotCallTheirOwnObject(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free"} {
		inBubble(t, func(w *world) {
			var errs []error
			own := func(ctx context.Context, o *actor, _ string) (string, error) {
				_, err := w.try(ctx, o.ID(), method, "echo")
				errs = append(errs, err)
				_, err = callOn(ctx, o, "Plain-b.Write > "+o.ID()+"."+method)
				errs = append(errs, err)
				return "", nil
			}
			for _, hook := range []string{"OnCreate", "OnActivate", "OnDeactivate"} {
				w.on(hook, own)
			}
			if _, err := w.Create(w.t.Context(), "Hook", "Hook-a", nil); err != nil {
				t.Fatal(err)
			}
			if err := w.Delete(w.t.Context(), "Hook-a"); err != nil {
				t.Fatal(err)
			}
			if len(errs) != 6 {
				t.Fatalf("%d refusals, want 6", len(errs))
			}
			for i, err := range errs {
				wantErr(t, err, object.ErrDeadlock, []object.Execution{object.ExecutedNo, object.ExecutedYes}[i%2],
					"Hook-a."+[]string{"OnCreate", "OnActivate", "OnDeactivate"}[i/2]+" → ")
			}
		})
	}
}

// A chain goes through the activation that it causes.
func TestActivationBelongsToTheChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnActivate", func(ctx context.Context, o *actor, _ string) (string, error) { return callOn(ctx, o, "Plain-a.Write") })
		_, err := w.do("Plain-a", "Write", "call Hook-b.Write")
		wantErr(t, err, object.ErrDeadlock, object.ExecutedYes, "Plain-a.Write → Hook-b.OnActivate → Plain-a.Write")
		w.must("Hook-b", "Write", "echo 1") // alone it is fine
	})
}

func TestCreateInChains(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("create", func(ctx context.Context, _ *actor, arg string) (string, error) {
			return w.Create(ctx, "Hook", arg, nil)
		})
		if out := w.must("Plain-a", "Write", "create Hook-b"); out != "Hook-b" {
			t.Errorf("created %q", out)
		}
		_, err := w.do("Plain-a", "Write", "create Hook-b")
		wantErr(t, err, object.ErrAlreadyExists, object.ExecutedYes)
		_, err = w.do("Hook-b", "Write", "create Hook-b") // it holds the object and so knows that it exists
		wantErr(t, err, object.ErrAlreadyExists, object.ExecutedYes)
		_, err = w.do("Hook-b", "Free", "create Hook-b")
		wantErr(t, err, object.ErrAlreadyExists, object.ExecutedYes)
	})
}
