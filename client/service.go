package client

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
	"github.com/xiaonanln/goverse/util/crew"
	"github.com/xiaonanln/goverse/util/tally"
)

// Node is what the service needs of the node that hosts the client objects. All
// methods are safe for concurrent use; a panic in user code is their error.
type Node interface {
	// AttachClient creates the client object of that ID and runs its OnConnect. After
	// an error nothing of it is left.
	AttachClient(ctx context.Context, id string) error
	// DetachClient runs OnDisconnect after the object's turns and removes the object.
	// An object that is not there, because its turn panicked, is no error.
	DetachClient(ctx context.Context, id string, reason object.DisconnectReason) error
	// Accept gives a call its place at its object, after all calls that were accepted
	// before, and waits for nothing. The request's body is its caller's again afterwards.
	Accept(ctx context.Context, req object.Request) Accepted
}

// Accepted is a call that has its place at its object.
type Accepted interface {
	// Run brings the call to its end; it is called exactly once. It is there that unknown
	// methods and requests that do not fit are refused, and calls whose ctx has ended.
	Run() (object.Reply, error)
	// Spent tells, once at most and after Run has returned, that nobody needs the body of
	// the reply any more: its memory, and that of the call, may be used again.
	Spent()
}

// Config is what a service is made of. Node is required.
type Config struct {
	Node Node
	// ClientType is the name of the registered client type. Without one no client is
	// accepted.
	ClientType string
	// Place names where the service's client objects are: their IDs end in "@" and it. It
	// must not call the service. Default: nothing is added.
	Place func() string
	// Logger is told of connects and disconnects (Debug), slow clients (Warn) and
	// panics (Error). Default: nothing is logged.
	Logger *slog.Logger
	// Clock measures Limits.Body and Limits.Flush. Default: the system's.
	Clock  clock.Clock
	Limits Limits
	// Company is that of the process, for whose sake messages of sessions wait. Default: of this service alone.
	Company *company.Company
	// TooSlow is told the object of a client that is disconnected because it does not
	// read. It must not block. Default: nothing.
	TooSlow func(id string)
}

// Service is the client service of one server. Use [NewService]. All methods are
// safe for concurrent use.
type Service struct {
	node   Node
	typ    string
	place  func() string
	log    *slog.Logger
	clock  clock.Clock
	limits Limits
	slow   func(id string)

	company *company.Company

	calls   tally.Tally // running calls
	streams tally.Tally // sessions, and what serves their streams
	crew    *crew.Crew[task]
	trimmer trimmer
	kept    atomic.Int64 // bytes that sessions without a stream keep

	mu       sync.Mutex
	detached retention               // guarded by mu
	stopping bool                    // guarded by mu
	pushes   uint64                  // guarded by mu: that found their client
	byID     map[string]*session     // guarded by mu: all, by the object's ID
	byHash   map[secretHash]*session // guarded by mu: those that may call
}

// NewService returns a service that starts nothing by itself.
func NewService(cfg Config) *Service {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System()
	}
	if cfg.Company == nil {
		cfg.Company = company.New(cfg.Clock)
	}
	if cfg.TooSlow == nil {
		cfg.TooSlow = func(string) {}
	}
	s := &Service{
		node: cfg.Node, typ: cfg.ClientType, place: cfg.Place, log: cfg.Logger, clock: cfg.Clock, limits: cfg.Limits.withDefaults(),
		slow: cfg.TooSlow, company: cfg.Company,
		crew: crew.New(task.do, 0),
		byID: make(map[string]*session), byHash: make(map[secretHash]*session),
	}
	s.trimmer.clock, s.trimmer.trim = cfg.Clock, s.crew.Trim
	return s
}

// Register adds the service to a gRPC server, which should be made with
// [Service.ServerOptions].
func (s *Service) Register(r grpc.ServiceRegistrar) {
	r.RegisterService(describe(), newEndpoint(s))
}

// Clients returns how many clients there are, those that come and go included.
func (s *Service) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

// Kick ends the client's stream because its object is deleted, and returns at once:
// the client reads what was pushed before, and its object is detached as
// DisconnectKicked. NotFound when there is no such client.
func (s *Service) Kick(_ context.Context, id string) error {
	sess := s.find(id)
	if sess == nil {
		return object.Refuse(object.CodeNotFound, "", "kick", id, "", "no such client is connected here")
	}
	sess.end(ending{object.DisconnectKicked, object.NewError(object.CodeAborted, "the client's object was deleted"), true})
	return nil
}

// Lost ends the client's stream because the node has lost its object: the client is
// told Unavailable and may register again. It returns at once; an unknown ID is
// nobody's.
func (s *Service) Lost(id string) {
	if sess := s.find(id); sess != nil {
		sess.end(ending{object.DisconnectLost, object.NewError(object.CodeUnavailable, "the client's object failed: register again"), true})
	}
}

// LoseAll is [Service.Lost] for all clients: the server was cut off from its cluster.
// The service goes on accepting clients.
func (s *Service) LoseAll() {
	for _, sess := range s.snapshot() {
		sess.end(ending{object.DisconnectLost, object.NewError(object.CodeUnavailable, "the server lost its cluster: register elsewhere"), true})
	}
}

// Stop refuses new clients and calls as Unavailable, lets the calls that have begun
// finish, then ends every stream with Unavailable and detaches the clients as
// DisconnectStopping. It returns when nothing of the service runs any more. When ctx
// ends first, what still runs is cancelled and the error says how much that is;
// another Stop waits again.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	sessions := s.snapshot() // complete: admit looks at stopping under the same lock
	for _, sess := range sessions {
		sess.refuseCalls()
	}
	if err := s.calls.Wait(ctx); err != nil {
		return s.giveUp(sessions, err)
	}
	for _, sess := range sessions {
		sess.end(ending{object.DisconnectStopping, errStopping(""), true})
	}
	if err := s.streams.Wait(ctx); err != nil {
		return s.giveUp(sessions, err)
	}
	s.trimmer.stop()
	s.crew.Close() // what makes tasks has ended
	s.crew.Wait()
	return nil
}

// giveUp ends a stop that takes too long.
func (s *Service) giveUp(sessions []*session, cause error) error {
	for _, sess := range sessions {
		sess.end(ending{object.DisconnectStopping, errStopping(""), false})
		sess.abortWork(cause)
	}
	s.trimmer.stop()
	s.crew.Close() // whoever is left works on its own, and may be the last
	return fmt.Errorf("stop client service, %d clients left: %w", s.Clients(), cause)
}

func errStopping(op string) error {
	return object.Refuse(object.CodeUnavailable, "", op, "", "", "the server is stopping: register elsewhere")
}
