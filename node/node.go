package node

import (
	"context"
	"crypto/rand"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/tally"
)

// maxDepth is the longest call chain, in calls.
const maxDepth = 32

// tooDeep refuses a call whose chain is longer.
const tooDeep = "the call chain is longer than 32 calls"

// Config is what a node is made of. Registry, Clock, Logger and Runtime are
// required; the rest has defaults.
type Config struct {
	Registry *object.Registry
	Clock    clock.Clock
	Logger   *slog.Logger
	// Runtime is what running methods find in their context.
	Runtime object.Runtime
	// Onward finds the object of a one-way call that the node has accepted and cannot run:
	// that of a turn which has ended, or one whose shard moved while it waited. It is asked
	// until the node has stopped. Default: the Call of Runtime.
	Onward func(ctx context.Context, id, method string, req proto.Message, opts ...object.CallOption) (proto.Message, error)
	// Fence raises the object store's fence for a shard. It is called before the
	// shard is opened, so that no earlier owner can write any more. Nil: nothing is
	// durable.
	Fence func(ctx context.Context, shard uint32, epoch uint64) error
	// Shards is the number of shards of the cluster. Default [shard.DefaultCount].
	Shards int
	// IdleTimeout is for types that set none. Default [object.DefaultIdleTimeout];
	// negative: never.
	IdleTimeout time.Duration
	// CallTimeout is for methods that set none. Default [object.DefaultCallTimeout];
	// negative: none.
	CallTimeout time.Duration
	// AppError turns what a method returned into an error with a code. Default
	// [object.FromError].
	AppError func(error) *object.Error
	// ClientGone is told when a client object ended without being detached: its turn
	// panicked. It must not block. Default: nothing.
	ClientGone func(id string)
	// Event is told what operators want to know: panics, deadlocks, full queues, and slow turns
	// while somebody observes. It must not block, nor call the node. Default: nothing.
	Event func(*inspectmsg.Event)
}

// Node holds the live objects of one process. All methods are safe for concurrent use.
type Node struct {
	cfg      Config
	base     time.Time     // the wall clock at the start
	baseMono time.Duration // the monotonic clock at the same moment
	shards   []shardState
	owned    holdings
	clients  shardState // what belongs to no shard: the client objects
	objects  *directory // the activations by ID
	waiters  *sync.Pool
	spanKey  any                  // see spanKeyOf
	quantum  time.Duration        // how often the sweep looks
	coarse   atomic.Int64         // elapsed time at the last sweep, in ns
	count    atomic.Int64         // activations
	made     atomic.Uint64        // activations since the start
	lens     atomic.Pointer[lens] // nil while nobody observes
	door     door                 // to the lens

	closed  atomic.Uint32   // why calls from outside are refused, see closedBy…; zero: they are not
	killed  context.Context //nolint:containedctx // the end of all turns, not a caller's context
	kill    context.CancelCauseFunc
	era     atomic.Pointer[era]
	away    departures
	lines   lines
	tasks   tally.Tally   // the goroutines that the node started
	hooks   chan struct{} // slots for the hooks of ending activations
	reaping atomic.Bool   // a goroutine ends idle activations with hooks

	observers  sync.Mutex // taken by who begins and ends to observe
	population population
	queues     queues
	overloads  seldom
	failures   errorCounts
	ration     ration // of searches
	pace       pace
}

// New returns a node that owns no shard yet. It starts nothing.
func New(cfg Config) *Node {
	if cfg.Shards == 0 {
		cfg.Shards = shard.DefaultCount
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = object.DefaultIdleTimeout
	}
	if cfg.CallTimeout == 0 {
		cfg.CallTimeout = object.DefaultCallTimeout
	}
	if cfg.AppError == nil {
		cfg.AppError = object.FromError
	}
	if cfg.Onward == nil {
		runtime := cfg.Runtime
		cfg.Onward = func(ctx context.Context, id, method string, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
			return runtime.Call(ctx, id, method, req, opts...)
		}
	}
	if cfg.ClientGone == nil {
		cfg.ClientGone = func(string) {}
	}
	n := &Node{
		cfg: cfg, base: cfg.Clock.Now(), baseMono: cfg.Clock.Monotonic(),
		shards: make([]shardState, cfg.Shards), objects: &directory{seed: maphash.MakeSeed()}, waiters: newWaiterPool(),
		hooks: make(chan struct{}, 64), spanKey: spanKeyOf(findSpan),
	}
	n.owned.init(cfg.Shards)
	n.clients.node, n.clients.gate = n, open
	for i := range n.shards {
		n.shards[i].node, n.shards[i].number = n, uint32(i)
	}
	n.quantum = n.sweepEvery()
	n.away.known = make(map[TurnID]*departure)
	_, _ = rand.Read(n.away.mark[:])                                 // never fails
	n.killed, n.kill = context.WithCancelCause(context.Background()) //nolint:forbidigo // the node's own end, no caller's
	n.newEra()
	return n
}

// elapsed is the time since the node was made.
func (n *Node) elapsed() time.Duration { return n.cfg.Clock.Monotonic() - n.baseMono }

// Activations returns how many objects are in memory.
func (n *Node) Activations() int { return int(n.count.Load()) }

// ShardOf returns the shard of an object.
func (n *Node) ShardOf(id string) uint32 { return shard.Of(id, len(n.shards)) }

func (n *Node) shardOf(id string) *shardState { return &n.shards[n.ShardOf(id)] }

// run starts f on a goroutine of the node's own.
func (n *Node) run(f func()) {
	n.tasks.Begin()
	go func() {
		defer n.tasks.End()
		f()
	}()
}
