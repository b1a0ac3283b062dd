package client

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/company"
)

// leg is one stream of a session.
type leg struct {
	service *Service
	str     grpc.ServerStream
	greeted chan struct{} // closed when the hello is there
	over    chan struct{} // closed by end
	users   atomic.Int32  // goroutines that use the stream

	ending sync.Once
	err    error // what the stream ends with; set when over is closed

	talk    *resumable // set before there is a writer
	welcome []byte     // guarded by talk.mu: to be sent first; nil: it was
	writing bool       // guarded by talk.mu: a writer is under way
	held    bool       // guarded by talk.mu: it waits for wake
	wake    chan bool  // capacity 1: the writer is to look again, or to send: true; made when it waits first
	told    uint64     // guarded by talk.mu: the calls_received that was sent last
}

// session is the life of a stream of the Session rpc. The goroutine that gRPC gave it
// waits for its end: what reads and what writes may be caught in gRPC until the stream
// is over, which it is when this returns.
func (s *Service) session(str grpc.BidiStreamingServer[client_pb.SessionRequest, client_pb.SessionResponse]) error {
	if connOf(str.Context()) == nil {
		return object.NewError(object.CodeInternal, "the gRPC server was made without the service's options")
	}
	l := &leg{service: s, str: str, greeted: make(chan struct{}), over: make(chan struct{})}
	if err := s.beginLeg(); err != nil {
		return err
	}
	l.users.Store(2)
	defer l.release()
	go l.read()
	if !l.awaitHello(str.Context()) {
		l.end(object.Refuse(object.CodeInvalidArgument, "", "register", "", "", "the stream has no hello"))
	}
	select {
	case <-l.over:
	case <-str.Context().Done():
		l.end(object.NewError(object.CodeCanceled, "the client ended its stream"))
	}
	<-l.over
	return l.err
}

// beginLeg counts a stream, unless the service is stopping.
func (s *Service) beginLeg() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errStopping("register")
	}
	s.streams.Begin()
	return nil
}

// use counts one more goroutine that uses the stream, unless none does any more.
func (l *leg) use() bool {
	for {
		n := l.users.Load()
		if n == 0 {
			return false
		}
		if l.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release is the end of a goroutine that uses the stream.
func (l *leg) release() {
	if l.users.Add(-1) == 0 {
		l.service.streams.End()
	}
}

// end ends the stream; an err of nil is OK.
func (l *leg) end(err error) {
	l.ending.Do(func() {
		l.err = err
		close(l.over)
	})
}

// awaitHello is false if the stream stays silent for too long.
func (l *leg) awaitHello(ctx context.Context) bool {
	timer := l.service.clock.NewTimer(l.service.limits.Handshake)
	defer timer.Stop()
	select {
	case <-l.greeted:
	case <-l.over:
	case <-ctx.Done():
	case <-timer.C:
		return false
	}
	return true
}

// read takes in what comes until the stream ends.
func (l *leg) read() {
	defer l.release()
	defer func() {
		if r := recover(); r != nil {
			err := object.FromError(l.service.crashed(l.str.Context(), client_pb.ClientService_Session_FullMethodName, r))
			if l.talk != nil {
				l.talk.session.end(ending{object.DisconnectLost, err, false})
			}
			l.end(err)
		}
	}()
	var in sessionRequest
	var known names
	var t *resumable
	for first := true; ; first = false {
		var raw inbound
		if err := l.str.RecvMsg(&raw); err != nil {
			l.hungUp(t, err)
			return
		}
		if first {
			close(l.greeted)
		}
		err := in.parse(raw.data.ReadOnlyData(), &known)
		if err == nil && first {
			t, err = l.service.greet(l, in.hello)
		} else if err == nil && in.hello != nil {
			err = errors.New("a second hello")
		}
		if err == nil {
			err = t.take(l, &in)
		}
		raw.data.Free() // nobody needs the bodies of the calls any more
		if err != nil {
			l.refuse(t, err)
			return
		}
	}
}

// refuse ends the stream because of what came, and the session if that was against the
// protocol.
func (l *leg) refuse(t *resumable, err error) {
	if e, ok := errors.AsType[*object.Error](err); ok {
		l.end(e)
		return
	}
	e := errProtocol(err.Error())
	if t != nil {
		t.expel(l, e)
	}
	l.end(e)
}

// hungUp is told that nothing comes any more.
func (l *leg) hungUp(t *resumable, err error) {
	if t == nil {
		l.end(object.NewError(object.CodeCanceled, "the client ended its stream"))
		return
	}
	switch code := grpcerr.FromError(err).Code; {
	case errors.Is(err, io.EOF):
		t.close(l)
	case code == object.CodeCanceled, code == object.CodeDeadlineExceeded, code == object.CodeUnavailable:
		t.lose(l)
		l.end(object.NewError(object.CodeCanceled, "the client ended its stream"))
	default: // what came is too large, or no message at all
		l.refuse(t, err)
	}
}

// do implements [task]: it is the writer, which sends until there is nothing to send.
func (l *leg) do() {
	defer l.release()
	for {
		l.awaitCompany()
		out := l.talk.collect(l)
		if out == nil {
			return
		}
		if err := l.str.SendMsg(&outbound{out}); err != nil {
			return // the stream is over; writing stays, so that there is no other writer
		}
	}
}

// awaitCompany returns when what has queued, if anything has, is to be sent: others may be about to add to it, see
// [company.Company].
func (l *leg) awaitCompany() {
	runtime.Gosched()
	if !l.hold() {
		return
	}
	begun := l.service.clock.Monotonic()
	for !<-l.wake && l.service.clock.Monotonic()-begun < company.Patience {
		runtime.Gosched() // who has come adds something now
		if !l.hold() {
			return
		}
	}
}

// hold reports whether what has queued waits for company. Then wake tells.
func (l *leg) hold() bool {
	t := l.talk
	t.mu.Lock()
	defer t.mu.Unlock()
	unsent := t.replies.unsent() + t.pushes.unsent()
	if t.leg != l || t.isOver() || l.welcome != nil || unsent == 0 || unsent >= company.Crowd {
		return false
	}
	if l.wake == nil {
		l.wake = make(chan bool, 1)
	}
	l.held = l.service.company.Wait(l)
	return l.held
}

// Look implements [company.Sender].
func (l *leg) Look(late bool) {
	l.talk.mu.Lock()
	defer l.talk.mu.Unlock()
	l.lookLocked(late)
}

// lookLocked has the writer look at what has queued, if it waits, or send it now.
func (l *leg) lookLocked(now bool) {
	if l.held {
		l.held = false
		l.wake <- now
	}
}

// batchBytes is how large a message with more than one piece may become.
const batchBytes = 256 << 10

// gather takes pieces of a log into a message until that is large enough.
func gather(out mem.BufferSlice, size int, log *outlog, most int) (mem.BufferSlice, int) {
	for size < batchBytes {
		n := log.peek()
		if n == 0 || size > 0 && size+n > most {
			break
		}
		out = append(out, mem.SliceBuffer(log.take()))
		size += n
	}
	return out, size
}
