// Package embedded runs an etcd of one member inside the process, for development and for clusters on one machine.
//
// The loopback port is what servers agree on: the first one that gets it starts an etcd there, all others use that one.
// The embedded etcd lives and dies with the process that started it. It listens on one loopback address, for clients,
// and on nothing else: a cluster of one needs no peers. Its leases have a TTL of 1 s at least, it remembers one hour of
// history, and it keeps nothing unless it is given a folder.
//
// A [Server] is a lifecycle.Service. Run owns all goroutines of etcd, waits for them, and starts none of its own.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// DefaultAddress is where servers that are not told otherwise meet.
const DefaultAddress = "localhost:47379"

// The patience with who holds the address: it may be an etcd that is just starting, or one that is just stopping.
const (
	patience   = 5 * time.Second
	probeEvery = 100 * time.Millisecond
	probeFor   = time.Second
)

// Config of a Server. The zero value means the defaults.
type Config struct {
	// Address is the host and port for clients. The host is localhost, which means 127.0.0.1 here, or a loopback IP; port 0
	// is any free one. Default: DefaultAddress.
	Address string

	// Dir is the folder that keeps the data, made if it is not there. Empty: a temporary one that is removed at the end.
	Dir string

	// Alone refuses to use an etcd that is there already.
	Alone bool

	// Logger hears of etcd's errors, and at level debug of its warnings. Default: nobody.
	Logger *slog.Logger
}

// Server is an etcd on a loopback port: our own, or one that was there before. Its methods are safe for concurrent use.
type Server struct {
	cfg  Config
	host netip.Addr
	port uint16

	mu      sync.Mutex // guards the fields below
	started bool
	address string
}

// New checks the configuration. It is coord.ErrInvalid if the address is not a loopback address.
func New(cfg Config) (*Server, error) {
	if cfg.Address == "" {
		cfg.Address = DefaultAddress
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ap, err := loopback(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("configure embedded etcd: %w: %w", coord.ErrInvalid, err)
	}
	return &Server{cfg: cfg, host: ap.Addr(), port: ap.Port(), address: ap.String()}, nil
}

// loopback is the address that localhost:port stands for. Both 127.0.0.1 and ::1 are localhost; it must be the same one
// for all, and there are machines without the second.
func loopback(address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ap, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return netip.AddrPort{}, err
	}
	if !ap.Addr().IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("%s is not a loopback address", address)
	}
	return ap, nil
}

// Address is where etcd listens, as IP:port, once Run has called ready.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Started says, once Run has called ready, whether this Server has started the etcd; otherwise it was there before.
func (s *Server) Started() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// Run starts an etcd, or finds one on its address, calls ready, and stops what it has started when ctx ends. It returns
// earlier if the etcd that it has started fails. The end of one that was there before goes unnoticed.
//
// If the address or the folder is in use, and no etcd that etcd.Open accepts answers on the address within 5 s, the error
// says so.
func (s *Server) Run(ctx context.Context, ready func()) error {
	p, err := s.claim(ctx)
	if err != nil {
		return fmt.Errorf("run embedded etcd: %w", err)
	}
	if p == nil {
		if s.cfg.Dir != "" {
			s.cfg.Logger.WarnContext(ctx, "using an etcd that was there already, which keeps its data elsewhere",
				"address", s.address, "unused_folder", s.cfg.Dir)
		}
		ready()
		<-ctx.Done()
		return nil
	}
	ready()
	if err = p.wait(ctx, nil); ctx.Err() != nil {
		err = nil
	}
	if err = errors.Join(err, p.stop()); err != nil {
		return fmt.Errorf("run embedded etcd: %w", err)
	}
	return nil
}

// claim is the etcd that this Server has started, nil if it uses another.
func (s *Server) claim(ctx context.Context) (*process, error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		p, err := s.launch(ctx)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.started, s.address = true, p.address()
			return p, nil
		}
		var in inUseError
		if !errors.As(err, &in) || s.cfg.Alone {
			return nil, err
		}
		probed := s.probe(limited)
		switch {
		case probed == nil:
			return nil, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(probed, coord.ErrInvalid), limited.Err() != nil:
			return nil, fmt.Errorf("%w, but not by an etcd that can be used: %w; %s", err, probed, in.advice)
		}
		pause(limited, probeEvery)
	}
}

// probe finds out whether a usable etcd is there.
func (s *Server) probe(ctx context.Context) error {
	store, err := etcd.Open(ctx, etcd.Config{Endpoints: []string{s.address}, DialTimeout: probeFor})
	if err != nil {
		return err
	}
	return store.Close()
}

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// inUseError says what the etcd could not be started for.
type inUseError struct {
	what   string
	err    error
	advice string // to who started the server
}

func (e inUseError) Error() string { return fmt.Sprintf("%s is in use (%v)", e.what, e.err) }

func (e inUseError) Unwrap() error { return e.err }
