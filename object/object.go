package object

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
)

// Object is a stateful entity with an identity. A type becomes one by embedding
// [BaseObject]; its methods of the form
//
//	func (o *T) M(ctx context.Context, req *Req) (*Resp, error)
//
// with protobuf messages are what others may call. A method's turn runs on any
// goroutine, but by default never beside another turn of the same object.
type Object interface {
	// ID returns the whole ID, "ChatRoom-General".
	ID() string
	base() *BaseObject
}

// ClientObject is the server-side object of one connected client. A type becomes
// one by embedding [BaseClient]; its methods are what that client may call.
type ClientObject interface {
	Object
	// Push queues msg for the client this object stands for; see [BaseClient.Push].
	Push(ctx context.Context, msg proto.Message) error
	baseClient()
}

// Optional hooks of an object. Each runs as a turn of its object: nothing else of
// the object runs beside it.
type (
	// Creator is called once by CreateObject, before OnActivate, with the given
	// message or nil. A failure fails the creation alone and leaves nothing behind: calls
	// that came meanwhile activate the object without it.
	Creator interface {
		OnCreate(ctx context.Context, init proto.Message) error
	}
	// Activator is called before the first turn of an activation. A failure fails
	// every call that waited for the activation and leaves nothing behind. Its
	// context lasts at most the type's call timeout and does not end when the call
	// that caused the activation is cancelled.
	Activator interface {
		OnActivate(ctx context.Context) error
	}
	// Deactivator is called after the last turn of an activation. A failure is
	// logged and does not stop the deactivation. It is not called when the process
	// is killed.
	Deactivator interface {
		OnDeactivate(ctx context.Context, reason DeactivateReason) error
	}
	// Connector is called when a client connects, before its first call. A failure
	// refuses the client with that error.
	Connector interface {
		OnConnect(ctx context.Context) error
	}
	// Disconnector is called after the last turn of a client's object.
	Disconnector interface {
		OnDisconnect(ctx context.Context, reason DisconnectReason)
	}
)

// DeactivateReason says why an activation ends.
type DeactivateReason uint8

// The reasons an activation ends.
const (
	ReasonIdle     DeactivateReason = iota + 1 // no call for the type's idle timeout
	ReasonDeleted                              // DeleteObject
	ReasonMoved                                // another node takes the object over
	ReasonStopping                             // the server stops
	ReasonFailed                               // a turn panicked
	ReasonFenced                               // the node lost the right to answer
)

// String returns "idle", "deleted", "moved", "stopping", "failed" or "fenced".
func (r DeactivateReason) String() string {
	return nameOf(int(r), "idle", "deleted", "moved", "stopping", "failed", "fenced")
}

// DisconnectReason says why a client's object ends.
type DisconnectReason uint8

// The reasons a client's object ends.
const (
	DisconnectClosed   DisconnectReason = iota + 1 // the client ended its stream
	DisconnectLost                                 // the connection broke or went silent
	DisconnectTooSlow                              // the client did not read its pushes
	DisconnectKicked                               // the object was deleted
	DisconnectStopping                             // the server stops
)

// String returns "closed", "lost", "too slow", "kicked" or "stopping".
func (r DisconnectReason) String() string {
	return nameOf(int(r), "closed", "lost", "too slow", "kicked", "stopping")
}

func nameOf(i int, names ...string) string {
	if i < 1 || i > len(names) {
		return "unspecified"
	}
	return names[i-1]
}

// Host is what the runtime gives one activation; [BaseObject] passes it on.
type Host interface {
	ID() string
	Logger() *slog.Logger
	Context() context.Context
	AfterFunc(d time.Duration, method string, req proto.Message) (stop func() bool)
	Every(d time.Duration, method string, req proto.Message) (stop func() bool)
}

// BaseObject is embedded by every object type. Its methods are for the object's
// own use, from its turns; they are safe for concurrent use.
type BaseObject struct{ host Host }

func (b *BaseObject) base() *BaseObject { return b }

