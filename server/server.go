package server

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/lifecycle"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/internal/shard/planted"
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

// failedStartTimeout is how long the parts that have started may take to stop when the
// start is given up.
const failedStartTimeout = time.Second

// cutTime is what a stop keeps of its time, but no more than a fifth, for what follows when
// calls have to be cut off: they hear of it, the lease is given back, connections close.
const cutTime = 2 * time.Second

var errTooLong = errors.New("the server's stop has taken too long")

// Server is one GoVerse server. It starts once and stops once. All methods are safe
// for concurrent use.
type Server struct {
	cfg   Config
	clock clock.Clock
	phase atomic.Int32 // written under mu
	parts atomic.Pointer[parts]

	flaws        shard.Flaws // none, but in tests
	coordinators *Coordinators
	claim        *claim // on the data directory; nil without one, and before the start
	runtime      *runtime
	vitals       vitals
	done         chan struct{} // closed when the server has stopped

	mu       sync.Mutex
	startup  []creation        // guarded by mu: objects to create at the start
	group    *lifecycle.Group  // guarded by mu; nil before the start, and after a failed one
	release  func()            // guarded by mu: unfreezes the registry
	patience context.Context   //nolint:containedctx // guarded by mu: ends when the stop has taken too long
	hurry    func(cause error) // guarded by mu: ends patience
	deadline time.Time         // guarded by mu: when patience ends by itself; zero until a part stops
	failures []error           // guarded by mu: of the parts, in the order of their ends
	addrs    map[string]string // guarded by mu: bound addresses by service
}

// New returns a server that has not started. It does no I/O and never fails: what is
// wrong with cfg is returned by Start or Run. cfg is copied; nil means all defaults.
func New(cfg *Config) *Server { return NewShared(cfg, new(Coordinators)) }

// NewShared is [New] for a server that shares coordinators inside the process.
func NewShared(cfg *Config, coordinators *Coordinators) *Server {
	if cfg == nil {
		cfg = &Config{}
	}
	s := &Server{
		cfg: cfg.withDefaults(), clock: clock.System(), flaws: planted.Flaws(), coordinators: coordinators,
		done: make(chan struct{}), addrs: make(map[string]string),
	}
	s.runtime = &runtime{server: s}
	return s
}

// Run starts the server, waits for SIGINT or SIGTERM, and stops it; a signal while it
// starts gives the start up. A second signal kills the process. It returns nil after a
// clean stop, otherwise the error of [Server.Start] or of [Server.Stop].
func (s *Server) Run() error {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // the root of the program
	defer restore()
	defer context.AfterFunc(ctx, restore)()
	switch err := s.Start(ctx); {
	case err == nil:
	case ctx.Err() != nil && errors.Is(err, context.Canceled): // nothing failed
		s.cfg.Logger.Info("stopped while starting")
		return nil
	default:
		return err
	}
	select {
	case <-ctx.Done():
		s.cfg.Logger.Info("stopping", "limit", s.cfg.DrainTimeout)
	case <-s.done: // a part failed
	}
	return s.Stop(context.WithoutCancel(ctx))
}

// Start starts the server and returns when it is ready; ctx ends a start that takes
// too long and means nothing afterwards. Its error is an [*object.Error] with executed=no,
// and errors.Is finds the cause behind it: [object.ErrInvalidArgument] lists every problem of
// the configuration, or names an address of another machine; [object.ErrUnavailable] is a
// port or data directory that another process has, or an etcd that does not answer;
// [object.ErrFailedPrecondition] a server that was started or stopped before, or does not fit
// its cluster; [object.ErrCanceled] a start given up by ctx or Stop; and an object that was
// to be created fails it with its own code.
func (s *Server) Start(ctx context.Context) error {
	group, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	if err := group.Start(ctx); err != nil {
		s.mu.Lock()
		s.group = nil // the failure is this call's, not a later Stop's
		s.mu.Unlock()
		s.markStopped()
		return fail(ctx, "start server", object.ExecutedNo, err)
	}
	s.mu.Lock()
	s.phase.CompareAndSwap(int32(starting), int32(running))
	s.mu.Unlock()
	attrs := []any{"addr", s.Addr()}
	if c := s.ClientAddr(); c != "" {
		attrs = append(attrs, "client_addr", c)
	}
	if a := s.AdminAddr(); a != "" {
		attrs = append(attrs, "admin_addr", a)
	}
	if !clock.CountsSuspend && !s.cfg.inMemory() {
		s.cfg.Logger.WarnContext(ctx, "this system's clock does not count the time that the machine sleeps: after a suspend the server may answer although its lease is over")
	}
	s.cfg.Logger.InfoContext(ctx, "server ready", attrs...)
	return nil
}

