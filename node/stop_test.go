package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// stopping calls Stop on a goroutine of its own.
func (w *world) stopping(ctx context.Context) <-chan error {
	out := make(chan error, 1)
	go func() { out <- w.Stop(ctx) }()
	synctest.Wait()
	return out
}

func TestStopLetsTheBegunFinish(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(_ context.Context, o *actor, reason string) (string, error) {
			w.note("%s %s", o.ID(), reason)
			return "", nil
		})
		w.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-w.gate("go")
			return callOn(ctx, o, arg)
		})
		w.must("Hook-idle", "Write", "nothing")
		running := w.begin("Hook-a", "Write", "later Hook-new.Write > Plain-new.Write ! note chained")
		queued := w.begin("Hook-a", "Write", "note queued")
		queuedChain := w.begin("Hook-a", "Write", "call Hook-other.Write ! note queued chain")
		stopped := w.stopping(w.t.Context())
		w.wantNotes("Hook-idle stopping")

		for _, id := range []string{"Hook-a", "Hook-idle", "Plain-x"} {
			_, err := w.do(id, "Write", "note outside")
			wantErr(w.t, err, object.ErrUnavailable, object.ExecutedNo, "stopping")
		}
		wantErr(w.t, w.send("Plain-x", "Write", "note outside"), object.ErrUnavailable, object.ExecutedNo)
		_, err := w.Create(w.t.Context(), "Plain", "Plain-x", nil)
		wantErr(w.t, err, object.ErrUnavailable, object.ExecutedNo)
		wantErr(w.t, w.Delete(w.t.Context(), "Hook-a"), object.ErrUnavailable, object.ExecutedNo)
		wantErr(w.t, w.AttachClient(w.t.Context(), "Guest-1"), object.ErrUnavailable, object.ExecutedNo)

		sleep(10 * time.Second)
		select {
		case err := <-stopped:
			w.t.Fatalf("Stop has returned %v beside a running call", err)
		default:
		}
		w.open("go")
		running.ok("chained")
		queued.ok("queued")
		queuedChain.ok("queued chain")
		if err := <-stopped; err != nil {
			w.t.Error(err)
		}
		got := make(map[string]int)
		for _, n := range w.notes() {
			got[n]++
		}
		for _, want := range []string{"chained", "queued", "queued chain", "Hook-a stopping", "Hook-new stopping", "Hook-other stopping"} {
			if got[want] != 1 {
				w.t.Errorf("noted %q %d times", want, got[want])
			}
		}
		if n := w.Activations(); n != 0 || len(got) != 6 {
			w.t.Errorf("%d activations, noted %v", n, got)
		}
		_, err = w.do("Plain-x", "Write", "note outside")
		wantErr(w.t, err, object.ErrUnavailable, object.ExecutedNo)
		if err := w.Stop(w.t.Context()); err != nil {
			w.t.Errorf("the second Stop: %v", err)
		}
	})
}

// One-way sends of turns that had begun arrive, also where they must wait.
func TestStopDeliversOneWaySends(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("send", func(ctx context.Context, _ *actor, arg string) (string, error) {
			<-w.gate("go")
			for _, id := range []string{"Hook-busy", "Plain-new"} {
				if _, err := w.Call(ctx, id, "Write", wrapperspb.String("note "+id), object.OneWay()); err != nil {
					return "", err
				}
			}
			return arg, nil
		})
		busy := w.begin("Hook-busy", "Write", "hold busy")
		sender := w.begin("Plain-a", "Write", "send x")
		stopped := w.stopping(w.t.Context())
		w.open("go")
		sender.ok("x")
		sleep(time.Second)
		w.open("busy")
		busy.ok("busy")
		if err := <-stopped; err != nil {
			w.t.Error(err)
		}
		w.wantNotes("busy", "Plain-new", "Hook-busy")
	})
}

// When the time is up the contexts of what still runs end; who heeds that within half
// a second is no reason to complain.
func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(_ context.Context, o *actor, reason string) (string, error) {
			w.note("%s %s", o.ID(), reason)
			return "", nil
		})
		w.on("slow", func(ctx context.Context, _ *actor, _ string) (string, error) {
			<-ctx.Done()
			<-time.After(400 * time.Millisecond)
			return "", context.Cause(ctx)
		})
		heeds := w.begin("Hook-a", "Patient", "heed a")
		waits := w.begin("Hook-a", "Patient", "note waits")
		slow := w.begin("Plain-b", "Patient", "slow")
		detached := w.begin("Plain-c", "Loose", "heed c")
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		stopped := w.stopping(ctx)
		if err := <-stopped; err != nil {
			w.t.Errorf("Stop: %v", err)
		}
		if d := time.Since(began); d != 1400*time.Millisecond {
			w.t.Errorf("Stop took %v", d)
		}
		heeds.fails(object.ErrCanceled, object.ExecutedUnknown)
		waits.fails(object.ErrUnavailable, object.ExecutedNo, "stopping")
		if _, err := slow.wait(); err == nil {
			w.t.Error("a turn that was cut off succeeded")
		}
		if _, err := detached.wait(); object.Executed(err) != object.ExecutedUnknown {
			w.t.Errorf("detached: %v", err)
		}
		notes := w.notes()
		slices.Sort(notes)
		if want := []string{"Hook-a stopping", "a", "a told", "c", "c told"}; !slices.Equal(notes, want) {
			w.t.Errorf("noted %q, want %q", notes, want)
		}
	})
}

