package client

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

// stream is the server's side of Register.
type stream = grpc.ServerStreamingServer[anypb.Any]

// register is a client's life, from its object's creation to its removal. The error
// is what the stream ends with.
func (s *Service) register(str stream) error {
	sess, err := s.admit(str)
	if err != nil {
		return err
	}
	defer s.forget(sess)
	ctx := str.Context()
	if err := s.attach(ctx, sess); err != nil {
		s.log.DebugContext(ctx, "client refused", "client", sess.id, "error", err)
		return err
	}
	end := ending{object.DisconnectLost, object.ErrInternal, false} // for a panic
	defer func() { s.detach(ctx, sess, end.reason) }()
	s.log.DebugContext(ctx, "client connected", "client", sess.id)
	end = s.serve(str, sess)
	return end.err
}

// attach creates the client's object.
func (s *Service) attach(ctx context.Context, sess *session) error {
	ctx, hook := sess.begin(ctx)
	defer hook.release()
	return s.node.AttachClient(ctx, sess.id)
}

// detach removes the client's object, for which the client need not be there.
func (s *Service) detach(ctx context.Context, sess *session, reason object.DisconnectReason) {
	ctx, hook := sess.begin(context.WithoutCancel(ctx))
	defer hook.release()
	if err := s.node.DetachClient(ctx, sess.id, reason); err != nil {
		s.log.WarnContext(ctx, "client not detached cleanly", "client", sess.id, "error", err)
	}
	s.log.DebugContext(ctx, "client disconnected", "client", sess.id, "reason", reason.String())
}

// serve lets the client call and be pushed to until its session ends. It returns
// when its calls have.
func (s *Service) serve(str stream, sess *session) ending {
	clientID, hash := s.open(sess)
	s.streams.Begin()
	go s.send(str, sess, clientID)

	ctx := str.Context()
	select {
	case <-sess.ended:
	case <-ctx.Done():
		sess.end(hangUp(ctx))
	case <-sess.sent: // a send failed, which only the stream's end can cause
		sess.end(hangUp(ctx))
	}
	end := sess.ending // written before ended was closed, and never again
	if end.reason == object.DisconnectTooSlow {
		s.log.WarnContext(ctx, "client does not read", "client", sess.id)
		s.slow(sess.id)
	}
	if !end.flush {
		sess.queue.abandon()
	}
	s.shutOut(sess, hash)
	sess.cancelWork(object.Refuse(object.CodeCanceled, "", "call", sess.id, "", "the client has disconnected").WithExecuted(object.ExecutedUnknown))
	sess.calls.Wait()
	sess.queue.close()
	if end.flush {
		s.flush(ctx, sess)
		sess.queue.abandon()
	}
	return end
}

// flush waits until the client was sent what waits for it, but not long.
func (s *Service) flush(ctx context.Context, sess *session) {
	timer := s.clock.NewTimer(s.limits.Flush)
	defer timer.Stop()
	select {
	case <-sess.sent:
	case <-ctx.Done():
	case <-timer.C:
	}
}

// send sends the RegisterResponse and then what is pushed, until the queue is
// exhausted or the stream is over. It may be caught in a send that returns only when
// the stream's handler has, so the handler does not wait for it; [Service.Stop] does.
func (s *Service) send(str stream, sess *session, clientID string) {
	defer s.streams.End()
	defer close(sess.sent)
	first, err := anypb.New(&client_pb.RegisterResponse{ClientId: clientID})
	if err != nil || str.Send(first) != nil {
		return
	}
	for {
		msg, over := sess.queue.take()
		switch {
		case over:
			return
		case msg == nil:
			<-sess.queue.wake
		default:
			if str.Send(msg) != nil {
				return
			}
		}
	}
}

// hangUp is how a session ends whose stream is over. The client ended it if it said
// so, by resetting the stream, its deadline or a GOAWAY; a connection that ended
// without a word, as that of a killed process does, is lost.
func hangUp(ctx context.Context) ending {
	e := ending{reason: object.DisconnectClosed, err: object.NewError(object.CodeCanceled, "the client ended its stream")}
	if connOf(ctx).broke() {
		e.reason = object.DisconnectLost
	}
	return e
}
