// Package lifecycle starts the parts of a process in order and stops them in reverse.
//
// A part is a [Service]: a function that runs until its context ends. A service is started when the one before it has
// said that it is ready, and told to stop when the one after it is gone, so each may count on those before it as long
// as it lives. The first error wins, is wrapped with its service's name, and stops the others; a panic is an error.
//
// Each service runs on one goroutine, and one more goroutine per [Group] starts, watches and stops them. The group
// owns all of them: Stop waits for them, and Done tells when the last has ended.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
)

// ErrStop is the cancellation cause of a service's context when the service is stopped in the normal course. When it
// is stopped because another one failed, the cause is that failure.
var ErrStop = errors.New("stopped")

// ErrReturned is the error of a service that returned nil before it was told to stop.
var ErrReturned = errors.New("returned without being stopped")

// ErrExited is the error of a service that ended its goroutine (runtime.Goexit) instead of returning.
var ErrExited = errors.New("exited its goroutine")

// ErrNotStartable is the error of Start on a group that was started or stopped before.
var ErrNotStartable = errors.New("group was started or stopped before")

// PanicError is the error of a service that panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // of the panicking goroutine, as debug.Stack prints it
}

// Error says what the panic said, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap is the panic's value if that is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Service is one part of a process.
type Service struct {
	// Name says which part, in errors and events.
	Name string

	// Run does the service's work until ctx ends, and returns when all of it, goroutines included, is over. It calls
	// ready once others may count on it; further calls do nothing. Returning nil before ctx has ended is the error
	// [ErrReturned]. After ctx has ended, nil, context.Canceled and ctx's cause all count as a clean stop.
	//
	// ctx carries the values of the context that started the group, but neither its deadline nor its cancellation.
	Run func(ctx context.Context, ready func()) error
}

// Phase is a step in the life of a service.
type Phase int

// The phases of a service, in their order. A service that fails goes from any of them to Stopped.
const (
	Starting Phase = iota + 1 // Run is about to be called
	Ready                     // Run has called ready
	Stopping                  // Run's context is about to be cancelled
	Stopped                   // Run has returned
)

// String is the phase's name in lower case.
func (p Phase) String() string {
	switch p {
	case Starting:
		return "starting"
	case Ready:
		return "ready"
	case Stopping:
		return "stopping"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("Phase(%d)", int(p))
}

// Event is a service entering a phase.
type Event struct {
	Service string
	Phase   Phase
	Err     error // why it Stopped, wrapped with the service's name; nil after a clean stop
}

// Run starts services in order, waits until ctx ends or a service fails, and stops them in reverse order. It returns
// when all of them have returned: nil after a clean stop, a stop during the start included, else the first error.
func Run(ctx context.Context, services ...Service) error {
	g := New(nil, services...)
	if err := g.Start(ctx); err == nil {
		select {
		case <-ctx.Done():
		case <-g.Done():
		}
	}
	return g.Stop(context.WithoutCancel(ctx)) // knows of a failed start, and waits without a deadline
}
