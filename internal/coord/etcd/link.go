package etcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/xiaonanln/goverse/internal/coord"
)

// link is the way to one endpoint. Its connection is gRPC's, which makes it when it is first used and makes it again
// when it breaks.
type link struct {
	endpoint string
	user     string // empty if there is none
	password string
	dial     func() (*grpc.ClientConn, error)
	admit    func(endpoint string, status *pb.StatusResponse) error
	fails    atomic.Bool // it was left, and has answered nothing since

	mu      sync.Mutex // guards the fields below
	conn    *grpc.ClientConn
	closed  bool
	checked bool   // the endpoint was admitted
	refused error  // the endpoint was not admitted, and never will be
	entered bool   // the user has logged in
	token   string // of the user; empty if etcd lets everybody in
	probing bool   // somebody asks the silent endpoint for its status
}

// path is a link that is ready: its connection, and what proves who we are.
type path struct {
	link  *link
	conn  *grpc.ClientConn
	token string
}

func newLink(e endpoint, cfg Config, admit func(string, *pb.StatusResponse) error, more ...grpc.DialOption) (*link, error) {
	l := &link{endpoint: e.name, user: cfg.Username, password: cfg.Password, admit: admit}
	creds := insecure.NewCredentials()
	if e.tls != nil {
		creds = credentials.NewTLS(e.tls)
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		// gRPC's own limits are 120 s between attempts and 20 s for one: an etcd that is back must be found at once.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: cfg.DialTimeout,
		}),
		// 10 s is the least that gRPC allows; etcd allows 5 s, and none without a stream.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}),
	}
	opts = append(opts, more...)
	// Passthrough: the address is resolved anew for each connection, and all that it resolves to is tried.
	l.dial = func() (*grpc.ClientConn, error) { return grpc.NewClient("passthrough:///"+e.address, opts...) }
	conn, err := l.dial()
	if err != nil {
		return nil, fmt.Errorf("%w: endpoint %q: %w", coord.ErrInvalid, e.name, err)
	}
	l.conn = conn
	return l, nil
}

// open makes the link ready. It waits while it connects, and fails when it cannot; if patient, it tries until ctx ends.
func (l *link) open(ctx context.Context, patient bool) (path, error) {
	l.mu.Lock()
	p, entered, checked, closed, err := path{link: l, conn: l.conn, token: l.token}, l.entered, l.checked, l.closed, l.refused
	l.mu.Unlock()
	if err != nil {
		return path{}, err
	}
	if closed {
		return path{}, fmt.Errorf("%w: closed", coord.ErrUnavailable)
	}
	if !patient {
		err = p.ready(ctx)
	}
	if err == nil && l.user != "" && !entered {
		p, err = p.login(ctx, grpc.WaitForReady(patient))
	}
	if err == nil && !checked {
		err = p.check(ctx, grpc.WaitForReady(patient))
	}
	if err != nil {
		return path{}, fmt.Errorf("etcd endpoint %s: %w", l.endpoint, explain(err))
	}
	return p, nil
}

// ready waits until the connection stands.
func (p path) ready(ctx context.Context) error {
	for {
		p.conn.Connect()
		switch state := p.conn.GetState(); state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			_, err := p.status(ctx) // fails at once and says why, or all is well again
			if answered(err) {
				return nil
			}
			return err
		case connectivity.Idle, connectivity.Connecting:
			if !p.conn.WaitForStateChange(ctx, state) {
				return errors.New("still connecting")
			}
		}
	}
}

// status asks the member for its state. It answers without a leader.
func (p path) status(ctx context.Context, opts ...grpc.CallOption) (*pb.StatusResponse, error) {
	return pb.NewMaintenanceClient(p.conn).Status(p.known(ctx), &pb.StatusRequest{}, opts...)
}

// check decides whether the endpoint may be used.
func (p path) check(ctx context.Context, opts ...grpc.CallOption) error {
	status, err := p.status(ctx, opts...)
	if err != nil {
		return err
	}
	l := p.link
	err = l.admit(l.endpoint, status)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checked, l.refused = err == nil, err
	return err
}

// login is the path with a new token of the user's, which the link keeps.
func (p path) login(ctx context.Context, opts ...grpc.CallOption) (path, error) {
	in := &pb.AuthenticateRequest{Name: p.link.user, Password: p.link.password}
	res, err := pb.NewAuthClient(p.conn).Authenticate(ctx, in, opts...)
	if err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrAuthNotEnabled) {
		return p, err
	}
	p.token = res.GetToken()
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	p.link.token, p.link.entered = p.token, true
	return p, nil
}

// known is ctx with what says who we are.
func (p path) known(ctx context.Context) context.Context {
	if p.token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, p.token)
}

// outgoing is ctx with what every request carries: who we are, and that a member without a leader must refuse it.
func (p path) outgoing(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(p.known(ctx), rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
}

// do runs a request, and once more if it was refused because the token is too old.
func (p path) do(ctx context.Context, f func(context.Context, path) error) error {
	err := f(p.outgoing(ctx), p)
	if p.link.user == "" || !outdated(err) {
		return err
	}
	if p, err = p.login(ctx); err != nil {
		return fmt.Errorf("%w: %w", errLogin, err)
	}
	return f(p.outgoing(ctx), p)
}

// beginProbe says whether the caller is the one who shall probe the connection.
func (l *link) beginProbe(p path) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.probing || l.conn != p.conn {
		return false
	}
	l.probing = true
	return true
}

// endProbe replaces the connection if it is dead. What hangs on it fails.
func (l *link) endProbe(dead bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probing = false
	if !dead || l.closed {
		return nil
	}
	conn, err := l.dial()
	if err != nil {
		return err
	}
	old := l.conn
	l.conn = conn
	return old.Close()
}

// close ends the link.
func (l *link) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return l.conn.Close()
}