// prepare makes the group of a server that may start, all at once: who stops the server
// meanwhile finds either nothing or a group to stop.
func (s *Server) prepare(ctx context.Context) (*lifecycle.Group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.phase.CompareAndSwap(int32(created), int32(starting)) {
		return nil, object.Refuse(object.CodeFailedPrecondition, "", "start server", "", "", "the server was started or stopped before")
	}
	if err := s.cfg.validate(); err != nil {
		s.markStoppedLocked()
		return nil, err
	}
	services, err := s.services() //nolint:contextcheck // a node has a life of its own, which Stop ends
	if err != nil {
		s.markStoppedLocked()
		return nil, object.Refuse(object.CodeInvalidArgument, "", "configure server", "", "", err.Error())
	}
	s.patience, s.hurry = context.WithCancelCause(context.WithoutCancel(ctx))
	s.release = s.cfg.Registry.Freeze()
	s.group = lifecycle.New(s.observe, services...)
	return s.group, nil
}

// Stop stops the server: clients and calls from outside are refused, calls that have
// begun finish, shards go to other servers, objects are deactivated. It takes at most the
// drain timeout, or ends soon after ctx, whichever is shorter: calls that still run then
// are cancelled, and what ignores that is named in the error. It returns nil for a server that was never
// started, waits with the first caller when called again, and returns the same error
// then. After a part of the server has failed, the error is that failure. It is an
// [*object.Error] with executed=yes: the server has stopped all the same.
func (s *Server) Stop(ctx context.Context) error {
	group, hurry := s.beginStop()
	if group == nil {
		return nil
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.cfg.DrainTimeout, errTooLong)
	defer cancel()
	defer context.AfterFunc(limited, func() { hurry(context.Cause(limited)) })()
	_ = group.Stop(context.WithoutCancel(ctx)) // each part ends with its patience; the failures are known
	s.markStopped()
	if err := s.failed(); err != nil {
		return fail(context.WithoutCancel(ctx), "stop server", object.ExecutedYes, err) // the same for every caller
	}
	s.cfg.Logger.InfoContext(ctx, "server stopped")
	return nil
}

// beginStop returns the group to stop; nil where nothing runs.
func (s *Server) beginStop() (group *lifecycle.Group, hurry func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch phase(s.phase.Load()) {
	case created:
		s.markStoppedLocked()
	case starting, running:
		s.phase.Store(int32(stopping))
		s.vitals.change(&s.vitals.stopping, true)
		s.runtime.open.Store(nil)
	case stopping, stopped:
	}
	return s.group, s.hurry
}

// Done is closed when the server has stopped: by Stop, because one of its parts has
// failed (then Stop tells why), or because its start has failed.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stopped reports whether the server has stopped, for whatever reason.
func (s *Server) Stopped() bool { return phase(s.phase.Load()) == stopped }

// Addr returns the bound address for other nodes; empty before the start.
func (s *Server) Addr() string { return s.addr(nodeService) }

// ClientAddr returns the bound address for clients; empty before the start and
// without a client service.
func (s *Server) ClientAddr() string { return s.addr(clientService) }

// AdminAddr returns the bound address for operators; empty before the start and without
// one.
func (s *Server) AdminAddr() string { return s.addr(adminService) }

// Member is the server's place in its cluster, for operators: who else is there, which
// shards are where, moving a shard, emptying a server. It is another one after the server
// has lost its lease and joined again; nil before the start.
func (s *Server) Member() *cluster.Member {
	if p := s.parts.Load(); p != nil {
		return p.member.Load()
	}
	return nil
}

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

func (s *Server) setAddr(service, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs[service] = address
}

// observe takes note of what the group tells: by the first failure alone nobody would
// know which calls held up a stop.
func (s *Server) observe(e lifecycle.Event) {
	if e.Err == nil {
		return
	}
	s.vitals.change(&s.vitals.stopping, true) // the others stop with it
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, e.Err)
}

// failed is all that went wrong, on one line; nil for nothing.
func (s *Server) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return join(s.failures...)
}

// be is the part that starts first and stops last: the server has stopped with it, also
// where nobody called Stop.
func (s *Server) be(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	s.markStopped()
	return nil
}

// untilDeadline is the context of a part that stops. The parts share their time: the
// drain timeout, or next to nothing where the server has not been ready, less what it takes
// to cut off what runs then.
func (s *Server) untilDeadline(ctx context.Context) (until context.Context, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline.IsZero() {
		limit := s.cfg.DrainTimeout
		if phase(s.phase.Load()) == starting {
			limit = min(limit, failedStartTimeout)
		}
		s.deadline = s.clock.Now().Add(limit - min(limit/5, cutTime))
	}
	patience := s.patience
	until, hurry := context.WithCancelCause(context.WithoutCancel(ctx))
	unlink := context.AfterFunc(patience, func() { hurry(context.Cause(patience)) })
	until, cancel := context.WithDeadlineCause(until, s.deadline, errTooLong)
	return until, func() { unlink(); cancel(); hurry(nil) }
}

func (s *Server) markStopped() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markStoppedLocked()
}

func (s *Server) markStoppedLocked() {
	if s.release != nil {
		s.release()
	}
	s.runtime.open.Store(nil)
	if phase(s.phase.Swap(int32(stopped))) != stopped {
		close(s.done)
	}
}
