package client

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/object"
)

// A call that found its session just before the server began to stop does not begin
// after: Stop has counted the calls already.
func TestNoCallSlipsThroughAStop(t *testing.T) {
	t.Parallel()
	s := NewService(Config{ClientType: "Tester"})
	sess, err := s.admit(nil)
	if err != nil {
		t.Fatal(err)
	}
	clientID, hash := s.open(sess)
	found, err := s.findCaller([]byte(clientID))
	if found != sess || err != nil {
		t.Fatalf("found %v, %v", found, err)
	}
	s.calls.End()
	_, call, _ := found.beginCall(t.Context(), nil, new(callRequest))
	if call == nil || call.Err() != nil {
		t.Fatal("a call cannot begin")
	}
	call.release()
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(t.Context()) }()
	<-sess.ended
	if _, call, _ := found.beginCall(t.Context(), nil, new(callRequest)); call != nil {
		t.Error("a call begins although the stop has counted the calls")
	}
	s.shutOut(sess, hash)
	s.forget(sess)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestSessionEndsOnce(t *testing.T) {
	t.Parallel()
	sess := newSession("Tester-x", Limits{}.withDefaults())
	first, second := errors.New("first"), errors.New("second")
	sess.end(ending{err: first})
	sess.end(ending{err: second})
	<-sess.ended
	if sess.ending.err != first { //nolint:errorlint // identity
		t.Errorf("ended with %v", sess.ending.err)
	}
}

// What begins after the abort is cancelled from its beginning, like what ran.
func TestAbortIsForAllWork(t *testing.T) {
	t.Parallel()
	sess := newSession("Tester-x", Limits{}.withDefaults())
	cause := errors.New("out of patience")
	_, before := sess.begin(t.Context())
	_, other := sess.begin(t.Context())
	sess.abortWork(cause)
	_, after := sess.begin(t.Context())
	for _, ctx := range []context.Context{before, other, after} {
		if context.Cause(ctx) != cause { //nolint:errorlint // identity
			t.Errorf("the context's cause is %v", context.Cause(ctx))
		}
	}
	other.release()
	before.release()
	if after.prev != nil || after.next != nil {
		t.Error("work that was released is still known")
	}
	after.release()
	if sess.work != nil {
		t.Error("work is left")
	}
}

// idleNode is a node without a life of its own.
type idleNode struct{}

func (idleNode) AttachClient(context.Context, string) error { return nil }

func (idleNode) DetachClient(context.Context, string, object.DisconnectReason) error { return nil }

func (idleNode) Accept(context.Context, object.Request) Accepted {
	return failed{nil}
}

// stuckStream is a stream whose client does not read: Send returns when the handler's
// return has made gRPC end the stream.
type stuckStream struct {
	grpc.ServerStream

	ctx     context.Context
	sending chan struct{}
	over    chan struct{}
}

func (s *stuckStream) Context() context.Context { return s.ctx }

func (s *stuckStream) Send(*anypb.Any) error {
	close(s.sending)
	<-s.over
	return io.ErrClosedPipe
}

// The handler of a slow client returns without waiting for its sender, and Stop waits
// for the sender.
func TestStopWaitsForSenders(t *testing.T) {
	t.Parallel()
	s := NewService(Config{Node: idleNode{}, ClientType: "Tester", Limits: Limits{QueueMessages: 1}})
	str := &stuckStream{ctx: t.Context(), sending: make(chan struct{}), over: make(chan struct{})}
	returned := make(chan error, 1)
	go func() { returned <- s.register(str) }()
	<-str.sending
	id := s.snapshot()[0].id
	var err error
	for err == nil {
		err = s.Push(t.Context(), id, &anypb.Any{})
	}
	if err := <-returned; !errors.Is(err, object.ErrResourceExhausted) {
		t.Errorf("the handler returned %v", err)
	}
	cause := errors.New("out of patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := s.Stop(ctx); !errors.Is(err, cause) {
		t.Errorf("stop beside a sender: %v", err)
	}
	close(str.over)
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// gRPC's own client refuses to send such values; others may not.
func TestMetadataMustBeText(t *testing.T) {
	t.Parallel()
	ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{MetadataPrefix + "user": {"ann", "\xff"}})
	if md, err := callMetadata(ctx, object.Request{}); !errors.Is(err, object.ErrInvalidArgument) {
		t.Errorf("got %q, %v", md, err)
	}
}

// Calls that are refused all the time do not keep a stop waiting for the others.
func TestRefusedCallsAreNotCounted(t *testing.T) {
	t.Parallel()
	s := NewService(Config{ClientType: "Tester"})
	s.stopping = true
	over, cancel := context.WithCancel(t.Context())
	cancel()
	refused := make(chan error, 1)
	s.mu.Lock() // the call does not get further than to where it looks for its client
	go func() {
		_, _, err := s.call(t.Context(), new(callRequest))
		refused <- err
	}()
	for range 10_000 {
		runtime.Gosched()
		if err := s.calls.Wait(over); err != nil {
			t.Errorf("it is counted: %v", err)
			break
		}
	}
	s.mu.Unlock()
	if err := <-refused; object.CodeOf(err) != object.CodeUnavailable {
		t.Errorf("refused with %v", err)
	}
}

// A client gets its name under the lock: one with the name of an earlier place is there
// for who loses all clients after the place has changed.
func TestNamesAreGivenUnderTheLock(t *testing.T) {
	t.Parallel()
	var s *Service
	s = NewService(Config{ClientType: "Tester", Place: func() string {
		if s.mu.TryLock() {
			s.mu.Unlock()
			t.Error("the lock is free")
		}
		return "here"
	}})
	sess, err := s.admit(nil)
	if err != nil || !strings.HasSuffix(sess.id, "@here") || s.find(sess.id) != sess {
		t.Fatal(sess, err)
	}
	s.forget(sess)
}
