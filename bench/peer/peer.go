// Package peer says what a system must offer to be benchmarked next to GoVerse.
//
// A [Peer] opens a [Target]: a running system with named counters in it. Every peer does the same work
// ([Counter.Add]) with the same messages (package benchpb), answers with the counter's new value, and is
// checked for it. A new peer is one file that implements these two interfaces, and one line in the list
// that cmd/gvbench builds.
//
// The package owns no goroutine. A Target is used by many callers at once unless its entry in the list says
// that it serves a single one; a Peer is opened once per process.
package peer

import "context"

// Options say what a target must be ready for.
type Options struct {
	// Objects is how many objects there may be: indices run from 0 to Objects-1. None is active after Open.
	Objects int
	// Callers is how many goroutines call at once: indices run from 0 to Callers-1.
	Callers int
	// Transient asks that object names are built for each call and not kept, so that what remains in memory
	// is what the system itself keeps. It is set where memory is measured.
	Transient bool
}

// Peer is a system, or one way to use it.
type Peer interface {
	// Name is what the table calls it.
	Name() string
	// Module is the path of the Go module whose version the table prints; empty for code of the benchmark itself.
	Module() string
	// Open starts the system. The error is ready for a reader; a target that was returned must be closed.
	Open(ctx context.Context, opt Options) (Target, error)
}

// Target is a running system.
type Target interface {
	// Context prepares a context for calls. It is called once per caller, not once per call.
	Context(ctx context.Context) context.Context
	// Call adds one to an object's counter, on behalf of a caller, and returns the counter's new value.
	// The first call of an object activates it.
	Call(ctx context.Context, caller, object int) (int64, error)
	// Close stops the system and waits for it.
	Close(ctx context.Context) error
}

// Holder is a Target that can show in which order it serves the calls that wait for one object.
type Holder interface {
	// Hold occupies object 0 until ctx ends, and returns after that. It is used once per target.
	Hold(ctx context.Context)
}
