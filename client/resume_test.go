package client_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
)

// detached waits until the service has noticed that the client's stream is gone: nothing
// but its log says so.
func (f *fixture) detached(s *talker) {
	f.t.Helper()
	until(f.t, "the session waits for its client", func() bool {
		return strings.Contains(f.log.String(), "client lost its stream\" client="+s.object)
	})
}

// What ran when the connection broke goes on, what came meanwhile waits, and what the
// client did not have is sent again.
func TestResume(t *testing.T) {
	t.Parallel()
	f := start(t)
	block, running, release := blocking()
	defer release()
	f.node.methods["Block"] = block
	s := f.begin()
	s.call("Block", "")
	<-running
	for i := range 5 {
		if err := f.svc.Push(t.Context(), s.object, wrapperspb.String(strconv.Itoa(i))); err != nil {
			t.Error(err)
		}
	}
	s.awaitPushes(5)
	s.pushes, s.replies = s.pushes[:2], nil // the others are lost on their way
	s.cut()
	f.detached(s)
	if err := f.svc.Push(t.Context(), s.object, wrapperspb.String("5")); err != nil {
		t.Errorf("push while the client is away: %v", err)
	}
	release()
	lost := s.asks("Echo", "never arrived") // not received: to be sent again
	n := s.resume()
	if got := n.welcome.GetCallsReceived(); got != 2 {
		t.Errorf("calls received: %d", got)
	}
	if got := n.text(n.reply(1)); got != s.object {
		t.Errorf("the reply that was lost is %q", got)
	}
	n.send(&client_pb.SessionRequest{Calls: []*client_pb.SessionCall{lost}, RepliesTaken: 1})
	if got := n.text(n.reply(2)); got != "released" {
		t.Errorf("the call that ran answers %q", got)
	}
	if got := n.text(n.reply(3)); got != "never arrived" {
		t.Errorf("the call that was sent again answers %q", got)
	}
	n.awaitPushes(6)
	for i, p := range n.pushes {
		if got := text(t, p.GetMessage()); got != strconv.Itoa(i) {
			t.Errorf("push %d is %q", i, got)
		}
	}
	if len(n.replies) != 3 {
		t.Errorf("%d replies of 3 calls", len(n.replies))
	}
	n.send(&client_pb.SessionRequest{Close: true})
	if why := f.node.awaitLeft(s.object); why != object.DisconnectClosed {
		t.Errorf("left as %v", why)
	}
}

// Of two streams of a session the second one wins.
func TestSecondStreamWins(t *testing.T) {
	t.Parallel()
	f := start(t)
	s := f.begin()
	n := s.resume()
	expect(t, s.end(), object.ErrAborted, object.ExecutedUnknown)
	n.last = s.last
	n.alive()
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if len(f.node.left) != 0 {
		t.Errorf("left: %v", f.node.left)
	}
}

// stopped is a clock that stands still, and counts how often it is looked at.
type stopped struct {
	clock.Clock

	looks atomic.Int64
}

func (c *stopped) Monotonic() time.Duration {
	c.looks.Add(1)
	return time.Hour
}

// A reply that waits for company when another stream resumes the session goes over that one.
func TestSecondStreamWinsWhileAReplyWaits(t *testing.T) {
	t.Parallel()
	still := &stopped{Clock: clock.System()}
	others := company.New(still)
	f := start(t, func(cfg *client.Config, _ *fixture) credentials.TransportCredentials {
		cfg.Company = others
		return nil
	})
	s := f.begin()
	others.Expect(1)
	looks := still.looks.Load()
	s.call("Echo", "hello")
	// The first look is at when the call was expected; the second, at how long others have been, is the writer's.
	until(t, "the reply waits", func() bool { return still.looks.Load() >= looks+2 })
	n := s.resume()
	if got := n.welcome.GetCallsReceived(); got != s.last {
		t.Errorf("calls received: %d", got)
	}
	expect(t, s.end(), object.ErrAborted, object.ExecutedUnknown)
	if len(s.replies) != 1 {
		t.Errorf("the stream that was superseded has %d replies, want begin's", len(s.replies))
	}
	others.Came()
	if got := n.text(n.reply(s.last)); got != "hello" {
		t.Errorf("the reply is %q", got)
	}
	n.last = s.last
	n.alive()
	if len(n.replies) != 3 {
		t.Errorf("%d replies of 3 calls", len(n.replies))
	}
}

