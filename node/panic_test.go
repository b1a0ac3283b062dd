package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
)

func TestPanicDropsTheActivation(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free", "Loose"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.on("OnDeactivate", func(_ context.Context, _ *actor, reason string) (string, error) {
					w.note("%s", reason)
					return "", nil
				})
				before := w.must("Hook-a", "Write", "who")
				_, err := w.do("Hook-a", method, "panic the secret of the house")
				wantErr(w.t, err, object.ErrInternal, object.ExecutedYes, "panicked")
				if strings.Contains(err.Error(), "secret") {
					w.t.Errorf("the error tells what only the log should: %v", err)
				}
				for _, part := range []string{"the secret of the house", "actor_test.go", "Hook-a"} {
					if !strings.Contains(w.logText(), part) {
						w.t.Errorf("the log does not say %q", part)
					}
				}
				w.wantNotes("failed")
				if after := w.must("Hook-a", "Write", "who"); after == before {
					w.t.Error("the activation survived the panic")
				}
			})
		})
	}
}

// Those who wait behind a panic run on the next activation, in order.
func TestWaitersGoOnAfterAPanic(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(_ context.Context, _ *actor, reason string) (string, error) { w.note("%s", reason); return "", nil })
		w.on("OnActivate", func(context.Context, *actor, string) (string, error) { w.note("up"); return "", nil })
		w.on("burst", func(context.Context, *actor, string) (string, error) { <-w.gate("burst"); panic("burst") })
		head := w.begin("Hook-a", "Write", "burst")
		var calls []*pending
		for i := range 10 {
			method := "Write"
			if i == 4 {
				method = "Read"
			}
			calls = append(calls, w.begin("Hook-a", method, fmt.Sprintf("note %d", i)))
		}
		w.open("burst")
		head.fails(object.ErrInternal, object.ExecutedYes)
		for i, p := range calls {
			p.ok(fmt.Sprint(i))
		}
		w.wantNotes("up", "failed", "up", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	})
}

// Panic after panic, each on an activation of its own, with calls between them.
func TestManyPanicsInARow(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		head := w.begin("Plain-a", "Write", "hold head")
		var calls []*pending
		for i := range 100 {
			if i%2 == 0 {
				calls = append(calls, w.begin("Plain-a", "Write", "panic"))
			} else {
				calls = append(calls, w.begin("Plain-a", "Write", "who"))
			}
		}
		w.open("head")
		head.ok("head")
		last := ""
		for i, p := range calls {
			if i%2 == 0 {
				p.fails(object.ErrInternal, object.ExecutedYes)
				continue
			}
			out, err := p.wait()
			if err != nil || out == last {
				w.t.Errorf("call %d: activation %s after %s, %v", i, out, last, err)
			}
			last = out
		}
	})
}

// Turns beside the one that panics finish on the old activation; who comes later
// waits for the next.
func TestTurnsBesideAPanicFinish(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(_ context.Context, _ *actor, reason string) (string, error) { w.note("%s", reason); return "", nil })
		w.must("Hook-a", "Write", "who")
		reader := w.begin("Hook-a", "Read", "hold reader")
		free := w.begin("Hook-a", "Free", "hold free")
		_, err := w.do("Hook-a", "Read", "panic")
		wantErr(w.t, err, object.ErrInternal, object.ExecutedYes)
		later := []*pending{w.begin("Hook-a", "Free", "who"), w.begin("Hook-a", "Read", "who"), w.begin("Hook-a", "Write", "who")}
		for _, p := range later {
			p.running()
		}
		w.open("reader")
		reader.ok("reader")
		later[0].running()
		w.open("free")
		free.ok("free")
		for _, p := range later {
			p.ok("2")
		}
		w.wantNotes("reader", "free", "failed")
	})
}

// A concurrent turn may not wait for the end of a failed activation, which waits for
// it: its calls back are refused as retriable.
func TestConcurrentTurnBesideAPanicCallsBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-w.gate("go")
			return callOn(ctx, o, arg)
		})
		chained := w.begin("Plain-a", "Free", "later Plain-b.Write > Plain-a.Write")
		_, err := w.do("Plain-a", "Write", "panic")
		wantErr(w.t, err, object.ErrInternal, object.ExecutedYes)
		waiting := w.begin("Plain-a", "Write", "echo next")
		waiting.running()
		began := time.Now()
		w.open("go")
		chained.fails(object.ErrUnavailable, object.ExecutedYes, "ending")
		waiting.ok("next")
		if d := time.Since(began); d != 0 {
			w.t.Errorf("took %v", d)
		}
	})
}

// The same where that call waits already when the panic comes.
func TestConcurrentTurnWaitsWhenAnotherPanics(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("burst", func(context.Context, *actor, string) (string, error) { <-w.gate("burst"); panic("burst") })
		bad := w.begin("Plain-a", "Write", "burst")
		chained := w.begin("Plain-a", "Free", "call Plain-a.Write ! echo back")
		waiting := w.begin("Plain-a", "Write", "echo next")
		chained.running()
		began := time.Now()
		w.open("burst")
		bad.fails(object.ErrInternal, object.ExecutedYes)
		chained.fails(object.ErrUnavailable, object.ExecutedYes, "ending")
		waiting.ok("next")
		if d := time.Since(began); d != 0 {
			w.t.Errorf("took %v", d)
		}
	})
}

