package goverseclient

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	// DefaultPushBuffer is how many pushed messages [Client.Pushes] holds.
	DefaultPushBuffer = 64

	// maxMessageBytes is the largest message of the protocol, either way.
	maxMessageBytes = 4 << 20

	pingEvery   = 25 * time.Second // a server's default allows 10 s
	pingTimeout = 8 * time.Second
)

// Option changes how [Dial] connects.
type Option interface{ apply(*options) }

type options struct {
	dial   []grpc.DialOption
	pushes int
	resume time.Duration
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithDialOptions adds gRPC's own options. They come after the defaults and win:
// plaintext, which is for loopback and trusted networks (give
// grpc.WithTransportCredentials elsewhere), a ping after 25 s of silence with 8 s for
// the answer, and messages of at most 4 MiB.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return optionFunc(func(o *options) { o.dial = append(o.dial, opts...) })
}

// WithPushBuffer sets how many messages [Client.Pushes] holds. Default
// [DefaultPushBuffer]; negative: none.
func WithPushBuffer(n int) Option {
	return optionFunc(func(o *options) { o.pushes = n })
}

// WithResume sets for how long a client whose connection broke tries to go on with its
// session, and the server keeps it. Default, and at most, as long as the server allows,
// usually a minute; negative: not at all, a broken connection is the end.
func WithResume(d time.Duration) Option {
	return optionFunc(func(o *options) { o.resume = d })
}

func newOptions(opts []Option) options {
	o := options{dial: []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
	}}
	for _, opt := range opts {
		if opt != nil {
			opt.apply(&o)
		}
	}
	switch {
	case o.pushes == 0:
		o.pushes = DefaultPushBuffer
	case o.pushes < 0:
		o.pushes = 0
	}
	return o
}