// All ids that are not a living session's are alike, and like Call's.
func TestBadIDsDoNotResume(t *testing.T) {
	t.Parallel()
	f := start(t)
	s, registered := f.begin(), f.connect()
	s.send(&client_pb.SessionRequest{Close: true})
	f.node.awaitLeft(s.object)
	_, want := registered.rpc.Call(t.Context(), &client_pb.CallRequest{ClientId: "nobody"})
	for _, id := range []string{"nobody", s.welcome.GetClientId(), registered.id, s.object, strings.Repeat("x", 1<<16), "\x00"} {
		n := f.talk()
		n.send(&client_pb.SessionRequest{Hello: &client_pb.SessionHello{ClientId: id}})
		err := n.end()
		expect(t, err, object.ErrUnauthenticated, object.ExecutedNo)
		if err.Error() != want.Error() {
			t.Errorf("it ends with %v, not %v", err, want)
		}
	}
}

func TestSessionWaitsNoLongerThanItsTime(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]time.Duration{"a moment": time.Millisecond, "never": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, withLimits(client.Limits{Resume: limit}))
			block, running, release := blocking()
			defer release()
			f.node.methods["Block"] = block
			s := f.begin()
			if want := uint64(max(0, limit/time.Microsecond)); s.welcome.GetResumeMicros() != want {
				t.Errorf("the welcome says %d microseconds", s.welcome.GetResumeMicros())
			}
			s.call("Block", "")
			<-running
			s.cut()
			if why := f.node.awaitLeft(s.object); why != object.DisconnectLost {
				t.Errorf("left as %v", why)
			}
		})
	}
}

// A client may want less time, and gets no more than the server allows.
func TestClientsChooseTheirTime(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{Resume: time.Hour}))
	for wants, gets := range map[uint64]uint64{0: 3600e6, 5: 5, 3600e6: 3600e6, 1 << 63: 3600e6} {
		s := f.talk()
		s.hello(&client_pb.SessionHello{ResumeMicros: wants})
		if got := s.welcome.GetResumeMicros(); got != gets {
			t.Errorf("who wants %d microseconds gets %d", wants, got)
		}
		s.cut()
	}
	until(t, "the one that does not wait is gone", func() bool { return f.svc.Clients() == 3 })
}

// A session that was resumed in time does not end when its time would have been over.
func TestResumedInTime(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{Resume: time.Hour}))
	s := f.begin()
	s.cut()
	f.detached(s)
	n := s.resume()
	n.alive()
	if f.svc.Waiting() != 0 {
		t.Error("it waits for its client still")
	}
}

// How a server ends sessions, those without a stream too.
func TestServerEndsSessions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end      func(f *fixture, s *talker)
		want     *object.Error
		executed object.Execution
		why      object.DisconnectReason
	}{
		"stop":     {func(f *fixture, _ *talker) { _ = f.svc.Stop(t.Context()) }, object.ErrUnavailable, object.ExecutedNo, object.DisconnectStopping},
		"kick":     {func(f *fixture, s *talker) { _ = f.svc.Kick(t.Context(), s.object) }, object.ErrAborted, object.ExecutedUnknown, object.DisconnectKicked},
		"lost":     {func(f *fixture, s *talker) { f.svc.Lost(s.object) }, object.ErrUnavailable, object.ExecutedUnknown, object.DisconnectLost},
		"lose all": {func(f *fixture, _ *talker) { f.svc.LoseAll() }, object.ErrUnavailable, object.ExecutedUnknown, object.DisconnectLost},
	} {
		for _, attached := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", attached", false: ", detached"}[attached], func(t *testing.T) {
				t.Parallel()
				f := start(t, withLimits(client.Limits{Resume: time.Hour}))
				s := f.begin()
				if !attached {
					s.cut()
					f.detached(s)
				} else if err := f.svc.Push(t.Context(), s.object, wrapperspb.String("last words")); err != nil {
					t.Error(err)
				}
				test.end(f, s)
				if why := f.node.awaitLeft(s.object); why != test.why {
					t.Errorf("left as %v", why)
				}
				if attached {
					expect(t, s.end(), test.want, test.executed)
					if len(s.pushes) != 1 {
						t.Errorf("%d pushes arrived before the end", len(s.pushes))
					}
					return
				}
				n := f.talk()
				n.send(&client_pb.SessionRequest{Hello: &client_pb.SessionHello{ClientId: s.welcome.GetClientId()}})
				if err := n.end(); name == "stop" {
					expect(t, err, object.ErrUnavailable, object.ExecutedNo)
				} else {
					expect(t, err, object.ErrUnauthenticated, object.ExecutedNo)
				}
			})
		}
	}
}

