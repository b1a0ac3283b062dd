package node_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// arriving is a call that comes from another node.
func (w *world) arriving(id, method, req string, oneWay bool) node.Departure {
	return node.Departure{Request: object.Request{ID: id, Method: method, Message: strName, Body: encoded(w.t, word(req))}, OneWay: oneWay}
}

// A call whose time was over when it arrived, or is when it would begin, does not run, whether
// anybody waits for it or not, and holds up nobody.
func TestCallsThatArriveTooLate(t *testing.T) {
	t.Parallel()
	for _, oneWay := range []bool{false, true} {
		inBubble(t, func(w *world) {
			w.must("Plain-there", "Write", "nothing")
			sleep(time.Minute)
			for _, id := range []string{"Plain-there", "Plain-new", "Hook-new"} {
				for _, method := range []string{"Write", "Read", "Free", "Loose"} {
					over, cancel := context.WithTimeout(w.t.Context(), -time.Second)
					_, err := w.Arrive(over, w.arriving(id, method, "note late", oneWay))()
					wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedNo, "before it began")
					cancel()

					short, cancel := context.WithTimeout(w.t.Context(), time.Second)
					run := w.Arrive(short, w.arriving(id, method, "note stopped", oneWay))
					sleep(2 * time.Second) // the process stood still
					_, err = run()
					wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedNo, "before it began")
					cancel()

					fine, cancel := context.WithTimeout(w.t.Context(), time.Second)
					if _, err := w.Arrive(fine, w.arriving(id, method, "note fine", oneWay))(); err != nil {
						w.t.Error(err)
					}
					cancel()
					w.wantNotes("fine")
				}
			}
		})
	}
}

// A one-way call has the time that it came with, and no more.
func TestTimeOfAOneWayCallThatArrives(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		busy := w.begin("Plain-a", "Write", "hold x")
		short, cancel := context.WithTimeout(w.t.Context(), 3*time.Second)
		defer cancel()
		done := make(chan error, 1)
		run := w.Arrive(short, w.arriving("Plain-a", "Hurry", "note late", true)) // its method's would be 1 s
		go func() { _, err := run(); done <- err }()
		began := time.Now()
		wantErr(w.t, <-done, object.ErrDeadlineExceeded, object.ExecutedNo, "while it waited")
		if d := time.Since(began); d != 3*time.Second {
			w.t.Errorf("it waited for %v", d)
		}
		w.open("x")
		busy.ok("x")
		w.wantNotes("x")
		long, cancel := context.WithTimeout(w.t.Context(), 3*time.Second)
		defer cancel()
		w.on("left", func(ctx context.Context, _ *actor, _ string) (string, error) {
			at, limited := ctx.Deadline()
			if left := time.Until(at); !limited || left != 3*time.Second {
				w.t.Errorf("the method has %v, %v", left, limited)
			}
			return "", nil
		})
		if _, err := w.Arrive(long, w.arriving("Plain-a", "Hurry", "left", true))(); err != nil {
			w.t.Error(err)
		}
	})
}

// A re-entrant call that comes too late gives back its place inside the turn that waits for it.
func TestReentrantCallThatArrivesTooLate(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, _ *world) {
		loop := a.id("Loop", 3)
		d, end := forge(a, loop, a.id("Plain", 12))
		defer end()
		back := a.arriving(loop, "Write", "note back", false)
		back.Chain, back.Metadata = d.Chain, d.Metadata
		short, cancel := context.WithTimeout(a.t.Context(), time.Second)
		defer cancel()
		run := a.Arrive(short, back)
		sleep(2 * time.Second)
		_, _ = run()
		synctest.Wait()
		a.notes()
		if _, err := a.Arrive(a.t.Context(), back)(); err != nil {
			a.t.Error(err)
		}
		a.wantNotes("back")
	})
}

// A re-entrant call whose time is over when it arrives does not run inside the turn that waits for it.
func TestReentrantCallThatIsOverWhenItArrives(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, _ *world) {
		loop := a.id("Loop", 3)
		d, end := forge(a, loop, a.id("Plain", 12))
		defer end()
		back := a.arriving(loop, "Write", "note back", false)
		back.Chain, back.Metadata = d.Chain, d.Metadata
		over, cancel := context.WithTimeout(a.t.Context(), -time.Second)
		defer cancel()
		a.notes()
		_, err := a.Arrive(over, back)()
		if object.CodeOf(err) != object.CodeDeadlineExceeded || object.Executed(err) != object.ExecutedNo {
			a.t.Errorf("it ended with %v", err)
		}
		a.wantNotes()
	})
}

// Calls that are over when they arrive take no places of those that are not, and bring no object into memory.
func TestDeadArrivalsTakeNoPlaces(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		head := w.begin("Tight-a", "Write", "hold head")
		over, cancel := context.WithDeadline(w.t.Context(), time.Now())
		defer cancel()
		var dead []func() (object.Reply, error)
		for range 5 { // of 3 places
			dead = append(dead, w.Arrive(over, w.arriving("Tight-a", "Write", "note late", false)))
		}
		dead = append(dead, w.Arrive(over, w.arriving("Plain-absent", "Write", "note late", false)))
		if n := w.Activations(); n != 1 {
			w.t.Errorf("%d objects are in memory", n)
		}
		var waiting []*pending
		for range 3 {
			waiting = append(waiting, w.begin("Tight-a", "Write", "note waited"))
		}
		for _, run := range dead {
			_, err := run()
			wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedNo)
		}
		w.open("head")
		head.ok("head")
		for _, p := range waiting {
			p.ok("waited")
		}
		w.wantNotes("head", "waited", "waited", "waited")
	})
}
