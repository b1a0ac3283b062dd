package grpc

import (
	"context"
	"errors"
	"time"

	rpc "google.golang.org/grpc"

	"github.com/xiaonanln/goverse/internal/transport"
	pb "github.com/xiaonanln/goverse/proto"
)

// service implements goverse.NodeService.
type service struct {
	pb.UnimplementedNodeServiceServer

	endpoint *endpoint
}

// errSecondLink refuses a link over a connection that carries one.
var errSecondLink = errors.New("the connection carries a link already")

// Link serves one link until it breaks.
func (s service) Link(stream rpc.BidiStreamingServer[pb.LinkRequest, pb.LinkResponse]) error {
	unlink, ok := links(stream.Context())
	if !ok {
		return errSecondLink
	}
	defer unlink()
	c := newCallee(s.endpoint, stream)
	if !s.endpoint.join(c) {
		c.cancel(transport.ErrClosed)
		return transport.ErrClosed
	}
	defer func() {
		s.endpoint.leave(c)
		c.cancel(causeOf(c.why)) // which does not change any more
	}()
	select {
	case <-c.broken:
	case <-stream.Context().Done(): // the reader may be busy
		c.fail(context.Cause(stream.Context()))
	}
	switch {
	case errors.Is(c.why, errSilent):
		c.cut() // there is nobody to talk to
	case errors.Is(c.why, errGarbage):
		s.endpoint.logger().WarnContext(c.root.ctx, "a link was broken", "remote", remote(stream.Context()), "from", c.from, "why", c.why)
	}
	return c.why // which ends the stream, and with it the reader
}

// join counts a connection, and starts its goroutines.
func (e *endpoint) join(c *callee) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.callees[c] = struct{}{}
	e.wg.Go(c.serve)
	return true
}

// leave forgets a connection.
func (e *endpoint) leave(c *callee) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.callees, c)
}

// callee is the side of a connection that is called.
type callee struct {
	duplex

	endpoint *endpoint
	stream   rpc.BidiStreamingServer[pb.LinkRequest, pb.LinkResponse]
	root     root // of the calls that somebody waits for; its ctx ends with the connection
	cancel   context.CancelCauseFunc
	cut      func()
	from     string            // the caller's incarnation
	read     []*served         // the reader's: calls that it has not accepted yet, see gather
	ids      []byte            // the reader's: those of their objects
	foreseen []*transport.Call // the reader's memory
	coming   []*served         // the reader's: the call that it accepts, and those that come next
	waited   bool              // the reader's: it has, since the handler was told of what it accepts
	spoiled  error             // the reader's: why it accepts no more calls
	accepted []*served         // the reader's: calls that it has not let run yet
	at       time.Duration     // the reader's: when the message came; 0: nobody has asked
	gaveWay  bool              // the reader's: it has, in this message
	sentAt   uint64            // the reader's: when the message left, see packet
	transit  transit           // the reader's

	serving board         // guarded by mu: the calls that somebody waits for
	live    int           // guarded by mu: how many calls run
	slack   chan struct{} // guarded by mu: closed when fewer do; nil: the reader does not wait
	owed    uint64        // guarded by mu: the pong that says that all answers have arrived
}

func newCallee(e *endpoint, s rpc.BidiStreamingServer[pb.LinkRequest, pb.LinkResponse]) *callee {
	c := &callee{endpoint: e, stream: s, cut: cutter(s.Context())}
	c.init(e.transport)
	ctx, cancel := context.WithCancelCause(e.base)
	c.root.init(ctx, e.clock())
	c.cancel = cancel
	return c
}

// serve is the connection's reader.
func (c *callee) serve() {
	err := garbage("nothing: the handler has ended the reader")
	defer func() { c.fail(err) }()
	if err = c.shakeHands(); err != nil {
		return
	}
	err = garbage("nothing: the handler has ended the reader")
	c.endpoint.wg.Go(c.usher)
	c.endpoint.wg.Go(func() { c.fail(c.write(c.stream)) })
	err = c.listen(c.stream)
}

// listen takes in what comes until there is an error.
func (c *callee) listen(from stream) error {
	defer c.endMessage() // also what came with the message that is not understood
	return c.receive(from, c.take, func() error { c.endMessage(); return nil })
}

// shakeHands does the callee's part of the handshake. An error ends the connection.
func (c *callee) shakeHands() error {
	first, err := c.stream.Recv()
	if err != nil {
		return err
	}
	c.heard.Store(true)
	e := c.endpoint
	from, refused := examine(e.self, first.GetHello())
	if refused == nil && e.drains() {
		refused = refusal(pb.Refusal_WHY_DRAINING, "the node is stopping")
	}
	if refused != nil {
		e.logger().WarnContext(c.root.ctx, "a link was refused", "remote", remote(c.stream.Context()),
			"why", string(refused.GetText()))
		if err := c.stream.Send(&pb.LinkResponse{Refusal: refused}); err != nil {
			return err
		}
		return errRefused
	}
	c.from = from.Incarnation
	return c.stream.Send(welcome(e.self))
}

// drains says whether no more calls are accepted.
func (e *endpoint) drains() bool { return intake(e.intake.Load()) != takesAll }

// fail breaks the connection. No reply is sent any more when the calls hear of it.
func (c *callee) fail(why error) {
	c.mu.Lock()
	first := c.breakLocked(why)
	c.mu.Unlock()
	if first {
		c.cancel(causeOf(why))
		c.root.ended.End()
	}
}

// causeOf is what the contexts of calls end with when their connection has broken.
func causeOf(why error) error {
	if errors.Is(why, transport.ErrClosed) {
		return transport.ErrClosed
	}
	return transport.ErrBroken
}

// take takes in one frame.
func (c *callee) take(sentAt uint64, k kind, payload []byte) error {
	c.taken.Add(1)
	c.sentAt = sentAt
	if k == kindCall {
		return c.gather(payload)
	}
	if err := c.acceptRead(); err != nil { // what comes now is about them
		return err
	}
	if k == kindCancel {
		number, err := readNumber(payload)
		if err == nil {
			c.cancelCall(number)
		}
		return err
	}
	c.arrived() // at least pings tell what the way takes
	return c.control(k, payload)
}
