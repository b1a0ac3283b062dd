package node_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

// create is a creation on a goroutine of its own, whose outcome comes; one whose goroutine
// exits comes to errNoOutcome.
func (w *world) create(id, init string) (outcome <-chan error) {
	created, err := make(chan error, 1), errNoOutcome
	go func() {
		defer func() { created <- err }()
		_, err = w.Create(w.t.Context(), "Hook", id, wrapperspb.String(init))
	}()
	synctest.Wait()
	return created
}

var errNoOutcome = errors.New("no outcome")

// refuseBad lets OnCreate wait for the gate "create" and refuse "bad" in some way, and returns
// what a creation fails with then.
func (w *world) refuseBad(way string) (want error) {
	w.on("OnCreate", func(ctx context.Context, o *actor, init string) (string, error) {
		<-w.gate("create")
		if init != "bad" {
			return "", nil
		}
		switch way {
		case "panic":
			panic(init)
		case "exit":
			return w.action("exit")(ctx, o, "")
		}
		return "", object.NewError(object.CodeInvalidArgument, "bad init")
	})
	switch way {
	case "panic":
		return object.ErrInternal
	case "exit":
		return errNoOutcome
	}
	return object.ErrInvalidArgument
}

// What a creation fails with concerns nobody else: calls that came meanwhile are carried
// out, in their order, as if it had not been.
func TestCallsBehindAFailingCreation(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"error", "panic", "exit"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				want := w.refuseBad(way)
				bad := w.create("Hook-a", "bad")
				var calls []*pending
				for _, method := range []string{"Write", "Read", "Free", "Loose"} {
					calls = append(calls, w.begin("Hook-a", method, "who"))
				}
				if err := w.send("Hook-a", "Write", "note sent"); err != nil {
					w.t.Error(err)
				}
				again := w.create("Hook-a", "good")
				deleted := make(chan error, 1)
				go func() { deleted <- w.Delete(w.t.Context(), "Hook-a") }()
				synctest.Wait()
				last := w.begin("Hook-a", "Write", "who")
				w.open("create")
				if err := <-bad; !errors.Is(err, want) {
					w.t.Errorf("the creation: %v, want %v", err, want)
				}
				for _, p := range calls {
					p.ok("1")
				}
				wantErr(w.t, <-again, object.ErrAlreadyExists, object.ExecutedNo)
				if err := <-deleted; err != nil {
					w.t.Error(err)
				}
				last.ok("2")
				w.wantNotes("sent")
			})
		})
	}
}

// A creation that waits behind one that fails creates the object, and who waits behind that
// finds what it has created; nothing is left of one that nobody waits for.
func TestCreationBehindAFailingCreation(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		want := w.refuseBad("error")
		w.open("create")
		wantErr(w.t, <-w.create("Hook-a", "bad"), want, object.ExecutedNo, "bad init")
		if n := w.Activations(); n != 0 {
			w.t.Errorf("%d activations", n)
		}
		w.on("OnCreate", func(_ context.Context, o *actor, init string) (string, error) {
			<-w.gate("again")
			if o.memory = init; init == "bad" {
				return "", object.NewError(object.CodeInvalidArgument, "bad init")
			}
			return "", nil
		})
		bad, good := w.create("Hook-b", "bad"), w.create("Hook-b", "good")
		behind := w.begin("Hook-b", "Write", "get")
		w.open("again")
		wantErr(w.t, <-bad, object.ErrInvalidArgument, object.ExecutedNo, "bad init")
		if err := <-good; err != nil {
			w.t.Error(err)
		}
		behind.ok("good")
	})
}

// An OnActivate that fails fails those that wait, whoever brings the object up.
func TestCallsBehindACreationWhoseActivationFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		activations := 0
		w.on("OnActivate", func(context.Context, *actor, string) (string, error) {
			activations++
			<-w.gate("up")
			return "", object.NewError(object.CodeAborted, fmt.Sprint("attempt ", activations))
		})
		created := w.create("Hook-a", "good")
		call := w.begin("Hook-a", "Write", "note ran")
		w.open("up")
		wantErr(w.t, <-created, object.ErrAborted, object.ExecutedNo, "attempt 1")
		call.fails(object.ErrAborted, object.ExecutedNo, "attempt 1")
		w.wantNotes()
	})
}
