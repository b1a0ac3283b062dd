package transport_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var peer = transport.Peer{Cluster: "c", Address: "host:1", Incarnation: "i"}

func TestFailTellsAndKeepsWhy(t *testing.T) {
	t.Parallel()
	c := &transport.Call{Request: object.Request{ID: "Room-1", Method: "Join"}}
	for _, tc := range []struct {
		why  error
		code object.Code
	}{
		{transport.ErrUnreachable, object.CodeUnavailable},
		{transport.ErrWrongPeer, object.CodeUnavailable},
		{transport.ErrDraining, object.CodeUnavailable},
		{transport.ErrBroken, object.CodeUnavailable},
		{transport.ErrClosed, object.CodeUnavailable},
		{transport.ErrTooLarge, object.CodeResourceExhausted},
		{context.Canceled, object.CodeCanceled},
		{context.DeadlineExceeded, object.CodeDeadlineExceeded},
		{io.ErrUnexpectedEOF, object.CodeUnavailable},
	} {
		for _, x := range []object.Execution{object.ExecutedUnknown, object.ExecutedNo} {
			err := transport.Fail(tc.why, x, peer, c)
			if !errors.Is(err, tc.why) || object.CodeOf(err) != tc.code || object.Executed(err) != x {
				t.Errorf("Fail(%v, %v) = %v: code %v, executed=%v", tc.why, x, err, object.CodeOf(err), object.Executed(err))
			}
			told := object.FromError(err)
			if told.Op != "call" || told.ID != "Room-1" || told.Method != "Join" || strings.Count(err.Error(), tc.why.Error()) != 1 {
				t.Errorf("Fail(%v) = %v", tc.why, err)
			}
			if told.Error() != err.Error() {
				t.Errorf("FromError changes %q into %q", err, told)
			}
		}
	}
}

// halves is a link, and the flight of its calls.
type halves struct {
	transport.Link

	start, wait error
	reply       *transport.Reply
}

func (h *halves) Start(context.Context, *transport.Call) (transport.Flight, error) { return h, h.start }

func (h *halves) Wait(context.Context) (*transport.Reply, error) { return h.reply, h.wait }

func (h *halves) Land() { panic("the reply is kept") }

// What goes wrong while a call is waited for is an error that names the call, as one of its start is.
func TestStartAndWaitNamesTheCall(t *testing.T) {
	t.Parallel()
	c := &transport.Call{Request: object.Request{ID: "Room-1", Method: "Join"}}
	nameless := transport.Fail(transport.ErrBroken, object.ExecutedUnknown, peer, nil)
	if e := object.FromError(nameless); e.Op != "" || e.ID != "" || e.Method != "" {
		t.Errorf("Fail without a call: %v", nameless)
	}
	_, err := transport.StartAndWait(t.Context(), &halves{wait: nameless}, c)
	if want := transport.Fail(transport.ErrBroken, object.ExecutedUnknown, peer, c); !errors.Is(err, transport.ErrBroken) ||
		object.Executed(err) != object.ExecutedUnknown || err.Error() != want.Error() {
		t.Errorf("the error is %v, want %v", err, want)
	}
	if _, err := transport.StartAndWait(t.Context(), &halves{start: io.EOF, wait: nameless}, c); !errors.Is(err, io.EOF) {
		t.Errorf("a call that was not started: %v", err)
	}
	want := new(transport.Reply)
	if reply, err := transport.StartAndWait(t.Context(), &halves{reply: want}, c); err != nil || reply != want {
		t.Errorf("a call with a reply: %v, %v", reply, err)
	}
}

