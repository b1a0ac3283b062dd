// Package coord is the seam to the coordination store: what the cluster needs of etcd, with etcd's meaning, and nothing
// that clientv3 cannot do.
//
// The store is one ordered map from keys to values with one history. Every transaction that changes something makes one
// new revision, a number that only grows; reads are linearizable; a watch tells the history from any revision that has
// not been compacted away, in order and without a gap. A lease makes its keys go away together, at one revision, when
// nobody has renewed it for its time to live. Keys are compared byte for byte.
//
// Implementations are safe for concurrent use. coord/mem keeps everything in the process; package coordtest is the
// suite that every implementation has to pass. This package starts no goroutine.
package coord

import (
	"context"
	"errors"
	"time"
)

// The errors of a store. Other than these, a method returns what ended its context. They are wrapped: use errors.Is.
//
// A write that failed with ErrUnavailable, with ErrRestored or because its context ended may have happened all the same;
// only reading tells. All others are refusals: nothing has happened.
var (
	// ErrUnavailable: the store did not answer, or has no quorum. Trying again may help.
	ErrUnavailable = errors.New("coordination store is unavailable")
	// ErrRefused: the store answers, and does not do it until somebody mends what is wrong with it: it is full, or the user
	// may not. Nothing has happened.
	ErrRefused = errors.New("coordination store refuses")
	// ErrCompacted: the revision asked for is no longer kept. Read the present state and go on from its revision.
	ErrCompacted = errors.New("revision has been compacted")
	// ErrFutureRev: the revision asked for does not exist yet.
	ErrFutureRev = errors.New("revision is in the future")
	// ErrLeaseNotFound: the lease was never granted, has been revoked or has expired. It never comes back.
	ErrLeaseNotFound = errors.New("lease not found")
	// ErrTooManyOps: a transaction has more than MaxOps compares, or operations in a branch.
	ErrTooManyOps = errors.New("too many operations in a transaction")
	// ErrDuplicateKey: a branch of a transaction puts a key twice, or both puts and deletes it.
	ErrDuplicateKey = errors.New("duplicate key in a transaction")
	// ErrInvalid: an argument makes no sense, such as an empty key.
	ErrInvalid = errors.New("invalid argument")
	// ErrRestored: the store is not the one it was. It has gone back in time, as after a restore from a snapshot, or
	// another one answers in its place. What was read from it before means nothing any more, leases and the revisions
	// of keys included. It is seen by a Get, Range or Txn, or by a watch as it begins; from then on the same
	// coord.Store answers nothing else. The refused call itself may have happened.
	ErrRestored = errors.New("coordination store was restored or replaced")
)

// KV is a key with its value and history. The zero KV, and any other whose ModRev is 0, is a key that does not exist.
type KV struct {
	Key       string
	Value     []byte
	CreateRev int64   // revision of the put that brought the key into being
	ModRev    int64   // revision of the last put
	Version   int64   // number of puts since CreateRev, that one included
	Lease     LeaseID // lease of the last put, or NoLease
}

// Exists says whether the key exists.
func (kv KV) Exists() bool { return kv.ModRev != 0 }

// RangeOptions narrow a Range. The zero value asks for all keys as they are now.
type RangeOptions struct {
	Limit    int    // at most so many keys; 0: all
	Rev      int64  // as of this revision; 0: the newest
	StartKey string // no key before this one; empty: from the first
}

// Page is the answer to a Range.
type Page struct {
	KVs  []KV  // in the order of their keys
	Rev  int64 // the revision of this state: RangeOptions.Rev, or the store's if that was 0
	More bool  // the limit has cut the answer: ask again with Rev, and StartKey = the last key + "\x00"
}

// Reader reads linearizably: a read sees every write that ended before the read began.
type Reader interface {
	// Get is a key as it is now, and the store's revision. A key that is not there is no error: see KV.Exists.
	Get(ctx context.Context, key string) (kv KV, rev int64, err error)

	// Range is the keys that begin with prefix, all keys if it is empty. It may fail with ErrCompacted and
	// ErrFutureRev if a revision is asked for, and with ErrInvalid for a negative option.
	Range(ctx context.Context, prefix string, opts RangeOptions) (Page, error)
}

// Transactor changes the store.
type Transactor interface {
	// Txn makes all compares and then carries out one branch, at one moment. It is refused as Txn.Validate says, and
	// with ErrLeaseNotFound if the branch that is taken puts a key with a lease that is not alive.
	Txn(ctx context.Context, txn Txn) (TxnResult, error)
}

// LeaseID names a lease. It is unique for the life of the store.
type LeaseID int64

// NoLease is the LeaseID of a key without one.
const NoLease LeaseID = 0

// Lease is a granted lease.
type Lease struct {
	ID  LeaseID
	TTL time.Duration // what was granted: whole seconds, never less than asked for, and often more
}

// Leases grants leases and keeps them alive. A lease whose TTL has passed since it was last granted or renewed expires:
// soon after, not before, its keys are deleted at one revision of their own.
type Leases interface {
	// Grant makes a lease of at least ttl and at least what the store thinks is the minimum.
	Grant(ctx context.Context, ttl time.Duration) (Lease, error)

	// KeepAliveOnce gives the lease its whole TTL again, counted from some moment during the call, and returns that
	// TTL. A lease that has expired is ErrLeaseNotFound.
	KeepAliveOnce(ctx context.Context, lease LeaseID) (ttl time.Duration, err error)

	// Revoke ends the lease and deletes its keys at one revision. One that is not alive is ErrLeaseNotFound.
	Revoke(ctx context.Context, lease LeaseID) error
}

// Event is a change of a key.
type Event struct {
	Deleted bool
	KV      KV // after the change; of a deletion only Key and ModRev, the revision of the deletion, are set
}

// Batch is a piece of a watch.
type Batch struct {
	// Rev: all events up to and including this revision have been told. A watch that breaks is resumed at Rev+1.
	Rev int64
	// Events are those of one or more whole revisions, in their order. None: nothing has happened up to Rev.
	Events []Event
	// Err, if set, is why the watch is over; the other fields are not set, and no batch follows.
	Err error
}

// Watcher tells changes as they happen.
type Watcher interface {
	// Watch sends every change of the keys that begin with prefix (all keys if it is empty), from revision fromRev on,
	// which may lie in the future. Each watch is told every change once, in the order of revisions. A slow receiver
	// holds up nobody else; it may lose its watch.
	//
	// The channel is closed when the watch is over: because ctx ended, or after a last Batch whose Err is ErrCompacted
	// (changes from fromRev on are lost: read anew), ErrUnavailable (the link broke: resume), ErrRefused, ErrRestored or ErrInvalid
	// (fromRev < 1). A channel that is closed without either means the same as ErrUnavailable. Who no longer receives must end
	// ctx.
	Watch(ctx context.Context, prefix string, fromRev int64) <-chan Batch
}

// Compactor forgets history.
type Compactor interface {
	// Compact forgets what was before rev: reads and watches from before it are ErrCompacted from now on. The keys as
	// they were at rev, and all that came later, stay. A rev that was compacted before is ErrCompacted, one beyond the
	// store's is ErrFutureRev.
	Compact(ctx context.Context, rev int64) error
}

// Store is a coordination store.
type Store interface {
	Reader
	Transactor
	Leases
	Watcher
	Compactor
}
