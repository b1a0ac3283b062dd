package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// A hook may fail with what looks like a refusal by the runtime. The call that brought its
// object up is not tried again all the same, one-way or not.
func TestFailedHooksAreNotTriedAgain(t *testing.T) {
	t.Parallel()
	fenced := object.NewError(object.CodeUnavailable, "cut off")
	fenced.Reason = object.Fenced
	for name, failure := range map[string]error{
		"its own":                object.NewError(object.CodeUnavailable, "the database is down"),
		"of a call that it made": object.Refuse(object.CodeUnavailable, "", "call", "Plain-x", "Write", "not open"),
		"another's fence":        fenced,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				runs := 0
				w.on("OnActivate", func(context.Context, *actor, string) (string, error) {
					if runs++; runs > 100 { // so that the test ends
						return "", nil
					}
					return "", failure
				})
				if err := w.send("Hook-a", "Write", "nothing"); err != nil {
					t.Error(err)
				}
				if sleep(0); runs != 1 {
					t.Errorf("a one-way call from outside ran OnActivate %d times", runs)
				}
				runs = 0
				w.on("send", func(ctx context.Context, _ *actor, _ string) (string, error) {
					return w.try(ctx, "Hook-b", "Write", "nothing", object.OneWay())
				})
				w.must("Plain-a", "Write", "send")
				if sleep(0); runs != 1 {
					t.Errorf("a one-way call of a turn ran OnActivate %d times", runs)
				}
				_, err := w.do("Hook-c", "Write", "nothing")
				if wantErr(t, err, object.ErrUnavailable, object.ExecutedNo); !object.FromHook(err) {
					t.Errorf("%v is not known as a hook's", err)
				}
				_, err = w.do("Plain-a", "Write", "call Hook-d.Write ! nothing")
				if wantErr(t, err, object.ErrUnavailable, object.ExecutedYes); object.FromHook(err) {
					t.Errorf("%v, which a method passed on, is known as a hook's", err)
				}
			})
		})
	}
}

func TestFailedRestoreIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		runs := 0
		w.on("OnRestore", func(context.Context, *actor, string) (string, error) {
			if runs++; runs > 100 {
				return "", nil
			}
			return "", object.NewError(object.CodeUnavailable, "not now")
		})
		body, err := proto.Marshal(wrapperspb.String("memory"))
		if err != nil {
			t.Fatal(err)
		}
		id := w.id("Saver", 3)
		if err := w.OpenShard(w.t.Context(), 3, 2, []node.Kept{{ID: id, Message: "google.protobuf.StringValue", Body: body}}); err != nil {
			t.Fatal(err)
		}
		if err := w.send(id, "Write", "nothing"); err != nil {
			t.Error(err)
		}
		if sleep(0); runs != 1 {
			t.Errorf("OnRestore ran %d times", runs)
		}
		_, err = w.do(id, "Write", "nothing")
		if wantErr(t, err, object.ErrUnavailable, object.ExecutedNo); !object.FromHook(err) {
			t.Errorf("%v is not known as a hook's", err)
		}
	})
}

// As many calls wait to be sent to an object elsewhere as may wait at it. Others are lost,
// which is logged.
func TestLinesToOtherNodesAreBounded(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
		from, to := a.id("Plain", 3), a.id("Tight", 12)
		a.on("send", func(ctx context.Context, _ *actor, arg string) (string, error) {
			return a.try(ctx, to, "Write", "note "+arg, object.OneWay())
		})
		d := b.drain(b.t.Context(), 12) // nobody has the shard when it is over
		<-d.done
		for i := range 6 { // one is on its way, three wait
			a.must(from, "Write", fmt.Sprintf("send %d", i))
			sleep(0)
		}
		if n := strings.Count(a.logText(), "its mailbox"); n != 2 {
			t.Errorf("%d losses are logged, want 2: %s", n, a.logText())
		}
		if err := b.ReopenShard(12, 1, nil); err != nil {
			t.Error(err)
		}
		sleep(0)
		b.wantNotes("0", "1", "2", "3")
		a.must(from, "Write", "send 6")
		sleep(0)
		b.wantNotes("6")
	})
}

// Who brings calls from another node does not wait where two of one chain come back to a
// re-entrant object at a time.
func TestArrivalDoesNotWaitForAReentrantTurn(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, _ *world) {
		loop, far := a.id("Loop", 3), a.id("Plain", 12)
		back := func(d node.Departure, request string) func() (object.Reply, error) {
			body, err := proto.Marshal(wrapperspb.String(request))
			if err != nil {
				t.Fatal(err)
			}
			d.Request = object.Request{ID: loop, Method: "Write", Message: "google.protobuf.StringValue", Body: body, Metadata: d.Metadata}
			d.Chain = append(slices.Clip(d.Chain), node.Step{ID: far, Method: "Write"})
			return a.Arrive(context.Background(), d)
		}
		a.on("twice", func(ctx context.Context, _ *actor, _ string) (string, error) {
			ended := make(chan error, 3)
			for _, request := range []string{"hold first", "note second", "note third"} {
				var d node.Departure
				if err := a.Depart(ctx, &d, far, "Write", nil, nil); err != nil {
					return "", err
				}
				defer d.Release()
				arrived := make(chan struct{})
				go func() {
					run := back(d, request)
					close(arrived)
					_, err := run()
					ended <- err
				}()
				sleep(0)
				select {
				case <-arrived:
				default:
					t.Errorf("the arrival of %q waits", request)
				}
			}
			a.wantNotes("first")
			a.open("first")
			for range cap(ended) {
				if err := <-ended; err != nil {
					t.Errorf("a call that came back: %v", err)
				}
			}
			return "", nil
		})
		a.must(loop, "Write", "twice", object.WithMetadata("chain", "1"))
		if notes := a.notes(); len(notes) != 2 {
			t.Errorf("noted %q, want the second and the third", notes)
		}
	})
}
