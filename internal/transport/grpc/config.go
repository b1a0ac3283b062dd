package grpc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
)

const (
	// beats is how often in Keepalive a link looks whether it has heard of its peer.
	beats = 4
	// leastBeat is the shortest time between two such looks.
	leastBeat = time.Millisecond
)

// Config of a Transport. The zero value means the defaults.
type Config struct {
	// Logger hears of handlers that panic, of peers that are refused or send garbage. Default: nobody does.
	Logger *slog.Logger

	// Clock times pings, attempts to connect and what remains of deadlines. Default: the system's.
	Clock clock.Clock

	// Keepalive is how long a peer may be silent before the connection breaks: to a quarter more, for that is how often
	// it is looked at. It bounds connecting as well. Default 10 s.
	Keepalive time.Duration

	// ServerCredentials and ClientCredentials secure connections that are accepted and made. Default: plain TCP.
	ServerCredentials, ClientCredentials credentials.TransportCredentials

	// Services registers what the node's port serves beside links, such as the health service. Default: nothing.
	Services func(rpc.ServiceRegistrar)

	// Listen opens the listener for the address of an endpoint. Default: TCP.
	Listen func(ctx context.Context, address string) (net.Listener, error)

	// Dial makes a connection to an address. Default: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	// MaxCalls bounds the calls under way on one link: the caller waits then, and the callee refuses. Default 16384.
	MaxCalls int

	// Company is that of the process, for whose sake frames wait. Default: of this transport alone.
	Company *company.Company

	// QueueBytes bounds what may be queued on one link, in each direction: one more message may begin before it is
	// reached. Default 1 MiB.
	QueueBytes int
}

// Transport implements transport.Transport.
type Transport struct {
	cfg      Config
	farewell time.Duration
	buffers  buffers
	wholes   wholes
	waiters  sync.Pool
	served   sync.Pool
}

// New is a transport without endpoints. It needs no closing: its endpoints do.
func New(cfg Config) *Transport {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System()
	}
	if cfg.Company == nil {
		cfg.Company = company.New(cfg.Clock)
	}
	if cfg.Keepalive <= 0 {
		cfg.Keepalive = 10 * time.Second
	}
	if cfg.ServerCredentials == nil {
		cfg.ServerCredentials = insecure.NewCredentials()
	}
	if cfg.ClientCredentials == nil {
		cfg.ClientCredentials = insecure.NewCredentials()
	}
	if cfg.Services == nil {
		cfg.Services = func(rpc.ServiceRegistrar) {}
	}
	if cfg.Listen == nil {
		cfg.Listen = func(ctx context.Context, address string) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		}
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}
	}
	if cfg.MaxCalls <= 0 {
		cfg.MaxCalls = 16 << 10
	}
	if cfg.QueueBytes <= 0 {
		cfg.QueueBytes = 1 << 20
	}
	return &Transport{cfg: cfg, farewell: farewell}
}

// Listen implements transport.Transport. The host and port of self.Address are where it listens, unless Config.Listen
// says otherwise; a port 0 there is replaced by that of the listener.
func (t *Transport) Listen(ctx context.Context, self transport.Peer, h transport.Handler) (transport.Endpoint, error) {
	if err := valid(self); err != nil {
		return nil, fmt.Errorf("listen on %q: %w", self.Address, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", self.Address, err)
	}
	lis, err := t.cfg.Listen(ctx, self.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", self.Address, err)
	}
	self.Address = chosen(self.Address, lis.Addr())
	return t.open(ctx, self, newListener(lis), h), nil
}

// chosen is the address with the port that was bound where it left that open.
func chosen(address string, bound net.Addr) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "0" {
		return address
	}
	if _, port, err = net.SplitHostPort(bound.String()); err != nil {
		return address
	}
	return net.JoinHostPort(host, port)
}

func (t *Transport) bounds() bounds { return bounds{queue: t.cfg.QueueBytes, calls: t.cfg.MaxCalls} }
