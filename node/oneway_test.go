package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

func TestOneWayIsAcceptedAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		head := w.begin("Plain-a", "Write", "hold head")
		var want []string
		for i := range 100 { // the sends of one caller keep their order
			want = append(want, fmt.Sprint(i))
			if err := w.send("Plain-a", "Write", fmt.Sprintf("note %d", i)); err != nil {
				w.t.Error(err)
			}
		}
		last := w.begin("Plain-a", "Write", "note last")
		w.wantNotes("head")
		w.open("head")
		head.ok("head")
		last.ok("last")
		w.wantNotes(append(want, "last")...)

		// What is known at once is said at once.
		wantErr(w.t, w.send("Plain-a", "Nothing", "x"), object.ErrUnknownMethod, object.ExecutedNo)
		wantErr(w.t, w.send("Nobody-a", "Write", "x"), object.ErrNotRegistered, object.ExecutedNo)
		wantErr(w.t, w.send("Plain", "Write", "x"), object.ErrInvalidArgument, object.ExecutedNo)
		wantErr(w.t, w.send("Guest-1", "Say", "x"), object.ErrNotFound, object.ExecutedNo)
		_, err := w.Call(w.t.Context(), "Plain-a", "Write", wrapperspb.Bool(true), object.OneWay())
		wantErr(w.t, err, object.ErrInvalidArgument, object.ExecutedNo)

		// What happens later is in the log.
		if err := w.send("Plain-a", "Write", "fail the reason"); err != nil {
			w.t.Error(err)
		}
		sleep(0)
		if !strings.Contains(w.logText(), "the reason") {
			w.t.Errorf("the failure is not in the log: %q", w.logText())
		}
	})
}

// The end of the caller's context does not stop what was sent.
func TestOneWayOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		if _, err := w.try(ctx, "Plain-a", "Write", "heed a", object.OneWay(), object.WithMetadata("m", "1")); err != nil {
			w.t.Error(err)
		}
		cancel()
		sleep(10 * time.Second)
		w.wantNotes("a")
		w.open("a")
		sleep(0)
		w.wantNotes()
		if err := w.send("Plain-a", "Hurry", "heed b"); err != nil { // but the type's timeout does
			w.t.Error(err)
		}
		sleep(time.Second)
		w.wantNotes("b", "b told")
	})
}

// Within a turn a send leaves when the turn has ended well, and only then.
func TestOneWayLeavesAfterTheTurn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("send", func(ctx context.Context, o *actor, arg string) (string, error) {
			for i := range 3 {
				msg := wrapperspb.String(fmt.Sprintf("note %d", i))
				if out, err := w.Call(ctx, "Plain-b", "Write", msg, object.OneWay()); err != nil || out != nil {
					w.t.Errorf("send: %v, %v", out, err)
				}
				msg.Value = "note spoilt"
			}
			sleepIn(ctx, time.Second)
			w.note("end of the turn")
			if arg == "" {
				return "", nil
			}
			return o.acted(ctx, arg)
		})
		for _, c := range []struct {
			arg  string
			want []string
		}{
			{"", []string{"end of the turn", "0", "1", "2"}},
			{"fail x", []string{"end of the turn"}},
			{"panic x", []string{"end of the turn"}},
			{"exit", []string{"end of the turn"}},
		} {
			for _, method := range []string{"Write", "Read", "Free", "Loose"} {
				p := w.begin("Plain-a", method, "send "+c.arg)
				<-p.done
				sleep(0)
				w.wantNotes(c.want...)
			}
		}
		// A bad send is refused in the turn.
		w.on("bad", func(ctx context.Context, _ *actor, _ string) (string, error) {
			_, err := w.try(ctx, "Plain-b", "Nothing", "x", object.OneWay())
			wantErr(w.t, err, object.ErrUnknownMethod, object.ExecutedNo)
			_, err = w.try(ctx, "Nobody-b", "Write", "x", object.OneWay())
			wantErr(w.t, err, object.ErrNotRegistered, object.ExecutedNo)
			return "", nil
		})
		w.must("Plain-a", "Write", "bad")
	})
}

// A turn may send to itself and to its callers: nobody waits, so it is no deadlock.
func TestOneWayToTheOwnChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("self", func(ctx context.Context, o *actor, _ string) (string, error) {
			for _, id := range []string{o.ID(), "Plain-a"} {
				if _, err := w.try(ctx, id, "Write", "note from "+o.ID()+" to "+id, object.OneWay()); err != nil {
					return "", err
				}
			}
			return "", nil
		})
		w.must("Plain-a", "Write", "call Plain-b.Write ! self")
		sleep(0)
		notes := w.notes()
		slices.Sort(notes)
		if want := []string{"from Plain-b to Plain-a", "from Plain-b to Plain-b"}; !slices.Equal(notes, want) {
			w.t.Errorf("noted %q, want %q", notes, want)
		}
	})
}

// Sends carry the metadata and the key they were given, and what flows down.
func TestOneWayMetadata(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("meta", func(ctx context.Context, _ *actor, _ string) (string, error) {
			m := object.MetadataFrom(ctx)
			w.note("%s%s %s", m["a"], m["b"], object.IdempotencyKey(ctx))
			return "", nil
		})
		w.on("send", func(ctx context.Context, _ *actor, _ string) (string, error) {
			return w.try(ctx, "Plain-b", "Write", "meta", object.OneWay(), object.WithMetadata("b", "2"), object.WithIdempotencyKey("key"))
		})
		w.must("Plain-a", "Write", "send", object.WithMetadata("a", "1"))
		sleep(0)
		if err := w.sendWith("Plain-b", "meta", object.WithMetadata("a", "9")); err != nil {
			w.t.Error(err)
		}
		sleep(0)
		w.wantNotes("12 key", "9 ")
	})
}

func (w *world) sendWith(id, req string, opts ...object.CallOption) error {
	_, err := w.do(id, "Write", req, append(opts, object.OneWay())...)
	return err
}

// A send by a goroutine that outlives its turn leaves at once, as from outside.
func TestOneWayAfterTheTurn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("later", func(ctx context.Context, _ *actor, _ string) (string, error) {
			outlives := context.WithoutCancel(ctx)
			go func() {
				<-time.After(time.Second)
				if _, err := w.try(outlives, "Plain-b", "Write", "note late", object.OneWay()); err != nil {
					w.t.Error(err)
				}
				_, err := w.try(ctx, "Plain-b", "Write", "note too late", object.OneWay())
				wantErr(w.t, err, object.ErrCanceled, object.ExecutedNo)
			}()
			return "", nil
		})
		w.must("Plain-a", "Write", "later")
		sleep(2 * time.Second)
		w.wantNotes("late")
	})
}

// A hook's sends leave when it has succeeded.
func TestOneWayFromHooks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		for _, hook := range []string{"OnCreate", "OnActivate", "OnDeactivate"} {
			w.on(hook, func(ctx context.Context, o *actor, _ string) (string, error) {
				if _, err := w.try(ctx, "Plain-b", "Write", "note "+hook, object.OneWay()); err != nil {
					return "", err
				}
				if o.Name() == "bad" {
					return "", object.NewError(object.CodeAborted, "no")
				}
				return "", nil
			})
		}
		for _, id := range []string{"Hook-good", "Hook-bad"} {
			_, _ = w.Create(w.t.Context(), "Hook", id, nil)
			_ = w.Delete(w.t.Context(), id)
		}
		sleep(0)
		w.wantNotes("OnCreate", "OnActivate", "OnDeactivate")
	})
}
