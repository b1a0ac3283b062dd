package storage

import (
	"cmp"
	"time"
)

// Object is the durable state of an object.
type Object struct {
	ID      string
	Shard   uint32 // that it was first written under
	Version int64  // 1 when it is created, one more with each write; 0: it is not stored
	State   []byte // encoded by who wrote it; the store does not look inside
}

// Outcome is the record of a keyed call: what makes a retry with the same key harmless.
type Outcome struct {
	ID     string // of the object that was called
	Key    string // of the call, unique for the object
	Digest []byte // of the request, to tell the same key with another body
	// Done: the call is over, and Reply says how. Otherwise it had begun, and was to run at most once.
	Done    bool
	Reply   []byte    // reply or error, encoded by who wrote it
	Expires time.Time // when it may be forgotten, truncated to the microsecond; zero: only with its object
}

// SendID names a send. SendIDs are never used twice, since each owner of a shard numbers within its own epoch.
type SendID struct {
	Shard uint32
	Epoch uint64
	Seq   uint64 // at most math.MaxInt64
}

// Compare orders SendIDs by shard, epoch and number.
func (id SendID) Compare(other SendID) int {
	return cmp.Or(cmp.Compare(id.Shard, other.Shard), cmp.Compare(id.Epoch, other.Epoch), cmp.Compare(id.Seq, other.Seq))
}

// Send is a message that a turn has sent and that has not been acknowledged yet.
type Send struct {
	SendID

	Source  string // ID of the object that sent it
	Target  string // ID of the object it is for
	Message []byte // method, request, key and so on, encoded by who wrote it
}

// Reminder is a durable timer.
type Reminder struct {
	ID      string        // of the object
	Name    string        // unique for the object
	Due     time.Time     // next, truncated to the microsecond
	Period  time.Duration // after Due, truncated to the microsecond; 0: once
	Method  string
	Request []byte // encoded by who wrote it
}
