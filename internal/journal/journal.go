// Package journal keeps the last events of a node for those who look at it: who came and went, what failed, what an
// operator did. It is a ring in memory, bounded by the number of events and by the length of their texts, and tells who
// waits that there is something new. Nothing in it survives the process: what must, is in the log.
//
// The package starts no goroutine. A [Journal] is safe for concurrent use; who adds to it never waits for who reads.
package journal

import (
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	inspectmsg "github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
	"github.com/xiaonanln/goverse/util/clock"
)

const (
	// Kept is how many events are kept.
	Kept = 1000
	// MaxText is how many bytes of an event's text are kept. Together with Kept and MaxStack it bounds the memory.
	MaxText = 1 << 10
	// MaxStack is how many bytes of its stack are.
	MaxStack = 8 << 10
)

// Journal is the last events. Use [New].
type Journal struct {
	clock clock.Clock

	mu      sync.Mutex
	ring    []*inspectmsg.Event // guarded by mu: event seq is at (seq-1) % Kept
	last    uint64              // guarded by mu: seq of the last event; 0: there was none
	changed chan struct{}       // guarded by mu: closed by the next Add; nil: nobody has asked
}

// New returns an empty journal whose events are timed by a clock.
func New(c clock.Clock) *Journal { return &Journal{clock: c} }

// Add notes an event, which belongs to the journal from now on. Its time is now, unless it says when it was; its seq
// is set. It waits for nobody. A nil event is none.
func (j *Journal) Add(e *inspectmsg.Event) {
	if e == nil {
		return
	}
	if e.GetAtUs() == 0 {
		e.AtUs = j.clock.Now().UnixMicro()
	}
	e.Text, e.Stack = cut(e.GetText(), MaxText), cut(e.GetStack(), MaxStack)
	e.Object, e.Method = cut(e.GetObject(), MaxText), cut(e.GetMethod(), MaxText)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.Seq = j.last
	if len(j.ring) < Kept {
		j.ring = append(j.ring, e)
	} else {
		j.ring[(j.last-1)%Kept] = e
	}
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// Since returns the events after the one of that seq, oldest first, as far as they are kept, and the seq to ask with
// the next time. A seq that was not given out yet, as of a process before this one, is taken for 0. The events are
// copies.
func (j *Journal) Since(seq uint64) (events []*inspectmsg.Event, next uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq > j.last {
		seq = 0
	}
	if oldest := j.last - uint64(len(j.ring)); seq < oldest {
		seq = oldest
	}
	for at := seq + 1; at <= j.last; at++ {
		events = append(events, proto.CloneOf(j.ring[(at-1)%Kept]))
	}
	return events, j.last
}

// Changed is closed at the next Add. Who waits for events asks for it first, then for the events.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return j.changed
}

// cut is valid UTF-8, which is all that protobuf sends, of at most so many bytes.
func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most-len("…")] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
