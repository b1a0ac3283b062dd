// Package storage is the seam to the object store: what is durable, and the fence that protects it from nodes that no
// longer own what they write.
//
// A shard's new owner takes its fence first and reads afterwards. Every commit names the fence it was made under and
// compares it inside its own transaction, so once [Fences.Fence] has returned, nothing that an earlier owner does, and
// nothing that the same owner began under an earlier fence, can change what will be read. That is the guarantee;
// leases and clocks only make its use rare.
//
// What a turn changed is one [Batch]: object states, the outcomes of keyed calls, outgoing sends, reminders. It is
// committed as a whole or not at all, and when Commit has returned nil it survives whatever the store promises to
// survive. Implementations are safe for concurrent use and share no memory with their callers; package storagetest is
// the suite that each has to pass. This package starts no goroutine.
package storage

import (
	"context"
	"errors"
	"io"
	"time"
)

// The errors of a store. They are wrapped: use errors.Is. After any error but ErrUnknown nothing has been committed;
// that includes the error of an ended context.
var (
	// ErrFenced: the shard has a newer fence than the one given. Who still owns the shard knows that fence; who does
	// not has lost it.
	ErrFenced = errors.New("shard is fenced by a newer owner")
	// ErrConflict: something was not as the batch expected it, such as an object's version.
	ErrConflict = errors.New("stored state is not what was expected")
	// ErrUnknown: the commit has happened, or has not, or is going to. Taking the fence again and then reading tells
	// for good.
	ErrUnknown = errors.New("outcome of the commit is unknown")
	// ErrUnavailable: the store could not be asked. Trying again may help.
	ErrUnavailable = errors.New("store is unavailable")
	// ErrInvalid: an argument makes no sense, whatever is stored.
	ErrInvalid = errors.New("invalid argument")
)

// Fence is the right to write a shard. Each one that the store hands out for a shard voids all those before it.
type Fence struct {
	Shard uint32
	Epoch uint64 // of the ownership
	Gen   uint64 // grows with each fence of the same epoch
}

// Fences hands out fences.
type Fences interface {
	// Fence makes the fence of an ownership: for an epoch greater than the shard's last one, or again, with a greater
	// Gen, for that last epoch itself. An epoch that is smaller is ErrFenced. Epochs begin at 1 and end at
	// math.MaxInt64, others are ErrInvalid. A call that fails otherwise may yet have voided the fences before it.
	Fence(ctx context.Context, shard uint32, epoch uint64) (Fence, error)

	// MaxEpoch is the greatest epoch of any shard, 0 if there is none. Epochs that are given out must be greater, also
	// when what counted them was restored from a backup.
	MaxEpoch(ctx context.Context) (uint64, error)

	// Fenced says whether fences do what this package promises, with every process that can write to the store. Where
	// it is false they only protect within one process.
	Fenced() bool
}

// Reader reads what has been committed. A read that begins after a commit has returned nil sees it.
type Reader interface {
	// Load is an object as it is stored. One that is not has version 0; that is no error.
	Load(ctx context.Context, id string) (Object, error)

	// Outcome is the outcome of a keyed call; found is false if none is kept.
	Outcome(ctx context.Context, id, key string) (outcome Outcome, found bool, err error)

	// DueReminders is at most limit reminders of the shards whose Due is not after until, ordered by Due, then ID,
	// then Name. It goes on naming a reminder until that is changed or removed.
	DueReminders(ctx context.Context, shards []uint32, until time.Time, limit int) ([]Reminder, error)

	// PendingSends is at most limit sends of the shards that come after the one named, in the order of their SendIDs,
	// which within a shard is the order of commits. The zero SendID comes before all.
	PendingSends(ctx context.Context, shards []uint32, after SendID, limit int) ([]Send, error)
}

// Writer writes.
type Writer interface {
	// Commit makes all changes of the batch at one moment, if the fence is the shard's newest and everything is as the
	// batch expects it; else none, and the error is ErrFenced, ErrConflict or ErrUnknown, or another one if the store
	// did not get as far. A fence that is out of date is ErrFenced even if there is a conflict as well. An empty batch
	// only compares the fence.
	//
	// The objects of a batch belong to the fence's shard: the store cannot know, and keeps the shard with each row. It
	// refuses as ErrConflict to write an object under another shard than the one it was first written under.
	Commit(ctx context.Context, fence Fence, batch Batch) error

	// Prune forgets at most limit outcomes that expired at or before now, and says how many. It needs no fence.
	Prune(ctx context.Context, now time.Time, limit int) (int, error)
}

// Store is an object store. Close releases what it holds; other calls after it are ErrUnavailable.
type Store interface {
	Fences
	Reader
	Writer
	io.Closer
}