// A turn that ignores its context is named, and does not keep Stop; a later Stop
// finds it gone.
func TestStopNamesTheStuck(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		stuck := w.begin("Hook-stuck", "Write", "hold x")
		w.must("Plain-fine", "Write", "nothing")
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := <-w.stopping(ctx)
		if !errors.Is(err, object.ErrDeadlineExceeded) {
			w.t.Errorf("Stop: %v", err)
		}
		if text := fmt.Sprint(err); !strings.Contains(text, "Hook-stuck") || strings.Contains(text, "Plain-fine") {
			w.t.Errorf("Stop: %v", err)
		}
		if d := time.Since(began); d != 1500*time.Millisecond {
			w.t.Errorf("Stop took %v", d)
		}
		w.open("x")
		stuck.ok("x")
		if err := w.Stop(w.t.Context()); err != nil || w.Activations() != 0 {
			w.t.Errorf("the second Stop: %v, %d activations", err, w.Activations())
		}
	})
}

// A hook that hangs at the end does not keep Stop beyond its time either.
func TestStopWithAHangingHook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(ctx context.Context, o *actor, _ string) (string, error) {
			if o.Name() == "hangs" {
				<-ctx.Done()
			}
			return "", ctx.Err()
		})
		w.must("Hook-hangs", "Write", "nothing")
		w.must("Hook-fine", "Write", "nothing")
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := <-w.stopping(ctx); err != nil {
			w.t.Errorf("Stop: %v", err)
		}
		if d := time.Since(began); d != time.Second {
			w.t.Errorf("Stop took %v", d)
		}
	})
}

// However many objects are busy, the idle ones end at once.
func TestStopDoesNotWaitForTheBusyFirst(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDeactivate")
		var busy []*pending
		for i := range 100 {
			busy = append(busy, w.begin(fmt.Sprintf("Hook-busy-%d", i), "Write", "hold x"))
			w.must(fmt.Sprintf("Hook-idle-%d", i), "Write", "nothing")
		}
		w.notes()
		stopped := w.stopping(w.t.Context())
		if n := len(w.notes()); n != 100 {
			w.t.Errorf("%d of 100 idle objects have ended", n)
		}
		w.open("x")
		for _, p := range busy {
			p.ok("x")
		}
		if err := <-stopped; err != nil {
			w.t.Error(err)
		}
		if n := len(w.notes()); n != 100 {
			w.t.Errorf("%d of 100 busy objects have ended", n)
		}
	})
}

func TestStopWhileActivating(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnActivate", func(ctx context.Context, o *actor, _ string) (string, error) {
			sleepIn(ctx, 10*time.Second)
			return callOn(ctx, o, "Plain-b.Write ! note from the hook")
		})
		first := w.begin("Hook-a", "Write", "note first")
		second := w.begin("Hook-a", "Write", "note second")
		stopped := w.stopping(w.t.Context())
		first.ok("first")
		second.ok("second")
		if err := <-stopped; err != nil {
			w.t.Error(err)
		}
		w.wantNotes("from the hook", "first", "second")
	})
}

func TestStopsAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		downs := 0
		w.on("OnDeactivate", func(ctx context.Context, _ *actor, _ string) (string, error) {
			downs++
			sleepIn(ctx, time.Second)
			return "", nil
		})
		head := w.begin("Hook-a", "Write", "hold head")
		one, two, three := w.stopping(w.t.Context()), w.stopping(w.t.Context()), w.stopping(w.t.Context())
		w.open("head")
		head.ok("head")
		for _, s := range []<-chan error{one, two, three} {
			if err := <-s; err != nil {
				w.t.Error(err)
			}
		}
		if downs != 1 {
			w.t.Errorf("OnDeactivate ran %d times", downs)
		}
	})
}

// Real goroutines call while the node stops: each call either ran, or is refused as
// not executed; nothing is left.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	for range 20 {
		w := newWorld(t, clock.System())
		var ran, ok atomic.Int64
		w.on("count", func(context.Context, *actor, string) (string, error) { ran.Add(1); return "", nil })
		w.on("OnDeactivate", func(ctx context.Context, o *actor, _ string) (string, error) {
			return callOn(ctx, o, "Plain-log.Write ! nothing")
		})
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					id, method := fmt.Sprintf("Hook-%d", (g+i)%5), []string{"Write", "Read", "Free", "Loose"}[i%4]
					req := "count"
					if i%3 == 0 {
						req = fmt.Sprintf("call Plain-%d.Write ! count", i%7)
					}
					_, err := w.do(id, method, req)
					switch {
					case err == nil:
						ok.Add(1)
					case !errors.Is(err, object.ErrUnavailable) || object.Executed(err) != object.ExecutedNo:
						t.Errorf("call: %v, executed=%v", err, object.Executed(err))
						return
					default:
						return
					}
				}
			})
		}
		for ok.Load() < 200 {
			w.must("Hook-0", "Read", "nothing")
		}
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if ran.Load() != ok.Load() {
			t.Errorf("%d calls ran, %d succeeded", ran.Load(), ok.Load())
		}
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations are left", n)
		}
	}
}
