package grpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/crew"
)

// witness is a handler that notes what it is told, and marks the calls that it foresees with their IDs.
type witness struct {
	calls int             // as many as may run at a time; 0: the usual
	quick bool            // its calls run without waiting for their end
	wrong func(id string) // what it does at the acceptance of a call, or, for "", when it is told of calls

	mu    sync.Mutex
	heard []string          // guarded by mu
	ctxs  []context.Context // guarded by mu: of the calls
}

// Foresee implements [transport.Foreseer].
func (w *witness) Foresee(calls []*transport.Call) {
	for _, c := range calls {
		c.Local = c.ID
	}
	w.note("foresee " + fmt.Sprint(len(calls)))
	w.wrong("")
}

// AcceptCall implements [transport.Handler].
func (w *witness) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	if len(c.ID) > usualID {
		c.ID = "long"
	}
	w.note("accept " + c.ID)
	w.mu.Lock()
	w.ctxs = append(w.ctxs, ctx)
	w.mu.Unlock()
	if local, foreseen := c.Local.(string); foreseen && c.ID != "long" && local != c.ID {
		w.note("with what is " + local + "'s")
	}
	w.wrong(c.ID)
	return func() *transport.Reply {
		if !w.quick {
			<-ctx.Done()
		}
		return &transport.Reply{}
	}
}

func (w *witness) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, what)
}

// hears has a callee read messages of frames, and returns the connection and why its reader has ended.
func (w *witness) hears(t *testing.T, messages ...[]byte) (c *callee, why error) {
	t.Helper()
	if w.wrong == nil {
		w.wrong = func(string) {}
	}
	e := &endpoint{
		transport: New(Config{Clock: clock.Virtual(), Logger: slog.New(slog.DiscardHandler)}), base: context.Background(),
		crew: crew.New((*served).run, 0), handler: w,
	}
	c = newCallee(e, serverStream{ctx: t.Context()})
	if w.calls > 0 {
		c.bounds.calls = w.calls
	}
	t.Cleanup(func() {
		c.fail(errPlayed)
		e.crew.Close()
		e.crew.Wait()
	})
	why = errHandler
	var reader sync.WaitGroup
	reader.Go(func() { // the handler may end it
		for _, frames := range messages {
			b := append(make([]byte, prefixBytes), frames...)
			fillPrefix(b, 0)
			if why = c.listen(&played{message: b}); why != errPlayed { //nolint:errorlint // never wrapped
				return
			}
		}
	})
	reader.Wait()
	return c, why
}

var errHandler = errors.New("the handler has ended the reader")

func (w *witness) want(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.heard, want) {
		t.Errorf("the handler was told\n%q, want\n%q", w.heard, want)
	}
}

// calls are frames of calls of objects, numbered from first on.
func calls(first uint64, ids ...string) (frames []byte) {
	for i, id := range ids {
		frames = appendCall(frames, &callHeader{number: first + uint64(i)}, &transport.Call{Request: object.Request{ID: id}}, nil)
	}
	return frames
}

// accepted is what a handler hears that accepts calls.
func accepted(ids ...string) (heard []string) {
	for _, id := range ids {
		heard = append(heard, "accept "+id)
	}
	return heard
}

// The handler is told of the calls of a message, so many at a time as begin together, before it accepts the first of them,
// and accepts all in their order with what is theirs, whatever their objects are called.
func TestCallsAreForeseen(t *testing.T) {
	t.Parallel()
	var ids []string
	for i := range handful + 3 {
		ids = append(ids, strings.Repeat(fmt.Sprint(i), i%5))
	}
	ids[1] = strings.Repeat("x", usualID+1)
	var w witness
	if _, err := w.hears(t, calls(1, ids...), calls(100, "alone")); err != errPlayed { //nolint:errorlint // never wrapped
		t.Error(err)
	}
	ids[1] = "long"
	w.want(t, slices.Concat([]string{fmt.Sprint("foresee ", handful)}, accepted(ids[:handful]...), []string{"foresee 3"},
		accepted(ids[handful:]...), accepted("alone"))...)
}

