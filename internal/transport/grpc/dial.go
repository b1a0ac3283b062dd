package grpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/xiaonanln/goverse/internal/transport"
	pb "github.com/xiaonanln/goverse/proto"
)

const (
	// windowBytes is how much a side may send that the other has not read, on a connection and its one stream.
	windowBytes = 1 << 20
	// headerBytes bounds the headers of an rpc.
	headerBytes = 16 << 10
)

// because adds a detail to an error of package transport, as text: a context that ended in there is not the call's.
func because(err, detail error) error { return fmt.Errorf("%w: %s", err, detail.Error()) }

// open makes a connection, with the handshake done. ctx bounds only that.
func (l *link) open(ctx context.Context) (*caller, error) {
	raw, err := l.from.transport.cfg.Dial(ctx, l.to.Address)
	if err != nil {
		return nil, because(transport.ErrUnreachable, err)
	}
	cc, err := rpc.NewClient("passthrough:///"+l.to.Address, l.dialOptions(raw)...)
	if err != nil {
		_ = raw.Close()
		return nil, because(transport.ErrUnreachable, err)
	}
	c := &caller{to: l.to, waiters: &l.from.transport.waiters}
	c.init(l.from.transport)
	streaming, cancel := context.WithCancel(l.life)
	c.cut = func() {
		_ = raw.Close() // first: gRPC wants to say goodbye, and waits for that
		cancel()
	}
	c.free = func() { _ = cc.Close() }
	stop := context.AfterFunc(ctx, c.cut)
	err = l.shakeHands(streaming, cc, c) //nolint:contextcheck // the stream outlives ctx
	if !stop() && err == nil {
		err = because(transport.ErrUnreachable, context.Cause(ctx))
	}
	if err != nil {
		c.cut()
		c.free()
		return nil, err
	}
	return c, nil
}

// shakeHands opens the stream.
func (l *link) shakeHands(ctx context.Context, cc *rpc.ClientConn, c *caller) error {
	s, err := pb.NewNodeServiceClient(cc).Link(ctx)
	if err != nil {
		return because(transport.ErrUnreachable, err)
	}
	c.stream = s
	sent := s.Send(hello(l.from.self, l.to))
	answer, err := s.Recv() // the reason why it was not sent, too
	if err = errors.Join(err, sent); err != nil {
		return because(transport.ErrUnreachable, err)
	}
	return welcomed(l.from.self, l.to, answer)
}

func (l *link) dialOptions(raw net.Conn) []rpc.DialOption {
	var used atomic.Bool
	cfg := &l.from.transport.cfg
	return []rpc.DialOption{
		rpc.WithTransportCredentials(cfg.ClientCredentials),
		rpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) { // connecting again is the link's business
				return nil, net.ErrClosed
			}
			return raw, nil
		}),
		rpc.WithDefaultCallOptions(
			rpc.ForceCodecV2(newCodec(&l.from.transport.buffers, &l.from.transport.wholes)),
			rpc.MaxCallRecvMsgSize(maxPacket), rpc.MaxCallSendMsgSize(maxPacket),
		),
		rpc.WithConnectParams(rpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: cfg.Keepalive}),
		rpc.WithInitialWindowSize(windowBytes), rpc.WithInitialConnWindowSize(windowBytes),
		rpc.WithMaxHeaderListSize(headerBytes),
		rpc.WithIdleTimeout(0),
		rpc.WithDisableServiceConfig(), rpc.WithDisableHealthCheck(), rpc.WithDisableRetry(),
	}
}
