package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/xiaonanln/goverse/internal/lifecycle"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// phase is the life of a server; it only moves forward.
type phase int32

const (
	created phase = iota
	starting
	running
	stopping
	stopped
)

// Server is one GoVerse server. It starts once and stops once. All methods are safe
// for concurrent use.
type Server struct {
	cfg     Config
	clock   clock.Clock
	phase   atomic.Int32
	parts   atomic.Pointer[parts]
	runtime *runtime
	done    chan struct{} // closed when the server has stopped

	mu       sync.Mutex
	startup  []creation        // guarded by mu: objects to create at the start
	group    *lifecycle.Group  // guarded by mu; nil before the start
	release  func()            // guarded by mu: unfreezes the registry
	deadline time.Time         // guarded by mu: when a stop must be over
	addrs    map[string]string // guarded by mu: bound addresses by service
}

// New returns a server that has not started. It does no I/O and never fails: what is
// wrong with cfg is returned by Start or Run. cfg is copied; nil means all defaults.
func New(cfg *Config) *Server {
	if cfg == nil {
		cfg = &Config{}
	}
	s := &Server{cfg: cfg.withDefaults(), clock: clock.System(), done: make(chan struct{}), addrs: make(map[string]string)}
	s.runtime = &runtime{server: s}
	return s
}

// Run starts the server, waits for SIGINT or SIGTERM, and stops it. A second signal
// kills the process. It returns nil after a clean stop.
func (s *Server) Run() error {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // the root of the program
	defer restore()
	if err := s.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		s.cfg.Logger.Info("stopping", "limit", s.cfg.DrainTimeout)
	case <-s.failed():
	}
	restore()
	return s.Stop(context.WithoutCancel(ctx))
}

// Start starts the server and returns when it is ready; ctx ends a start that takes
// too long and means nothing afterwards. Its error lists every problem of the
// configuration. A server that was started or stopped before is
// [object.ErrFailedPrecondition].
func (s *Server) Start(ctx context.Context) error {
	if !s.phase.CompareAndSwap(int32(created), int32(starting)) {
		return object.Refuse(object.CodeFailedPrecondition, "", "start server", "", "", "the server was started or stopped before")
	}
	if err := s.cfg.validate(); err != nil {
		s.markStopped()
		return err
	}
	group := lifecycle.New(nil, s.services()...)
	s.mu.Lock()
	s.group, s.release = group, s.cfg.Registry.Freeze()
	s.mu.Unlock()
	if err := group.Start(ctx); err != nil {
		s.setDeadline(s.clock.Now().Add(time.Second))
		_ = group.Stop(context.WithoutCancel(ctx)) // the failure is the one of Start
		s.markStopped()
		return fmt.Errorf("start server: %w", err)
	}
	s.phase.CompareAndSwap(int32(starting), int32(running))
	attrs := []any{"addr", s.Addr()}
	if c := s.ClientAddr(); c != "" {
		attrs = append(attrs, "client_addr", c)
	}
	s.cfg.Logger.Info("server ready", attrs...)
	return nil
}

// Stop stops the server: clients and calls from outside are refused, calls that have
// begun finish, objects are deactivated. It takes at most the drain timeout and until
// ctx ends, whichever is shorter: calls that still run then are cancelled, and what
// ignores that is named in the error. It returns nil for a server that was never
// started, and waits with the first caller when called again.
func (s *Server) Stop(ctx context.Context) error {
	if s.phase.CompareAndSwap(int32(created), int32(stopping)) {
		s.markStopped()
		return nil
	}
	if phase(s.phase.Load()) == stopped {
		return nil
	}
	s.phase.Store(int32(stopping))
	deadline := s.clock.Now().Add(s.cfg.DrainTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	s.setDeadline(deadline)
	s.mu.Lock()
	group := s.group
	s.mu.Unlock()
	if group == nil { // a start is just failing
		<-s.done
		return nil
	}
	err := group.Stop(context.WithoutCancel(ctx)) // each part keeps to the deadline by itself
	s.markStopped()
	if err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	s.cfg.Logger.Info("server stopped")
	return nil
}

// Done is closed when the server has stopped, or has failed to start.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stopped reports whether the server has stopped or failed to start.
func (s *Server) Stopped() bool { return phase(s.phase.Load()) == stopped }

// Addr returns the bound address for other nodes; empty before the start.
func (s *Server) Addr() string { return s.addr(nodeService) }

// ClientAddr returns the bound address for clients; empty before the start and
// without a client service.
func (s *Server) ClientAddr() string { return s.addr(clientService) }

// Runtime returns what the server offers to its objects: the same operations as its
// own methods.
func (s *Server) Runtime() object.Runtime { return s.runtime }

// Context returns a copy of ctx in which the package functions of goverseapi act on
// this server.
func (s *Server) Context(ctx context.Context) context.Context {
	return object.NewContext(ctx, s.runtime)
}

func (s *Server) addr(service string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addrs[service]
}

func (s *Server) setAddr(service string, a net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs[service] = a.String()
}

// failed is closed when a part of the running server has failed.
func (s *Server) failed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.group.Done()
}

func (s *Server) setDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline.IsZero() || t.Before(s.deadline) {
		s.deadline = t
	}
}

// untilDeadline is the context of a part that stops.
func (s *Server) untilDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	s.mu.Lock()
	deadline := s.deadline
	s.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	if deadline.IsZero() { // a part failed: nobody called Stop
		deadline = s.clock.Now().Add(s.cfg.DrainTimeout)
	}
	return context.WithDeadlineCause(ctx, deadline, errors.New("the server's stop has taken too long"))
}

func (s *Server) markStopped() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release != nil {
		s.release()
	}
	if phase(s.phase.Swap(int32(stopped))) != stopped {
		close(s.done)
	}
}
