package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/util/clock"
)

// MinLeaseTTL is the shortest lease that works: stores grant no shorter ones.
const MinLeaseTTL = 2 * time.Second

// Host is the node as its member sees it. The calls for one shard come one after the
// other, those for different shards concurrently. A call returns soon after its ctx has
// ended. A panic in one ends the member; ReleaseShard follows.
type Host interface {
	// OpenShard makes the node answer for a shard: it raises the store's fence to epoch,
	// installs what the former owner handed over under the tag handover (0: nothing) and
	// opens the gate. After an error it is called again until it succeeds or the shard is
	// another's; then ReleaseShard follows, whatever it did.
	OpenShard(ctx context.Context, shard uint32, epoch uint64, handover int64) error
	// DrainShard closes the gate (arrivals wait), lets what runs finish, ends the shard's
	// objects and hands what they want to keep to the target under the tag handover. An
	// error, as when ctx ended, means that it is not drained; ReopenShard follows. It may
	// also follow a success, if the move was called off.
	DrainShard(ctx context.Context, shard uint32, epoch uint64, target Route, handover int64) error
	// ReopenShard takes a drain back: what was handed out is put back, who waits goes on.
	ReopenShard(shard uint32, epoch uint64)
	// ReleaseShard tells that the shard is not the node's any more. Objects that are left
	// end without a word; calls that wait are answered as not executed.
	ReleaseShard(shard uint32, epoch uint64, why ReleaseReason)
	// Suspend fences the node: gates close, the contexts of running turns end with the
	// cause, what is in memory stays. Resume undoes it, with the same epochs. They come in
	// turns, Suspend first, and a member that ends suspended releases its shards and then
	// resumes: it leaves an empty host that is not suspended. Other calls come meanwhile.
	Suspend(cause error)
	Resume()
}

// ReleaseReason is why a node no longer has a shard.
type ReleaseReason = shard.ReleaseReason

// The reasons.
const (
	ReleaseMoved   = shard.ReleaseMoved   // it was handed over to another member
	ReleaseLost    = shard.ReleaseLost    // the store names another owner
	ReleaseLeaving = shard.ReleaseLeaving // the member leaves, and nobody took the shard
	ReleaseDead    = shard.ReleaseDead    // the member's lease is lost
)

// Limits bound what moves at a time.
type Limits = shard.Limits

// Config is what a member is made of. Zero means default. Of the durations, those that
// say so are off if negative.
type Config struct {
	Store    coord.Store   // required
	Clock    clock.Clock   // required
	Logger   *slog.Logger  // required
	Host     Host          // required
	Name     string        // required: of the cluster, the prefix of its keys
	Address  string        // required: where other members reach this one
	Shards   int           // required: of the cluster; all members agree
	LeaseTTL time.Duration // how long the member counts as alive without a sign of life; default 6 s, at least MinLeaseTTL

	// Broken, if not nil, receives when the store may have died with all that it has
	// promised, and another may begin in its place. The member is fenced at once then, and
	// goes on if it finds its lease and all that it had in the store.
	Broken <-chan struct{}
	// UUID, if set, is the cluster that the member belongs to: any other is refused.
	UUID string
	// Incarnation names the member; default: random. One that has died never comes back.
	Incarnation string
	// Weight is the capacity in relation to other members'. Default 1.
	Weight int
	// MinProtocol and MaxProtocol are the versions of the calls between members that this
	// one speaks. Default 1. A member that has none in common with a living one is refused.
	MinProtocol, MaxProtocol int
	// DrainTimeout bounds the drain of one shard in a planned move. Default 10 s.
	DrainTimeout time.Duration
	// LastWords, if set, is called when others have taken the shards of a member that leaves,
	// and its lease is valid still, so that what the host has to send them can go.
	LastWords func(ctx context.Context)
	// LeaveTimeout bounds how long Run, told to end, waits for others to take its shards.
	// Default DrainTimeout; negative: it does not wait.
	LeaveTimeout time.Duration
	// Until, if set, is asked when the member begins to leave for a context that bounds how
	// long it waits for others, beside LeaveTimeout.
	Until func(ctx context.Context) (until context.Context, release func())
	// Farewell, if set, is called by a member that leaves, when nobody takes any more what
	// shards it has left and before it releases them: what runs there may end meanwhile.
	Farewell func(ctx context.Context)
	// Limits bound planned moves.
	Limits Limits
	// Gather is how long a cluster in which nobody owns anything waits for more members
	// before shards are given out. Default 200 ms, negative: not at all.
	Gather time.Duration
	// Grace is how long a member has to be there before shards are moved to it. Shards
	// without an owner it gets at once. Default 1 s, negative: none.
	Grace time.Duration
	// Relist is how often the member compares what the watch has told it with what is in
	// the store. Default 5 min, negative: never.
	Relist time.Duration
	// Random is the source of jitter. Default: a random one. The member owns it.
	Random rand.Source
}

