package goverseclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

// Client is a registered client. Use [Dial].
type Client struct {
	conn   *grpc.ClientConn
	rpc    client_pb.ClientServiceClient
	id     string // the client_id: a secret
	pushes chan proto.Message
	done   chan struct{}
	cancel context.CancelFunc // ends the stream

	closing sync.Once
	closeMu sync.Mutex
	err     error // guarded by closeMu: why the stream ended; written before pushes is closed
	closed  bool  // guarded by closeMu: by Close, so the end is no error
}

// Dial connects to a server's client address, "host:port", registers, and returns
// when the server has made the client's object. ctx limits only the dialling; its
// values go with the stream. The error is an [object.Error]: Unavailable where nobody
// answers, the object's own where its OnConnect refused.
func Dial(ctx context.Context, addr string, opts ...Option) (*Client, error) {
	o := newOptions(opts)
	conn, err := grpc.NewClient(addr, o.dial...)
	if err != nil {
		return nil, object.Refuse(object.CodeInvalidArgument, "", "register", "", "", fmt.Sprintf("dial %s: %v", addr, err))
	}
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &Client{
		conn: conn, rpc: client_pb.NewClientServiceClient(conn),
		pushes: make(chan proto.Message, o.pushes), done: make(chan struct{}), cancel: cancel,
	}
	stop := context.AfterFunc(ctx, cancel)
	stream, err := c.register(streamCtx)
	if err == nil && !stop() {
		err = context.Cause(ctx) // it ended just now, and the stream with it
	}
	if err != nil {
		stop()
		cancel()
		_ = conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, grpcerr.FromError(err).At("register", "", "")
	}
	go c.read(streamCtx, stream)
	return c, nil
}

// register opens the stream and waits for its first message.
func (c *Client) register(ctx context.Context) (grpc.ServerStreamingClient[anypb.Any], error) {
	stream, err := c.rpc.Register(ctx, &client_pb.Empty{})
	if err != nil {
		return nil, err
	}
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil, object.NewError(object.CodeInternal, "the server ended the stream before its first message")
	}
	if err != nil {
		return nil, err
	}
	var hello client_pb.RegisterResponse
	if err := first.UnmarshalTo(&hello); err != nil {
		return nil, object.NewError(object.CodeInternal, "the stream's first message is no RegisterResponse: "+err.Error())
	}
	c.id = hello.GetClientId()
	return stream, nil
}

// Pushes returns the channel of pushed messages; it is closed when the stream has
// ended. A message of a type that is not linked into the program arrives as the
// *anypb.Any that holds it.
func (c *Client) Pushes() <-chan proto.Message { return c.pushes }

// Done returns a channel that is closed when the stream has ended and Pushes is
// closed: by Close, by the server or by a broken connection.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err tells why the stream ended, as an [object.Error]: Unavailable when the server
// stopped or the connection broke, ResourceExhausted when the client did not read,
// Aborted when its object was deleted. It answers as soon as Pushes is closed, and
// returns nil while the stream lives and after Close.
func (c *Client) Err() error {
	c.closeMu.Lock()
	defer c.closeMu.Unlock()
	return c.err
}

// Close ends the stream and the connection and waits for both. Calls that run fail
// as Canceled. Every client must be closed, also one whose stream has ended; it may
// be closed more than once.
func (c *Client) Close() error {
	c.closeMu.Lock()
	c.closed = true
	c.closeMu.Unlock()
	c.cancel()
	<-c.done
	var err error
	c.closing.Do(func() { err = c.conn.Close() })
	return err
}

// read delivers what the server pushes until the stream ends.
func (c *Client) read(ctx context.Context, stream grpc.ServerStreamingClient[anypb.Any]) {
	err := c.deliver(ctx, stream)
	c.closeMu.Lock()
	if !c.closed {
		c.err = grpcerr.FromError(err).At("register", "", "")
	}
	c.closeMu.Unlock()
	c.cancel()
	close(c.pushes)
	close(c.done)
}

func (c *Client) deliver(ctx context.Context, stream grpc.ServerStreamingClient[anypb.Any]) error {
	for {
		packed, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return object.NewError(object.CodeUnavailable, "the server ended the stream")
		}
		if err != nil {
			return err
		}
		var msg proto.Message = packed
		if known, err := packed.UnmarshalNew(); err == nil {
			msg = known
		}
		select {
		case c.pushes <- msg:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