func TestEndedSaysTheCauseAndKeepsTheCode(t *testing.T) {
	t.Parallel()
	why := object.Refuse(object.CodeAborted, object.Fenced, "", "", "", "the lease is lost")
	caused, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	plain, stop := context.WithCancel(t.Context())
	stop()
	expired, stop := context.WithTimeout(t.Context(), -time.Second)
	defer stop()
	for _, tc := range []struct {
		ctx  context.Context
		code object.Code
		is   error
	}{
		{caused, object.CodeCanceled, why},
		{plain, object.CodeCanceled, context.Canceled},
		{expired, object.CodeDeadlineExceeded, context.DeadlineExceeded},
	} {
		err := transport.Fail(transport.Ended(tc.ctx), object.ExecutedNo, peer, &transport.Call{})
		if object.CodeOf(err) != tc.code || !errors.Is(err, tc.is) {
			t.Errorf("Fail(Ended) = %v, want code %v and %v in the chain", err, tc.code, tc.is)
		}
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	from := transport.Peer{Cluster: "c", Address: "other:1", Incarnation: "j"}
	other := func(p transport.Peer, f func(*transport.Peer)) transport.Peer { f(&p); return p }
	for name, tc := range map[string]struct {
		from, to transport.Peer
		ok       bool
	}{
		"right":               {from, peer, true},
		"by another address":  {from, other(peer, func(p *transport.Peer) { p.Address = "alias:1" }), true},
		"itself":              {peer, peer, true},
		"another incarnation": {from, other(peer, func(p *transport.Peer) { p.Incarnation = "I" }), false},
		"no incarnation":      {from, other(peer, func(p *transport.Peer) { p.Incarnation = "" }), false},
		"another cluster":     {from, other(peer, func(p *transport.Peer) { p.Cluster = "d" }), false},
		"from another cluster": {
			other(from, func(p *transport.Peer) { p.Cluster = "d" }), peer, false,
		},
	} {
		if err := transport.Admit(peer, tc.from, tc.to); (err == nil) != tc.ok || !tc.ok && !errors.Is(err, transport.ErrWrongPeer) {
			t.Errorf("%s: Admit = %v", name, err)
		}
	}
}

func TestValidateNeedsAllFields(t *testing.T) {
	t.Parallel()
	if err := peer.Validate(); err != nil {
		t.Error(err)
	}
	for i := range reflect.TypeFor[transport.Peer]().NumField() {
		p := peer
		reflect.ValueOf(&p).Elem().Field(i).SetString("")
		if p.Validate() == nil {
			t.Errorf("%+v is valid", p)
		}
	}
}

// Every variable part of a message counts: what grows without limit is refused.
func TestSizeCountsEverything(t *testing.T) {
	t.Parallel()
	const n = 1000
	text := strings.Repeat("x", n)
	for _, message := range []interface{ Size() int }{
		&transport.Call{
			Request: object.Request{
				ID: text, Method: text, Message: text, Body: []byte(text), Key: text, Metadata: map[string]string{text: text},
			},
			Chain: []transport.Step{{ID: text, Method: text}}, TraceParent: text, TraceState: text,
		},
		&transport.Reply{
			Reply: object.Reply{Message: text, Body: []byte(text)},
			Err:   &object.Error{Reason: object.Reason(text), Message: text, Op: text, ID: text, Method: text},
			Owner: &transport.Peer{Cluster: text, Address: text, Incarnation: text},
		},
	} {
		parts := count(t, reflect.ValueOf(message).Elem(), text)
		if got := message.Size(); got != parts*n {
			t.Errorf("%T.Size() = %d, it has %d parts of %d", message, got, parts, n)
		}
	}
}

// count counts the texts in v and checks that no place for one is empty.
func count(t *testing.T, v reflect.Value, text string) int {
	t.Helper()
	n := 0
	switch v.Kind() {
	case reflect.String:
		if v.String() != text {
			t.Errorf("a %s is not set", v.Type())
		}
		return 1
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return 1
		}
		for i := range v.Len() {
			n += count(t, v.Index(i), text)
		}
	case reflect.Map:
		return 2 * v.Len()
	case reflect.Pointer:
		return count(t, v.Elem(), text)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "From" { // set by the receiver
				n += count(t, v.Field(i), text)
			}
		}
	default:
	}
	return n
}

// script is a handler made of a function.
type script func() func() *transport.Reply

