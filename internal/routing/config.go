package routing

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

var (
	_ Table  = (*cluster.Member)(nil)
	_ Dialer = transport.Endpoint(nil)
)

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
	// PushAny is Push for a message that is encoded already: msg is what the client receives. It is called on a goroutine
	// that receives what other nodes send.
	PushAny(ctx context.Context, id string, msg *anypb.Any) error
	// Kick disconnects a client.
	Kick(ctx context.Context, id string) error
}

// Config is what a router is made of. Node, Registry, Clock, Logger and Cluster are required; the rest has defaults.
type Config struct {
	Node     *node.Node
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

	// ParkedCalls bounds how many calls from other nodes may wait here for closed gates, PeerCalls how many from each of
	// them: fewer than a link carries, as others have to get through. Default 100 000 and 4096.
	ParkedCalls, PeerCalls int

	// WaitingBytes bounds what may wait here to be pushed to the clients of each other node, some 128 bytes for each
	// message included: one more may begin before it is reached. Default 16 MiB.
	WaitingBytes int

	// PushBytes is the largest message, as its client receives it, that is pushed to a client of another node. Default
	// 4 MiB, as of the client service.
	PushBytes int

	// Flaws are guards to leave out, for tests that prove them. Default: none.
	Flaws shard.Flaws

	// KeptBytes and KeptTime bound what is kept of shards that are about to move here, in sum and each. A shard whose
	// state takes more than KeptBytes cannot move. Default 256 MiB and 10 min.
	KeptBytes int
	KeptTime  time.Duration
}

func (c Config) withDefaults() Config {
	setDefault(&c.CallTimeout, object.DefaultCallTimeout)
	setDefault(&c.ParkedCalls, 100_000)
	setDefault(&c.PeerCalls, 4096)
	setDefault(&c.WaitingBytes, 16<<20)
	setDefault(&c.PushBytes, 4<<20)
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