// A stop lets the calls of sessions finish, and refuses new ones.
func TestStopLetsSessionsFinish(t *testing.T) {
	t.Parallel()
	f := start(t)
	block, running, release := blocking()
	defer release()
	f.node.methods["Block"] = block
	s, away := f.begin(), f.begin()
	for _, one := range []*talker{s, away} {
		one.call("Block", "")
		<-running
	}
	away.cut()
	f.detached(away)
	stopped := make(chan error, 1)
	go func() { stopped <- f.svc.Stop(t.Context()) }()
	until(t, "calls are refused", func() bool {
		s.call("Echo", "x")
		r := s.reply(s.last)
		if r.GetError() == nil {
			return false
		}
		expect(t, failure(r), object.ErrUnavailable, object.ExecutedNo)
		return true
	})
	select {
	case err := <-stopped:
		t.Fatalf("stopped while calls run: %v", err)
	default:
	}
	release()
	if got := s.text(s.reply(2)); got != "released" {
		t.Errorf("the call that had begun answers %q", got)
	}
	expect(t, s.end(), object.ErrUnavailable, object.ExecutedNo)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	for _, one := range []*talker{s, away} {
		if why := f.node.awaitLeft(one.object); why != object.DisconnectStopping {
			t.Errorf("left as %v", why)
		}
	}
}

// Stop's context bounds it for sessions too: what then still runs is cancelled.
func TestStopGivesUpSessions(t *testing.T) {
	t.Parallel()
	f := start(t)
	block, running, release := blocking()
	defer release()
	f.node.methods["Block"] = block
	s := f.begin()
	s.call("Block", "")
	<-running
	cause := errors.New("out of patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := f.svc.Stop(ctx); !errors.Is(err, cause) {
		t.Errorf("stop: %v", err)
	}
	if err := f.svc.Stop(t.Context()); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func TestOnConnectRefusesASession(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.onConnect = func(ctx context.Context, id string) error {
		if err := f.svc.Push(ctx, id, wrapperspb.String("never seen")); err != nil {
			t.Error(err)
		}
		return object.NewError(object.CodePermissionDenied, "not you")
	}
	s := f.talk()
	s.send(&client_pb.SessionRequest{Hello: &client_pb.SessionHello{}})
	expect(t, s.end(), object.ErrPermissionDenied, object.ExecutedYes)
	until(t, "nothing is left", func() bool { return f.svc.Clients() == 0 })
}

// What OnConnect pushes comes behind the welcome; too much of it is the end.
func TestPushesInOnConnect(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{QueueMessages: 3}))
	n := 4
	f.node.onConnect = func(ctx context.Context, id string) error {
		for range n {
			_ = f.svc.Push(ctx, id, wrapperspb.String("x"))
		}
		return nil
	}
	s := f.begin()
	s.awaitPushes(4)
	n = 5
	flood := f.talk()
	flood.send(&client_pb.SessionRequest{Hello: &client_pb.SessionHello{}})
	expect(t, flood.end(), object.ErrResourceExhausted, object.ExecutedUnknown)
	s.alive2()
}

// alive2 is alive for a client whose pushes are to be taken.
func (s *talker) alive2() {
	s.send(&client_pb.SessionRequest{PushesTaken: uint64(len(s.pushes))})
	s.alive()
}

// Clients that come and go with their sessions, all at once, leave nothing.
func TestSessionsComeAndGo(t *testing.T) {
	t.Parallel()
	f := start(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn := f.dial(f.addr)
			for i := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				str, err := client_pb.NewClientServiceClient(conn).Session(ctx)
				if err == nil {
					err = str.Send(&client_pb.SessionRequest{Hello: &client_pb.SessionHello{}, Calls: []*client_pb.SessionCall{{Number: 1, Method: "Who"}}})
				}
				if err == nil && i%3 > 0 {
					_, err = str.Recv()
				}
				if err != nil {
					t.Errorf("session: %v", err)
				}
				if i%2 == 0 {
					err = errors.Join(str.Send(&client_pb.SessionRequest{Close: true}), str.CloseSend())
					for err == nil {
						_, err = str.Recv()
					}
				}
				cancel()
			}
		})
	}
	wg.Wait()
}