func TestPanicInsideAReentrantTurn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("brave", func(ctx context.Context, o *actor, _ string) (string, error) {
			_, err := w.try(ctx, o.ID(), "Write", "panic")
			w.note("%v", object.Executed(err))
			return "done", nil
		})
		w.on("who", func(_ context.Context, o *actor, _ string) (string, error) { return fmt.Sprint(o.n), nil })
		w.must("Loop-a", "Write", "who")
		outer := w.begin("Loop-a", "Write", "brave", object.WithMetadata("chain", "1"))
		outer.ok("done")
		w.wantNotes("yes")
		if n := w.must("Loop-a", "Write", "who"); n != "1" {
			w.t.Errorf("turn %s of an activation that should be gone", n)
		}
	})
}

// A method that ends its goroutine ends no other's: the object, its waiters and its
// node go on.
func TestGoexitInAMethod(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free", "Loose"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				before := w.must("Plain-a", "Write", "who")
				head := w.begin("Plain-a", "Write", "hold head")
				exits := w.begin("Plain-a", method, "exit")
				next := w.begin("Plain-a", "Write", "who")
				third := w.begin("Plain-a", "Write", "who")
				w.open("head")
				head.ok("head")
				<-exits.done
				if method == "Loose" {
					exits.fails(object.ErrInternal, object.ExecutedYes, "exited")
				}
				next.ok("2")
				third.ok("2")
				if before != "1" {
					w.t.Errorf("began with activation %s", before)
				}
			})
		})
	}
}

// A detached method without any deadline that ends its goroutine: the call returns.
func TestGoexitInADetachedMethodWithoutDeadline(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		began := time.Now()
		_, err := w.do("Patient-a", "Loose", "exit")
		wantErr(w.t, err, object.ErrInternal, object.ExecutedYes)
		if err := w.send("Plain-a", "Write", "exit"); err != nil {
			w.t.Error(err)
		}
		sleep(0)
		if d := time.Since(began); d != 0 {
			w.t.Errorf("returned after %v", d)
		}
	}, typed((*actor)(nil), "Patient", object.CallTimeout(-1)))
}

// Hooks fail in every way: with an error, a panic, the end of their goroutine, an
// error that panics itself. Nothing of the activation is left, and the next call
// tries anew.
func TestHooksThatFail(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		do   func() error
		want error
	}{
		"error":          {func() error { return object.NewError(object.CodeAborted, "not today") }, object.ErrAborted},
		"foreign error":  {func() error { return errors.New("not today") }, object.ErrUnknown},
		"panic":          {func() error { panic("not today") }, object.ErrInternal},
		"exit":           {nil, object.ErrInternal},
		"panicking text": {func() error { return (*badError)(nil) }, object.ErrInternal},
		"nil *Error":     {func() error { var e *object.Error; return e }, object.ErrUnknown},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				fail := func(ctx context.Context, o *actor, _ string) (string, error) {
					<-w.gate("fail")
					if way.do == nil {
						return w.action("exit")(ctx, o, "")
					}
					return "", way.do()
				}
				w.on("OnActivate", fail)
				first := w.begin("Hook-a", "Write", "note first")
				second := w.begin("Hook-a", "Write", "note second")
				third := w.begin("Hook-a", "Free", "note third")
				w.open("fail")
				<-first.done // whose goroutine may have exited, without an outcome
				if name != "exit" {
					first.fails(way.want, object.ExecutedNo)
				}
				second.fails(way.want, object.ExecutedNo, "Hook-a")
				third.fails(way.want, object.ExecutedNo)
				if n := w.Activations(); n != 0 {
					w.t.Errorf("%d activations are left", n)
				}

				w.on("OnActivate", nil)
				w.on("OnCreate", fail)
				creates := make(chan error, 1)
				creates <- errors.New("no outcome")
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, err := w.Create(w.t.Context(), "Hook", "Hook-a", nil)
					<-creates
					creates <- err
				}()
				<-done
				if err := <-creates; name != "exit" {
					wantErr(w.t, err, way.want, object.ExecutedNo)
				}
				if n := w.Activations(); n != 0 {
					w.t.Errorf("%d activations are left", n)
				}
				w.wantNotes()
				w.must("Hook-a", "Write", "note works")

				w.on("OnDeactivate", fail)
				sleep(2 * time.Minute) // idle
				if n := w.Activations(); n != 0 {
					w.t.Errorf("%d activations are left: a failing OnDeactivate does not stop the end", n)
				}
				if name != "exit" && !strings.Contains(w.logText(), "Hook-a") {
					w.t.Error("the failure of OnDeactivate is not in the log")
				}
				w.must("Hook-a", "Write", "note works")
				deleted := make(chan struct{})
				go func() { defer close(deleted); _ = w.Delete(w.t.Context(), "Hook-a") }()
				<-deleted
				if n := w.Activations(); n != 0 {
					w.t.Errorf("%d activations are left after Delete", n)
				}
				w.wantNotes("works", "works")
			})
		})
	}
}

// badError is an error that panics when it is asked for its text.
type badError struct{ text string }

func (e *badError) Error() string { return e.text }

func TestPanickingErrorOfAMethod(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("bad", func(context.Context, *actor, string) (string, error) { return "", (*badError)(nil) })
		_, err := w.do("Plain-a", "Write", "bad")
		wantErr(w.t, err, object.ErrInternal, object.ExecutedYes)
		w.must("Plain-a", "Write", "nothing")
	})
}

// An error text of a failing activation reaches the caller also through others.
func TestActivationErrorCrossesTheChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnActivate", func(context.Context, *actor, string) (string, error) {
			return "", object.NewError(object.CodeDataLoss, "the file is gone")
		})
		_, err := w.do("Plain-a", "Write", "call Plain-b.Write > Hook-c.Write")
		wantErr(w.t, err, object.ErrDataLoss, object.ExecutedYes, "the file is gone", "Hook-c")
	})
}