// Bind gives obj its host. It is called by the runtime, once, before any hook.
func Bind(obj Object, host Host) { obj.base().host = host }

// ID returns the object's whole ID, "ChatRoom-General"; empty for a value that
// no runtime hosts.
func (b *BaseObject) ID() string {
	if b.host == nil {
		return ""
	}
	return b.host.ID()
}

// Type returns the part of the ID before the first '-', "ChatRoom".
func (b *BaseObject) Type() string {
	typ, _ := splitID(b.ID())
	return typ
}

// Name returns the part of the ID after the first '-', "General".
func (b *BaseObject) Name() string {
	_, name := splitID(b.ID())
	return name
}

// Logger returns the server's logger with the object's ID as an attribute.
func (b *BaseObject) Logger() *slog.Logger {
	if b.host == nil {
		return slog.New(slog.DiscardHandler)
	}
	return b.host.Logger()
}

// Context returns a context that lives as long as the activation and carries the
// hosting server. Work that outlives a turn uses it instead of the turn's context.
func (b *BaseObject) Context() context.Context {
	if b.host == nil {
		return context.Background() //nolint:forbidigo // a value that no runtime hosts has no other parent
	}
	return b.host.Context()
}

// AfterFunc calls method with req on this activation once, d from now, as a turn
// of its own. It ends with the activation and does not keep it from being idle.
// stop reports whether it prevented the call. An unknown method or a wrong
// request is logged at once and nothing is scheduled.
func (b *BaseObject) AfterFunc(d time.Duration, method string, req proto.Message) (stop func() bool) {
	if b.host == nil {
		return func() bool { return false }
	}
	return b.host.AfterFunc(d, method, req)
}

// Every calls method with req on this activation, first after d and then d after
// each call has ended, so calls never overlap. Otherwise like [BaseObject.AfterFunc];
// a d of zero or less is logged and nothing is scheduled.
func (b *BaseObject) Every(d time.Duration, method string, req proto.Message) (stop func() bool) {
	if b.host == nil {
		return func() bool { return false }
	}
	return b.host.Every(d, method, req)
}

// BaseClient is embedded by every client type: the server-side object of one
// connected client, pinned to the node the client is connected to.
type BaseClient struct{ BaseObject }

func (*BaseClient) baseClient() {}

// Push queues msg for the client. It never blocks. The message is encoded before Push
// returns, and may be changed then. Messages pushed by one goroutine arrive in that
// order, each once at most.
//
// No error means that the message is queued, not that it was delivered. For a client of
// this server, and so for an object that pushes to its own client, it waits for the
// client to read it. For a client of another server it waits for that server, and is
// lost, without a word to the pusher, if the link breaks, no connection can be had for a
// second, that server ends, or the client is gone or does not read; servers count and
// log what they know of. Who must know that something has arrived calls a method of the
// client object instead, and lets that push.
//
// After an error nothing is sent. It is [ErrNotFound] for a client that is known to be
// gone, as every client of a server that has left the cluster is; of one that has just
// gone from another server it is known after the first push that has found nobody there.
// A client that does not read is refused with [ErrResourceExhausted] by its own server,
// and disconnected. [ErrOverloaded], which is one, too, says that too much waits for
// the client's server: nothing is wrong with the client, and the message may be pushed
// again later. [ErrUnavailable]: the server is no member of its cluster at the moment.
func (c *BaseClient) Push(ctx context.Context, msg proto.Message) error {
	rt, ok := FromContext(c.Context()) //nolint:contextcheck // only its own server is taken from it, whatever server ctx is of
	if !ok {
		rt, ok = FromContext(ctx)
	}
	if !ok {
		return Refuse(CodeFailedPrecondition, "", "push", c.ID(), "", "no server hosts this client object")
	}
	return rt.Push(ctx, c.ID(), msg)
}

func splitID(id string) (typ, name string) {
	for i := range len(id) {
		if id[i] == '-' {
			return id[:i], id[i+1:]
		}
	}
	return id, ""
}
