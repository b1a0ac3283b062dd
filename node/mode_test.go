package node_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// What may run beside what: the first turn runs, the second arrives.
func TestWhichTurnsOverlap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second string
		together      bool
	}{
		{"Write", "Write", false},
		{"Write", "Read", false},
		{"Write", "Free", true},
		{"Read", "Write", false},
		{"Read", "Read", true},
		{"Read", "Free", true},
		{"Free", "Write", true},
		{"Free", "Read", true},
		{"Free", "Free", true},
		{"Write", "Loose", false},
		{"Loose", "Write", false},
	} {
		t.Run(c.first+" then "+c.second, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				first := w.begin("Plain-a", c.first, "hold 1")
				second := w.begin("Plain-a", c.second, "hold 2")
				if c.together {
					w.wantNotes("1", "2")
				} else {
					w.wantNotes("1")
				}
				w.open("2")
				if !c.together {
					second.running()
				}
				w.open("1")
				first.ok("1")
				second.ok("2")
			})
		})
	}
}

// A mode for the whole type holds for its methods, but for those with their own.
func TestModePerType(t *testing.T) {
	t.Parallel()
	free := typed((*actor)(nil), "AllFree", object.Concurrency(object.Concurrent), object.Concurrency(object.Sequential, "Hurry"))
	readers := typed((*actor)(nil), "AllRead", object.Concurrency(object.ReadOnly))
	inBubble(t, func(w *world) {
		w.on("slow", func(ctx context.Context, _ *actor, arg string) (string, error) {
			w.note("%s in", arg)
			sleepIn(ctx, 100*time.Millisecond)
			w.note("%s out", arg)
			return "", nil
		})
		for _, c := range []struct {
			id, method string
			together   bool
		}{
			{"AllFree-a", "Patient", true},
			{"AllFree-a", "Hurry", false},
			{"AllRead-a", "Patient", true},
			{"AllRead-a", "Read", true},
		} {
			one, two := w.beginRaw(c.id, c.method), w.beginRaw(c.id, c.method)
			one.ok("")
			two.ok("")
			notes := w.notes()
			if got := notes[1] == "slow in"; got != c.together {
				t.Errorf("%s.%s: %q, together should be %v", c.id, c.method, notes, c.together)
			}
		}
	}, free, readers)
}

// beginRaw begins a call that says that it is part of a chain, which keeps the
// overlap watch quiet.
func (w *world) beginRaw(id, method string) *pending {
	return w.begin(id, method, "slow slow", object.WithMetadata("chain", "raw"))
}

func TestFirstInFirstOut(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		const callers = 1024
		head := w.begin("Plain-a", "Write", "hold head")
		var want []string
		var calls []*pending
		for i := range callers {
			want = append(want, fmt.Sprint(i))
			calls = append(calls, w.begin("Plain-a", "Write", fmt.Sprintf("note %d", i)))
		}
		w.wantNotes("head")
		w.open("head")
		head.ok("head")
		for i, c := range calls {
			c.ok(want[i])
		}
		w.wantNotes(want...)
	})
}

// Readers that keep coming do not keep a writer out, nor writers a reader.
func TestNobodyStarves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stream, other string }{{"Read", "Write"}, {"Write", "Read"}} {
		inBubble(t, func(w *world) {
			w.on("second", func(ctx context.Context, _ *actor, _ string) (string, error) {
				sleepIn(ctx, time.Second)
				return "", nil
			})
			var wg sync.WaitGroup
			streaming, stop := context.WithCancel(w.t.Context())
			for i := range 3 { // overlapping: without order the object would never be free
				wg.Go(func() {
					<-time.After(time.Duration(i) * 300 * time.Millisecond)
					for streaming.Err() == nil {
						w.must("Plain-a", c.stream, "second")
					}
				})
			}
			sleep(5*time.Second + 100*time.Millisecond)
			began := time.Now()
			w.must("Plain-a", c.other, "second")
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("%s waited %v in a stream of %s", c.other, d, c.stream)
			}
			stop()
			wg.Wait()
		})
	}
}

// A concurrent turn does not wait for those that queue.
func TestConcurrentTurnsPassTheQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		writer := w.begin("Plain-a", "Write", "hold writer")
		second := w.begin("Plain-a", "Write", "note second")
		w.must("Plain-a", "Free", "note free")
		w.open("writer")
		writer.ok("writer")
		second.ok("second")
		w.wantNotes("writer", "free", "second")
	})
}

// On an idle object a turn runs on the goroutine that calls, unless it is detached.
func TestTurnRunsOnItsCallersGoroutine(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("goroutine", func(context.Context, *actor, string) (string, error) { return goroutine(), nil })
		w.on("OnActivate", func(context.Context, *actor, string) (string, error) { w.note("%s", goroutine()); return "", nil })
		own := goroutine()
		for _, method := range []string{"Write", "Read", "Free"} {
			if got := w.must("Hook-"+method, method, "goroutine"); got != own {
				t.Errorf("%s ran on %s, called on %s", method, got, own)
			}
			w.wantNotes(own)
		}
		if got := w.must("Plain-a", "Loose", "goroutine"); got == own {
			t.Error("a detached method ran on its caller's goroutine")
		}
	})
}

// goroutine is the number of the running goroutine.
func goroutine() string {
	buf := make([]byte, 64)
	buf = buf[:runtime.Stack(buf, false)]
	return string(bytes.Fields(buf)[1])
}

// Two readers are together in their methods, on real goroutines: each waits for the
// other inside.
func TestReadersReallyShare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	both := make(chan struct{})
	w.on("meet", func(ctx context.Context, _ *actor, _ string) (string, error) {
		select {
		case both <- struct{}{}:
		case <-both:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		return "", nil
	})
	w.must("Plain-a", "Read", "nothing")
	one, two := w.spawn(t.Context(), "Plain-a", "Read", "meet"), w.spawn(t.Context(), "Plain-a", "Read", "meet")
	one.ok("")
	two.ok("")
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// In a mixed queue readers in a row run together,
// writers alone, in the order of their arrival.
func TestMixedQueueRunsInGroups(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("slow", func(ctx context.Context, _ *actor, arg string) (string, error) {
			w.note("%s", arg)
			sleepIn(ctx, time.Second)
			return arg, nil
		})
		var calls []*pending
		for i, m := range "WRRWRWWRRR" {
			calls = append(calls, w.begin("Plain-a", map[rune]string{'W': "Write", 'R': "Read"}[m], fmt.Sprintf("slow %c%d", m, i)))
		}
		for _, want := range [][]string{{"W0"}, {"R1", "R2"}, {"W3"}, {"R4"}, {"W5"}, {"W6"}, {"R7", "R8", "R9"}} {
			got := w.notes()
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("together ran %q, want %q", got, want)
			}
			sleep(time.Second)
		}
		for _, c := range calls {
			if _, err := c.wait(); err != nil {
				t.Error(err)
			}
		}
	})
}