// The times that nobody has had a reason to set.
const (
	moveBackoff     = time.Second      // after the first aborted move of a shard
	maxMoveBackoff  = 30 * time.Second // after many
	moveSlack       = 5 * time.Second  // for an owner to end a move, beyond its drain
	openBackoff     = 100 * time.Millisecond
	maxOpenBackoff  = 5 * time.Second
	storeBackoff    = 50 * time.Millisecond
	maxStoreBackoff = time.Second
	openSlots       = 64  // shards that are opened at the same time
	drainSlots      = 512 // … drained
	shutSlots       = 8   // … shut, those aside that have been for shutTime: at least 320 begin to move in a second
	shutTime        = 25 * time.Millisecond
	pageSize        = 1000
)

// withDefaults is the configuration with its defaults, and all that is wrong with it.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.LeaseTTL, 6*time.Second)
	setDefault(&c.DrainTimeout, 10*time.Second)
	setDefault(&c.LeaveTimeout, c.DrainTimeout)
	setDefault(&c.Gather, 200*time.Millisecond)
	setDefault(&c.Grace, time.Second)
	setDefault(&c.Relist, 5*time.Minute)
	setDefault(&c.Weight, 1)
	setDefault(&c.MinProtocol, 1)
	setDefault(&c.MaxProtocol, c.MinProtocol)
	if c.Random == nil {
		c.Random = rand.NewPCG(rand.Uint64(), rand.Uint64()) //nolint:gosec // G404: jitter
	}
	return c, c.validate()
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (c Config) validate() error {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(c.Store != nil, "Store: missing")
	check(c.Clock != nil, "Clock: missing")
	check(c.Logger != nil, "Logger: missing")
	check(c.Host != nil, "Host: missing")
	check(c.Name != "", "Name: empty")
	check(c.Address != "", "Address: empty")
	check(c.Shards >= 1 && c.Shards <= 1<<16, "Shards: %d is not between 1 and %d", c.Shards, 1<<16)
	check(c.LeaseTTL >= MinLeaseTTL, "LeaseTTL: %v is less than %v", c.LeaseTTL, MinLeaseTTL)
	check(c.DrainTimeout > 0, "DrainTimeout: %v is not positive", c.DrainTimeout)
	check(c.Weight >= 1 && c.Weight <= shard.MaxWeight, "Weight: %d is not between 1 and %d", c.Weight, shard.MaxWeight)
	check(c.MinProtocol >= 1 && c.MaxProtocol >= c.MinProtocol, "protocols %d to %d are none", c.MinProtocol, c.MaxProtocol)
	check(c.Relist < 0 || c.Relist >= c.LeaseTTL, "Relist: %v is less than the LeaseTTL of %v", c.Relist, c.LeaseTTL)
	if len(problems) > 0 {
		return fmt.Errorf("configure member: %w", errors.Join(problems...))
	}
	return nil
}
