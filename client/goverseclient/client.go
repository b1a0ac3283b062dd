package goverseclient

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

// Client is a registered client. Use [Dial].
type Client struct {
	conn   *grpc.ClientConn
	ctx    context.Context //nolint:containedctx // of its streams; ends with Close
	cancel context.CancelFunc
	pushes chan proto.Message
	gone   chan struct{} // closed when the session is over
	done   chan struct{}
	wg     sync.WaitGroup

	closing sync.Once
	pool    pool
	session session
}

// Dial connects to a server's client address, "host:port", registers, and returns
// when the server has made the client's object. ctx limits only the dialling; its
// values go with the client's streams. The error is an [object.Error]: Unavailable where
// nobody answers, the object's own where its OnConnect refused, Unimplemented where the
// server is too old.
func Dial(ctx context.Context, addr string, opts ...Option) (*Client, error) {
	o := newOptions(opts)
	conn, err := grpc.NewClient(addr, o.dial...)
	if err != nil {
		return nil, object.Refuse(object.CodeInvalidArgument, "", "register", "", "", fmt.Sprintf("dial %s: %v", addr, err))
	}
	c := &Client{
		conn:   conn,
		pushes: make(chan proto.Message, o.pushes), gone: make(chan struct{}), done: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.session.init(o.resume)
	stop := context.AfterFunc(ctx, c.cancel)
	l, err := c.connect(c.ctx) //nolint:contextcheck // it is derived from ctx, and outlives it
	if err == nil && !stop() {
		err = context.Cause(ctx) // it ended just now, and the stream with it
	}
	if err != nil {
		stop()
		c.cancel()
		_ = conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, grpcerr.FromError(err).At("register", "", "")
	}
	c.wg.Go(c.write)
	c.wg.Go(c.deliver)
	go c.run(l) //nolint:contextcheck // it outlives ctx
	return c, nil
}

// Pushes returns the channel of pushed messages; it is closed when the session is over
// and what came before was taken. A message of a type that is not linked into the
// program arrives as the *anypb.Any that holds it.
func (c *Client) Pushes() <-chan proto.Message { return c.pushes }

// Done returns a channel that is closed when the session is over and Pushes is closed:
// by Close, by the server, or because the connection broke and the session could not be
// resumed.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err tells why the session is over, as an [object.Error]: Unavailable when the server
// stopped or the session could not be resumed, ResourceExhausted when the client did not
// read, Aborted when its object was deleted. It answers as soon as Pushes is closed, and
// returns nil while the session lives and after Close.
func (c *Client) Err() error {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.session.err
}

// closePatience is how long Close waits for the server to hear of it.
const closePatience = time.Second

// Close ends the session and the connection and waits for both. Calls that run fail
// as Canceled. Every client must be closed, also one whose session is over; it may
// be closed more than once.
func (c *Client) Close() error {
	if c.session.close() {
		timer := time.NewTimer(closePatience)
		defer timer.Stop()
		select {
		case <-c.gone:
		case <-timer.C:
		}
	}
	c.cancel()
	<-c.done
	var err error
	c.closing.Do(func() { err = c.conn.Close() })
	return err
}

// run is the client's life: it reads what comes, and connects again.
func (c *Client) run(l *leg) {
	var why *object.Error
	for l != nil {
		err := c.read(l)
		c.session.disconnect(l)
		l.cancel()
		l, why = c.reconnect(err)
	}
	c.session.finish(why)
	close(c.gone)
	c.wg.Wait()
	c.cancel()
	close(c.pushes)
	close(c.done)
}

// deliver hands the pushed messages to the application.
func (c *Client) deliver() {
	for {
		batch := c.session.nextPushes()
		if batch == nil {
			return
		}
		for _, p := range batch {
			select {
			case c.pushes <- p.body.message():
				c.session.delivered(p)
			case <-c.ctx.Done():
				return
			}
		}
	}
}
