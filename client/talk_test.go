package client_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/object"
)

// talker is a client of the Session rpc made with nothing but the generated code. It is
// used by one goroutine.
type talker struct {
	t       *testing.T
	f       *fixture
	stream  grpc.BidiStreamingClient[client_pb.SessionRequest, client_pb.SessionResponse]
	cut     context.CancelFunc // resets the stream
	welcome *client_pb.SessionWelcome
	object  string // public

	last    uint64 // number of the last call
	replies []*client_pb.SessionReply
	pushes  []*client_pb.SessionPush
}

// talk opens a stream of the Session rpc, on a connection of its own.
func (f *fixture) talk() *talker {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	f.t.Cleanup(cancel)
	s := &talker{t: f.t, f: f, cut: cancel}
	var err error
	if s.stream, err = client_pb.NewClientServiceClient(f.dial(f.addr)).Session(ctx); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// begin opens a new session.
func (f *fixture) begin() *talker {
	f.t.Helper()
	s := f.talk()
	s.hello(&client_pb.SessionHello{})
	if s.welcome.GetResumed() || s.welcome.GetCallsReceived() != 0 {
		f.t.Errorf("a new session is welcomed with %v", s.welcome)
	}
	s.call("Who", "")
	s.object = s.text(s.reply(1))
	return s
}

// resume opens another stream for a session, of which this one is the client.
func (s *talker) resume() *talker {
	s.t.Helper()
	n := s.f.talk()
	n.object, n.last, n.replies, n.pushes = s.object, s.last, s.replies, s.pushes
	n.hello(&client_pb.SessionHello{ClientId: s.welcome.GetClientId(), Pushes: uint64(len(s.pushes)), Replies: uint64(len(s.replies))})
	if !n.welcome.GetResumed() || n.welcome.GetClientId() != s.welcome.GetClientId() {
		s.t.Errorf("resumed, and welcomed with %v", n.welcome)
	}
	return n
}

// hello sends a hello and waits for the welcome.
func (s *talker) hello(h *client_pb.SessionHello) {
	s.t.Helper()
	s.send(&client_pb.SessionRequest{Hello: h})
	in, err := s.stream.Recv()
	if err != nil {
		s.t.Fatalf("hello: %v", err)
	}
	if s.welcome = in.GetWelcome(); s.welcome == nil {
		s.t.Fatalf("the first message is %v", in)
	}
}

func (s *talker) send(in *client_pb.SessionRequest) {
	s.t.Helper()
	if err := s.stream.Send(in); err != nil && !errors.Is(err, io.EOF) {
		s.t.Fatal(err)
	}
}

// asks makes a SessionCall with the next number.
func (s *talker) asks(method, word string) *client_pb.SessionCall {
	s.last++
	return &client_pb.SessionCall{Number: s.last, Method: method, Request: pack(s.t, wrapperspb.String(word))}
}

func (s *talker) call(method, word string) {
	s.t.Helper()
	s.send(&client_pb.SessionRequest{Calls: []*client_pb.SessionCall{s.asks(method, word)}})
}

// take takes in one message. The error is the stream's end.
func (s *talker) take() error {
	in, err := s.stream.Recv()
	if err != nil {
		return err
	}
	s.replies = append(s.replies, in.GetReplies()...)
	for _, p := range in.GetPushes() {
		if p.GetOffset() != uint64(len(s.pushes))+1 {
			s.t.Errorf("push %d comes after %d others", p.GetOffset(), len(s.pushes))
		}
		s.pushes = append(s.pushes, p)
	}
	return nil
}

// end takes in what comes until the stream ends.
func (s *talker) end() error {
	for {
		if err := s.take(); err != nil {
			return err
		}
	}
}

// reply waits for the reply of a call.
func (s *talker) reply(number uint64) *client_pb.SessionReply {
	s.t.Helper()
	for {
		for _, r := range s.replies {
			if r.GetCall() == number {
				return r
			}
		}
		if err := s.take(); err != nil {
			s.t.Fatalf("waiting for the reply of call %d: %v", number, err)
		}
	}
}

// awaitPushes waits for that many pushes.
func (s *talker) awaitPushes(n int) {
	s.t.Helper()
	for len(s.pushes) < n {
		if err := s.take(); err != nil {
			s.t.Fatalf("waiting for push %d: %v", len(s.pushes)+1, err)
		}
	}
}

func (s *talker) text(r *client_pb.SessionReply) string {
	s.t.Helper()
	if e := r.GetError(); e != nil {
		s.t.Errorf("call %d: %v", r.GetCall(), e)
		return ""
	}
	return text(s.t, r.GetResponse())
}

// failure is the error in a reply as a status error.
func failure(r *client_pb.SessionReply) error {
	e := r.GetError()
	return status.ErrorProto(&spb.Status{Code: e.GetCode(), Message: e.GetMessage(), Details: e.GetDetails()})
}

// alive checks that a client is served: hostile ones harm nobody else.
func (s *talker) alive() {
	s.t.Helper()
	s.call("Echo", "alive")
	if got := s.text(s.reply(s.last)); got != "alive" {
		s.t.Errorf("the other client's call answers %q", got)
	}
	if err := s.f.svc.Push(s.t.Context(), s.object, wrapperspb.String("alive")); err != nil {
		s.t.Errorf("push to the other client: %v", err)
	}
	s.awaitPushes(len(s.pushes) + 1)
}

func TestSessionCarriesCallsAndPushes(t *testing.T) {
	t.Parallel()
	f := start(t)
	s := f.begin()
	const n = 300
	in := &client_pb.SessionRequest{}
	for i := range n {
		in.Calls = append(in.Calls, s.asks("Echo", strconv.Itoa(i)))
		if err := f.svc.Push(t.Context(), s.object, wrapperspb.String(strconv.Itoa(i))); err != nil {
			t.Error(err)
		}
	}
	s.send(in)
	for i := range n {
		if got := s.text(s.reply(uint64(i) + 2)); got != strconv.Itoa(i) {
			t.Errorf("reply %d is %q", i, got)
		}
	}
	s.awaitPushes(n)
	for i, p := range s.pushes {
		if got := text(t, p.GetMessage()); got != strconv.Itoa(i) {
			t.Errorf("push %d is %q", i, got)
		}
	}
	differ(t, "calls", f.node.order(s.object, "Echo"), numbers(n))
	s.send(&client_pb.SessionRequest{PushesTaken: n, RepliesTaken: n + 1, Close: true})
	if err := s.end(); !errors.Is(err, io.EOF) {
		t.Errorf("a closed session ends with %v", err)
	}
	if why := f.node.awaitLeft(s.object); why != object.DisconnectClosed {
		t.Errorf("left as %v", why)
	}
}

// What a call may say, and what it gets.
func TestSessionCalls(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.methods["Deadline"] = func(ctx context.Context, _, _ string) (string, error) {
		d, ok := ctx.Deadline()
		if !ok {
			return "none", nil
		}
		return time.Until(d).Round(time.Hour).String(), nil
	}
	f.node.methods["Cancel"] = func(ctx context.Context, _, _ string) (string, error) {
		f.node.onAccept(object.Request{})
		<-ctx.Done()
		return "", ctx.Err()
	}
	running := make(chan struct{}, 10)
	f.node.onAccept = func(r object.Request) {
		if r.ID == "" {
			running <- struct{}{}
		}
	}
	s := f.begin()
	calls := []*client_pb.SessionCall{
		s.asks("NoSuch", ""), s.asks("Who", ""), s.asks("Metadata", ""), s.asks("Deadline", ""), s.asks("Deadline", ""),
		s.asks("Cancel", ""),
		{Number: 8},
		s.asks("", ""), s.asks("Metadata", ""),
	}
	s.last = 10
	calls[7].Number, calls[8].Number = 9, 10
	calls[1].Request = pack(t, &client_pb.Empty{})
	calls[2].Metadata = map[string]string{"client-user": "ann", "client-raw-bin": "x", "other": "y", "client-": ""}
	calls[3].TimeoutMicros = uint64(time.Hour / time.Microsecond)
	calls[8].Metadata = map[string]string{"client-x": string(make([]byte, 5000))}
	s.send(&client_pb.SessionRequest{Calls: calls})
	<-running
	s.send(&client_pb.SessionRequest{Cancels: []uint64{7, 7, 2}})
	for number, want := range map[uint64]struct {
		text     string
		err      *object.Error
		executed object.Execution
	}{
		2:  {"", object.ErrUnknownMethod, object.ExecutedNo},
		3:  {"", object.ErrInvalidArgument, object.ExecutedNo},
		4:  {"client-= client-user=ann", nil, 0},
		5:  {"1h0m0s", nil, 0},
		6:  {"none", nil, 0},
		7:  {"", object.ErrCanceled, object.ExecutedYes},
		8:  {"", object.ErrUnknownMethod, object.ExecutedNo},
		9:  {"", object.ErrUnknownMethod, object.ExecutedNo},
		10: {"", object.ErrInvalidArgument, object.ExecutedNo},
	} {
		if r := s.reply(number); want.err == nil {
			if got := s.text(r); got != want.text {
				t.Errorf("call %d answers %q", number, got)
			}
		} else {
			expect(t, failure(r), want.err, want.executed)
		}
	}
	if len(s.replies) != 10 {
		t.Errorf("%d replies", len(s.replies))
	}
}

// The trace context of a call is in its metadata.
func TestSessionTraceContext(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f := start(t)
	f.node.methods["Trace"] = func(ctx context.Context, _, _ string) (string, error) {
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		parent, state := w3c.Of(derived)
		return parent + " " + state, ctx.Err()
	}
	s := f.begin()
	for metadata, want := range map[*map[string]string]string{
		{}: " ",
		{"traceparent": parent, "tracestate": "a=1"}: parent + " a=1",
		{"traceparent": "nonsense"}:                  " ",
		{"tracestate": "a=1"}:                        " ",
	} {
		c := s.asks("Trace", "")
		c.Metadata = *metadata
		c.TimeoutMicros = 3e10
		s.send(&client_pb.SessionRequest{Calls: []*client_pb.SessionCall{c}})
		if got := s.text(s.reply(c.GetNumber())); got != want {
			t.Errorf("%v: %q", *metadata, got)
		}
	}
}

// Where the node panics, or a method ends its goroutine, one call fails.
func TestSessionCallsThatPanic(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.methods["Panic"] = func(context.Context, string, string) (string, error) { panic("in the turn") }
	f.node.onAccept = func(r object.Request) {
		if r.Method == "PanicEarly" {
			f.node.enter(r.ID, -1) // it does not run
			panic("before")
		}
	}
	f.node.methods["Exit"] = func(context.Context, string, string) (string, error) {
		runtime.Goexit()
		return "", nil
	}
	s := f.begin()
	s.call("Exit", "")
	expect(t, failure(s.reply(s.last)), object.ErrInternal, object.ExecutedYes)
	for _, method := range []string{"Panic", "PanicEarly"} {
		s.call(method, "")
		expect(t, failure(s.reply(s.last)), object.ErrInternal, object.ExecutedUnknown)
	}
	s.alive()
	if log := f.log.String(); !strings.Contains(log, "in the turn") || !strings.Contains(log, "before") {
		t.Errorf("the log does not tell: %s", log)
	}
}

// The secret is good for Call too.
func TestSessionsIDIsGoodForCall(t *testing.T) {
	t.Parallel()
	f := start(t)
	s := f.begin()
	p := &peer{t: t, rpc: f.dialBig(), id: s.welcome.GetClientId()}
	if got, err := p.call(t.Context(), "Who", nil); err != nil || got != s.object {
		t.Errorf("Who answers %q, %v", got, err)
	}
	s.send(&client_pb.SessionRequest{Close: true})
	f.node.awaitLeft(s.object)
	_, err := p.call(t.Context(), "Who", nil)
	expect(t, err, object.ErrUnauthenticated, object.ExecutedNo)
}