// AcceptCall implements transport.Handler.
func (s script) AcceptCall(context.Context, *transport.Call) func() *transport.Reply { return s() }

func TestAcceptAnswersWhateverTheHandlerDoes(t *testing.T) {
	t.Parallel()
	small := &transport.Reply{Reply: object.Reply{Body: []byte("fine")}}
	large := strings.Repeat("x", transport.MaxBytes)
	run := func(f func() *transport.Reply) script { return func() func() *transport.Reply { return f } }
	for name, tc := range map[string]struct {
		handler  script
		code     object.Code
		executed object.Execution
		logged   bool
	}{
		"reply":         {run(func() *transport.Reply { return small }), object.CodeOK, object.ExecutedYes, false},
		"nil reply":     {run(func() *transport.Reply { return nil }), object.CodeInternal, object.ExecutedUnknown, false},
		"panic":         {run(func() *transport.Reply { panic("p") }), object.CodeInternal, object.ExecutedUnknown, true},
		"panic of nil":  {run(func() *transport.Reply { panic(nil) }), object.CodeInternal, object.ExecutedUnknown, true},
		"exit":          {run(func() *transport.Reply { runtime.Goexit(); return small }), object.CodeInternal, object.ExecutedUnknown, false},
		"accepts nil":   {func() func() *transport.Reply { return nil }, object.CodeInternal, object.ExecutedUnknown, false},
		"accept panics": {func() func() *transport.Reply { panic("p") }, object.CodeInternal, object.ExecutedUnknown, true},
		"large reply":   {run(func() *transport.Reply { return &transport.Reply{Reply: object.Reply{Body: []byte(large + "!")}} }), object.CodeResourceExhausted, object.ExecutedYes, false},
		"largest reply": {run(func() *transport.Reply { return &transport.Reply{Reply: object.Reply{Body: []byte(large)}} }), object.CodeOK, object.ExecutedYes, false},
		"large error":   {run(func() *transport.Reply { return &transport.Reply{Err: object.NewError(object.CodeAborted, large+"!")} }), object.CodeResourceExhausted, object.ExecutedUnknown, false},
		"handler's func": {func() func() *transport.Reply {
			return transport.HandlerFunc(func(context.Context, *transport.Call) *transport.Reply { return small }).AcceptCall(t.Context(), nil)
		}, object.CodeOK, object.ExecutedYes, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			c := &transport.Call{Request: object.Request{ID: "Room-1", Method: "Join"}}
			var guard transport.Guard
			guard.Accept(t.Context(), tc.handler, c, slog.New(slog.NewTextHandler(&log, nil)))
			replies := make(chan *transport.Reply, 2)
			over := make(chan struct{})
			go func() {
				defer close(over)
				guard.Run(func(r *transport.Reply) { replies <- r })
			}()
			<-over
			if len(replies) != 1 {
				t.Fatalf("done was called %d times", len(replies))
			}
			r := <-replies
			if tc.code == object.CodeOK {
				if r.Err != nil {
					t.Errorf("the reply is %v", r.Err)
				}
			} else if r.Err == nil || r.Err.Code != tc.code || object.Executed(r.Err) != tc.executed || r.Err.ID != "Room-1" {
				t.Errorf("the reply is %v, want %v, executed=%v", r.Err, tc.code, tc.executed)
			}
			if logged := strings.Contains(log.String(), "Room-1"); logged != tc.logged {
				t.Errorf("logged: %q", log.String())
			}
			if r.Size() > transport.MaxBytes {
				t.Errorf("the reply has %d bytes", r.Size())
			}
		})
	}
}

func TestOpNames(t *testing.T) {
	t.Parallel()
	for op, want := range map[transport.Op]string{
		transport.OpCall: "call", transport.OpCreate: "create", transport.OpDelete: "delete", transport.OpPush: "push", 77: "op_77",
	} {
		if got := op.String(); got != want {
			t.Errorf("Op(%d) = %q, want %q", op, got, want)
		}
	}
}
