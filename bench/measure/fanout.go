package measure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/bench/peer"
)

// FanOut is one repetition of saying something to many members, again when all of them have heard it.
type FanOut struct {
	Peer    string
	Members int
	Payload int
	// Said is how often something was said, and Heard how many members heard it, altogether.
	Said, Heard int64
	Wall        time.Duration
	Usage       Usage // of all processes
	// P50, P99, P999 and Max are times from when a message was said until a member had it.
	P50, P99, P999, Max time.Duration
}

// roundTimeout bounds how long a message may be on its way to all members.
const roundTimeout = 30 * time.Second

// Ear counts what the members of a gathering hear. Its methods but Heard are used by one goroutine.
type Ear struct {
	now func() time.Time

	mu      sync.Mutex // guards the fields below
	since   time.Time  // what was said before is not of this round
	missing int
	done    chan struct{} // closed when nothing is missing
	times   Histogram
	extra   int // heard twice, or when nothing was missing
}

// NewEar returns an ear that reads the clock with now.
func NewEar(now func() time.Time) *Ear { return &Ear{now: now} }

// Heard counts one member.
func (e *Ear) Heard(said time.Time) {
	took := e.now().Sub(said)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.missing == 0 || said.Before(e.since) {
		e.extra++
		return
	}
	e.times.Add(took)
	if e.missing--; e.missing == 0 {
		close(e.done)
	}
}

// expect prepares for a message to so many members.
func (e *Ear) expect(members int) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.since, e.missing, e.done = e.now().Round(0), members, make(chan struct{})
	return e.done
}

// unheard is how many have not heard the latest message.
func (e *Ear) unheard() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.missing
}

// reset forgets times, and returns them with how often somebody heard what nobody had said.
func (e *Ear) reset() (Histogram, int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	times, extra := e.times, e.extra
	e.times, e.extra = Histogram{}, 0
	return times, extra
}

// FanOut says something to all members for d, and waits each time until all have heard it. The error is that it could
// not be said, that some member did not hear it in time, or that one heard it twice.
func (b Bench) FanOut(ctx context.Context, s peer.Shouter, ear *Ear, members, payload int, d time.Duration) (FanOut, error) {
	ear.reset()
	out := FanOut{Members: members, Payload: payload}
	before, from := ReadUsage(), b.Now()
	for first := true; first || b.Now().Sub(from) < d; first = false {
		if err := round(ctx, s, ear, members, payload); err != nil {
			return out, err
		}
		out.Said++
		out.Heard += int64(members)
	}
	out.Wall, out.Usage = b.Now().Sub(from), ReadUsage().Minus(before)
	times, extra := ear.reset()
	out.P50, out.P99, out.P999, out.Max = times.Quantile(0.5), times.Quantile(0.99), times.Quantile(0.999), times.Max()
	if extra > 0 {
		return out, fmt.Errorf("members heard %d messages too many", extra)
	}
	return out, nil
}

func round(ctx context.Context, s peer.Shouter, ear *Ear, members, payload int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, roundTimeout, errors.New("not all members have heard it"))
	defer cancel()
	heard := ear.expect(members)
	if err := s.Shout(ctx, payload); err != nil {
		return fmt.Errorf("say something: %w", err)
	}
	select {
	case <-heard:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("say something: %w: %d of %d", context.Cause(ctx), members-ear.unheard(), members)
	}
}
