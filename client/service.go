package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
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
	// before, and waits for nothing. What it returns runs the call and is called
	// exactly once. Decoding and encoding happen there, so it is there that unknown
	// methods and requests that do not fit are refused, and calls whose ctx has ended.
	Accept(ctx context.Context, req object.Request) (run func() (object.Reply, error))
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

	calls   tally.Tally // running calls
	streams tally.Tally // sessions, and what serves their streams
	crew    *crew.Crew[task]
	kept    atomic.Int64 // bytes that sessions without a stream keep

	mu       sync.Mutex
	detached retention               // guarded by mu
	stopping bool                    // guarded by mu
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
	return &Service{
		node: cfg.Node, typ: cfg.ClientType, place: cfg.Place, log: cfg.Logger, clock: cfg.Clock, limits: cfg.Limits.withDefaults(),
		crew: crew.New(task.do, idleWorkers),
		byID: make(map[string]*session), byHash: make(map[secretHash]*session),
	}
}

// Register adds the service to a gRPC server, which should be made with
// [Service.ServerOptions].
func (s *Service) Register(r grpc.ServiceRegistrar) {
	client_pb.RegisterClientServiceServer(r, &endpoint{service: s})
}

// Clients returns how many clients there are, those that come and go included.
func (s *Service) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

// Push queues msg for the client whose object has that ID; it never blocks, and msg
// may be changed when it has returned. The error is InvalidArgument for a nil or
// unencodable message or one over Limits.MessageBytes, NotFound when there is no such
// client, ResourceExhausted when too much waits for it: then its stream ends and its
// object goes. After any error the message is not sent.
func (s *Service) Push(ctx context.Context, id string, msg proto.Message) error {
	if msg == nil || !msg.ProtoReflect().IsValid() {
		return refusePush(object.CodeInvalidArgument, id, "the message is nil")
	}
	packed, err := anypb.New(msg)
	if err != nil {
		return refusePush(object.CodeInvalidArgument, id, "encode message: "+err.Error())
	}
	return s.PushAny(ctx, id, packed)
}

// PushAny is [Service.Push] for a message that is encoded already, and belongs to the
// service from now on.
func (s *Service) PushAny(_ context.Context, id string, packed *anypb.Any) error {
	sess := s.find(id)
	if sess == nil {
		return refusePush(object.CodeNotFound, id, "no such client is connected here")
	}
	size := proto.Size(packed)
	if size > s.limits.MessageBytes {
		return refusePush(object.CodeInvalidArgument, id,
			fmt.Sprintf("the message takes %d bytes, at most %d are allowed", size, s.limits.MessageBytes))
	}
	switch sess.out.put(packed, size) {
	case overflow:
		text := fmt.Sprintf("the client does not read: %d messages or %d bytes are waiting for it", s.limits.QueueMessages, s.limits.QueueBytes)
		sess.end(ending{object.DisconnectTooSlow, object.NewError(object.CodeResourceExhausted, text), false})
		sess.out.abandon()
		return refusePush(object.CodeResourceExhausted, id, text)
	case tooLarge:
		return refusePush(object.CodeInvalidArgument, id,
			fmt.Sprintf("the message takes %d bytes, and with what is around it more than the %d that are allowed", size, s.limits.MessageBytes))
	case shut:
		return refusePush(object.CodeNotFound, id, "the client has gone")
	case queued:
	}
	return nil
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
	s.crew.Close() // whoever is left works on its own, and may be the last
	return fmt.Errorf("stop client service, %d clients left: %w", s.Clients(), cause)
}

// crowdedRetry is after what time a client should try again that finds the server full;
// another server may have room at once.
const crowdedRetry = time.Second

// admit makes the session of a new Register stream, known by its object's ID.
func (s *Service) admit() (*session, error) {
	sess := newSession(s.newID(), s.limits)
	return sess, s.enroll(sess)
}

func (s *Service) newID() string { return s.typ + "-" + rand.Text() }

// enroll makes a session known by its object's ID. Where there are too many, one that
// waits for its client goes.
func (s *Service) enroll(sess *session) error {
	victim, err := s.enter(sess)
	if victim != nil {
		victim.giveUp("the server needs the place of a client that is connected")
	}
	return err
}

func (s *Service) enter(sess *session) (victim *resumable, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return nil, errStopping("register")
	case s.typ == "":
		return nil, object.Refuse(object.CodeFailedPrecondition, "", "register", "", "", "the server has no client type")
	case len(s.byID) >= s.limits.Clients:
		if victim = s.detached.evict(); victim == nil {
			err := object.Refuse(object.CodeResourceExhausted, object.Overloaded, "register", "", "",
				fmt.Sprintf("the server has %d clients, as many as it takes", len(s.byID)))
			err.RetryAfter = crowdedRetry
			return nil, err
		}
	}
	if s.place != nil { // under the lock: whoever loses all clients afterwards finds those of the place before
		sess.id += "@" + s.place()
	}
	s.byID[sess.id] = sess
	s.streams.Begin()
	return victim, nil
}

// open gives the client its secret: from now on it may call.
func (s *Service) open(sess *session) (clientID string, hash secretHash) {
	clientID = rand.Text()
	hash = hashSecret(clientID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byHash[hash] = sess
	return clientID, hash
}

// shutOut makes the client's secret stale and lets no more calls begin.
func (s *Service) shutOut(sess *session, hash secretHash) {
	sess.refuseCalls()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byHash, hash)
}

// forget is the end of a session: nobody finds it any more.
func (s *Service) forget(sess *session) {
	s.mu.Lock()
	delete(s.byID, sess.id)
	s.mu.Unlock()
	s.streams.End()
}

func (s *Service) find(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// findCaller returns the session a client_id belongs to, and counts a call of it, which
// has an end: calls that are refused must not keep [Service.Stop] waiting.
func (s *Service) findCaller(clientID string) (sess *session, end func(), err error) {
	var hash secretHash // nobody's
	if len(clientID) <= maxSecretBytes {
		hash = hashSecret(clientID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sess = s.byHash[hash]
	switch {
	case s.stopping:
		return nil, nil, errStopping("call")
	case sess == nil:
		return nil, nil, errUnauthenticated()
	}
	s.calls.Begin()
	return sess, s.calls.End, nil
}

func (s *Service) snapshot() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.byID))
	for _, sess := range s.byID {
		all = append(all, sess)
	}
	return all
}

func errStopping(op string) error {
	return object.Refuse(object.CodeUnavailable, "", op, "", "", "the server is stopping: register elsewhere")
}

func refusePush(code object.Code, id, message string) error {
	return object.Refuse(code, "", "push", id, "", message)
}
