package goverseclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

// leg is one stream of the session.
type leg struct {
	grpc.ClientStream

	cancel context.CancelFunc
	first  response // with the welcome
	known  names
}

// connect opens a stream and waits for its welcome.
func (c *Client) connect(ctx context.Context) (*leg, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &leg{cancel: cancel}
	err := c.greet(ctx, l)
	if err != nil {
		cancel()
		return nil, err
	}
	return l, nil
}

func (c *Client) greet(ctx context.Context, l *leg) (err error) {
	desc := &grpc.StreamDesc{StreamName: "Session", ServerStreams: true, ClientStreams: true}
	if l.ClientStream, err = c.conn.NewStream(ctx, desc, client_pb.ClientService_Session_FullMethodName, grpc.ForceCodecV2(codec{})); err != nil {
		return err
	}
	hello, err := proto.Marshal(&client_pb.SessionRequest{Hello: c.session.hello()})
	if err != nil {
		return err
	}
	if err := l.SendMsg(&message{out: mem.BufferSlice{mem.SliceBuffer(hello)}}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var m message
	switch err := l.RecvMsg(&m); {
	case errors.Is(err, io.EOF):
		return object.NewError(object.CodeInternal, "the server ended the stream before its first message")
	case object.Code(status.Code(err)) == object.CodeUnimplemented:
		return object.Refuse(object.CodeUnimplemented, "", "", "", "", "the server has no Session rpc, which this client needs: "+status.Convert(err).Message())
	case err != nil:
		return err
	}
	if err := l.first.parse(m.in, &l.known); err != nil {
		return object.NewError(object.CodeInternal, err.Error())
	}
	if l.first.welcome == nil {
		return object.NewError(object.CodeInternal, "the stream's first message has no welcome")
	}
	return c.session.connect(l, l.first.welcome)
}

// read takes in what comes on a stream until that ends.
func (c *Client) read(l *leg) error {
	in := &l.first // may have more than the welcome
	for {
		if err := c.session.take(in); err != nil {
			return err
		}
		var m message
		if err := l.RecvMsg(&m); err != nil {
			return err
		}
		if err := in.parse(m.in, &l.known); err != nil {
			return errOdd(err.Error())
		}
	}
}

// write writes what there is to say until the session is over.
func (c *Client) write() {
	for {
		l, out, last := c.session.next()
		if l == nil {
			return
		}
		if err := l.SendMsg(&message{out: out}); err != nil {
			c.session.disconnect(l) // its reader learns why
		}
		if last {
			_ = l.CloseSend() // the reader learns of its failure
			return
		}
	}
}

const (
	leastBackoff = 25 * time.Millisecond
	mostBackoff  = 2 * time.Second
	// attemptTime is how long one attempt may take.
	attemptTime = 5 * time.Second
)

// reconnect resumes the session after its stream has ended with err. A nil leg means
// that it is over, for the reason returned.
func (c *Client) reconnect(err error) (*leg, *object.Error) {
	window := c.session.window()
	ctx, cancel := context.WithTimeout(c.ctx, window)
	defer cancel()
	for backoff := leastBackoff; ; backoff = min(2*backoff, mostBackoff) {
		why, final := ended(err)
		switch {
		case final:
			return nil, why
		case window <= 0:
			return nil, unavailable("the connection broke: " + why.Message)
		case ctx.Err() != nil:
			return nil, unavailable(fmt.Sprintf("the session could not be resumed within %v: %s", window, why.Message))
		}
		timer := time.NewTimer(rand.N(backoff)) //nolint:gosec // G404: it spreads attempts and protects nothing
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			continue // with the reason that it had
		}
		var l *leg
		if l, err = c.attempt(); err == nil {
			return l, nil
		}
	}
}

// attempt is one to resume the session.
func (c *Client) attempt() (*leg, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	timer := time.AfterFunc(attemptTime, cancel)
	c.conn.ResetConnectBackoff() // reconnect has its own
	l, err := c.connect(ctx)
	if err != nil || !timer.Stop() {
		cancel()
		if e := grpcerr.FromError(err); err != nil && e.Code == object.CodeUnauthenticated {
			err = unavailable("the session could not be resumed: " + e.Message)
		}
		return nil, err
	}
	stop := l.cancel
	l.cancel = func() { stop(); cancel() }
	return l, nil
}

// ended is what the end of a stream means, and whether it is that of the session.
func ended(err error) (why *object.Error, final bool) {
	if errors.Is(err, io.EOF) {
		return unavailable("the server ended the stream"), true
	}
	if e, ok := errors.AsType[*object.Error](err); ok {
		return e.At("register", "", ""), true
	}
	why = grpcerr.FromError(err).At("register", "", "")
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == grpcerr.Domain {
			return why, true
		}
	}
	switch why.Code { //nolint:exhaustive // the others are answers
	case object.CodeUnavailable, object.CodeInternal, object.CodeUnknown, object.CodeCanceled, object.CodeDeadlineExceeded:
		return why, false
	}
	return why, true
}

func unavailable(text string) *object.Error {
	return object.NewError(object.CodeUnavailable, text).At("register", "", "")
}
