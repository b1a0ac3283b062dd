package routing

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

var (
	_ Node   = (*node.Node)(nil)
	_ Table  = (*cluster.Member)(nil)
	_ Dialer = transport.Endpoint(nil)
)

// Node is the node as the router needs it; [node.Node] is one. Its refusals of calls because it does not own the object's shard, or does
// not answer for it now, are of code unavailable and executed=no.
type Node interface {
	Objects
	Relay
	Shards
}

// Objects runs calls where the object is.
type Objects interface {
	Call(ctx context.Context, id, method string, req proto.Message, opts ...object.CallOption) (proto.Message, error)
	Invoke(ctx context.Context, id string, method object.Expr, req proto.Message, opts ...object.CallOption) (proto.Message, error)
	Create(ctx context.Context, typ, id string, init proto.Message) (string, error)
	Delete(ctx context.Context, id string) error
}

// Relay is the two ends of a call between nodes.
type Relay interface {
	// Depart encodes a call, with what flows along the call chain if ctx belongs to a turn. release is called once, when
	// the call is over.
	Depart(ctx context.Context, id, method string, req proto.Message, opts []object.CallOption) (
		d node.Departure, decode func(object.Reply) (proto.Message, error), release func(), err error)
	// Arrive gives a call that has arrived its place at its object, without blocking, and returns what runs it.
	Arrive(ctx context.Context, d node.Departure) (run func() (object.Reply, error))
}

// Shards is the node's shards.
type Shards interface {
	ShardOf(id string) uint32
	// Gate says under which epoch the node owns a shard, 0 if it does not, whether calls from outside may begin there,
	// and what is closed when that changes.
	Gate(shard uint32) (epoch uint64, open bool, changed <-chan struct{})
	OpenShard(ctx context.Context, shard uint32, epoch uint64, state []node.Kept) error
	DrainShard(ctx context.Context, shard uint32, epoch uint64) ([]node.Kept, error)
	ReopenShard(shard uint32, epoch uint64, state []node.Kept) error
	ReleaseShard(shard uint32, epoch uint64)
	Suspend(cause error)
	Resume()
}

// Table is what the cluster's member knows. [cluster.Member] is one.
type Table interface {
	// Incarnation is the member's own.
	Incarnation() string
	// Valid says whether the member may answer now.
	Valid() bool
	// Route is who owns a shard.
	Route(shard uint32) (cluster.Route, bool)
	// Learn takes a hint about a shard.
	Learn(shard uint32, r cluster.Route)
	// Refresh reads a shard's record from the store.
	Refresh(ctx context.Context, shard uint32) (cluster.Route, error)
	// Node is a living member by its incarnation.
	Node(incarnation string) (cluster.Route, bool)
	// Changed is closed at the next change of routes or members.
	Changed() <-chan struct{}
}

// Dialer is where links come from. [transport.Endpoint] is one.
type Dialer interface {
	Dial(to transport.Peer) transport.Link
}

// Clients is the client service of this server. The error for a client that is not connected here is
// [object.ErrNotFound].
type Clients interface {
	// Push queues a message for the client that a client object stands for; it never blocks.
	Push(ctx context.Context, id string, msg proto.Message) error
	// PushAny is Push for a message that is encoded already: msg is what the client receives.
	PushAny(ctx context.Context, id string, msg *anypb.Any) error
	// Kick disconnects a client.
	Kick(ctx context.Context, id string) error
}

// Config is what a router is made of. Node, Registry, Clock, Logger and Cluster are required; the rest has defaults.
type Config struct {
	Node     Node
	Registry *object.Registry // which types are client types, and the time limits of methods
	Clock    clock.Clock
	Logger   *slog.Logger
	Cluster  string // the identity that peers have in common

	// Clients is the server's client service. Nil: it has none.
	Clients Clients

	// Valid, if set, is asked before the reply of a turn on this node leaves to a caller outside any turn. Nil: such
	// callers are told what the node says. (Other nodes' calls and clients' calls are checked in any case, as is
	// whatever leaves the process.)
	Valid func() bool

	// CallTimeout is for calls whose context has no deadline, where the method sets none. Default
	// [object.DefaultCallTimeout]; negative: none.
	CallTimeout time.Duration

	// ParkedCalls bounds how many calls from other nodes may wait here for closed gates. Default 100 000.
	ParkedCalls int

	// KeptBytes and KeptTime bound what is kept of shards that are about to move here, in sum and each. A shard whose
	// state takes more than KeptBytes cannot move. Default 256 MiB and 10 min.
	KeptBytes int
	KeptTime  time.Duration
}

func (c Config) withDefaults() Config {
	setDefault(&c.CallTimeout, object.DefaultCallTimeout)
	setDefault(&c.ParkedCalls, 100_000)
	setDefault(&c.KeptBytes, 256<<20)
	setDefault(&c.KeptTime, 10*time.Minute)
	return c
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