// Where the reader has to wait among calls, the handler is told again of those that are left: of the one, too, that had
// to wait.
func TestCallsAreForeseenAfterAWait(t *testing.T) {
	t.Parallel()
	w := witness{calls: 1, quick: true}
	oneWay := appendCall(nil, &callHeader{}, &transport.Call{Request: object.Request{ID: "b"}}, nil)
	c, err := w.hears(t, slices.Concat(calls(1, "a"), oneWay, oneWay))
	if err != errPlayed { //nolint:errorlint // never wrapped
		t.Error(err)
	}
	w.want(t, "foresee 3", "accept a", "foresee 2", "accept b", "foresee 1", "accept b")
	if err := c.endpoint.calls.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// The same where it has let those go first that it has accepted.
func TestCallsAreForeseenAfterGivingWay(t *testing.T) {
	t.Parallel()
	var ids []string
	for i := range 2*handful - 6 {
		ids = append(ids, fmt.Sprint(i))
	}
	few := handful - 6
	var w witness
	if _, err := w.hears(t, slices.Concat(calls(1, ids[:few]...), appendNumbered(nil, kindCancel, 1), calls(uint64(few+1), ids[few:]...))); err != errPlayed { //nolint:errorlint // never wrapped
		t.Error(err)
	}
	w.want(t, slices.Concat([]string{fmt.Sprint("foresee ", few)}, accepted(ids[:few]...), []string{fmt.Sprint("foresee ", handful)},
		accepted(ids[few:handful]...), []string{fmt.Sprint("foresee ", handful-6)}, accepted(ids[handful:]...))...)
}

// A handler that panics when it is told of calls accepts them all the same.
func TestPanicWhenCallsAreForeseen(t *testing.T) {
	t.Parallel()
	w := witness{wrong: func(id string) {
		if id == "" {
			panic("unforeseen")
		}
	}}
	if _, err := w.hears(t, calls(1, "a", "b")); err != errPlayed { //nolint:errorlint // never wrapped
		t.Error(err)
	}
	w.want(t, "foresee 2", "accept a", "accept b")
}

// What comes behind calls in their message is about them: they have been accepted.
func TestCallIsCancelledInItsMessage(t *testing.T) {
	t.Parallel()
	var w witness
	c, err := w.hears(t, slices.Concat(calls(1, "a", "b"), appendNumbered(nil, kindCancel, 1), calls(3, "c")))
	if err != errPlayed { //nolint:errorlint // never wrapped
		t.Error(err)
	}
	w.want(t, "foresee 2", "accept a", "accept b", "accept c")
	for i, ends := range []bool{true, false, false} {
		if ended := w.ctxs[i].Err() != nil; ended != ends {
			t.Errorf("the context of call %d has ended: %t", i+1, ended)
		}
	}
	c.fail(errPlayed)
	if err := c.endpoint.calls.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// Of a message that is not understood the calls in front are accepted, and none behind what is wrong; nor is any of a later
// message.
func TestCallsAroundGarbage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first []byte
		want  []string
	}{
		"a frame that is none":        {slices.Concat(calls(1, "a", "b"), []byte{byte(kindCall)}), []string{"foresee 2", "accept a", "accept b"}},
		"a call that is none":         {slices.Concat(calls(1, "a", "b"), appendNumbered(nil, kindCall, 1)), []string{"foresee 2", "accept a", "accept b"}},
		"a number twice":              {slices.Concat(calls(1, "a"), calls(1, "b", "c")), []string{"foresee 3", "accept a"}},
		"a number twice, then others": {slices.Concat(calls(1, "a"), calls(1, "b", "c"), appendNumbered(nil, kindCancel, 9), calls(5, "d")), []string{"foresee 3", "accept a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w witness
			c, _ := w.hears(t, tc.first, calls(10, "later", "too"))
			c.fail(errPlayed)
			w.want(t, tc.want...)
		})
	}
}

// A handler that ends the reader accepts none of the calls behind.
func TestReaderEndsAmongCalls(t *testing.T) {
	t.Parallel()
	w := witness{wrong: func(id string) {
		if id == "b" {
			runtime.Goexit()
		}
	}}
	if _, err := w.hears(t, calls(1, "a", "b", "c"), calls(4, "later")); err != errHandler { //nolint:errorlint // never wrapped
		t.Error(err)
	}
	w.want(t, "foresee 3", "accept a", "accept b")
}

// Where the memory of a call is used again, what the handler has left there is in the next one.
func TestWhatAHandlerLeavesInACall(t *testing.T) {
	t.Parallel()
	c := newCallee(&endpoint{transport: New(Config{Clock: clock.Virtual()}), base: t.Context()}, serverStream{ctx: t.Context()})
	defer c.fail(errPlayed)
	left := false
	for range 1000 { // the memory may be lost
		s := c.served()
		if s.call.Local != nil {
			left = true
			if s.call.ID != "" || s.call.Timeout != 0 {
				t.Fatalf("a new call is %+v", s.call)
			}
			break
		}
		s.call.Local, s.call.ID, s.call.Timeout = t, "a", time.Second
		s.recycle()
	}
	if !left {
		t.Error("nothing is left in any call")
	}
}
