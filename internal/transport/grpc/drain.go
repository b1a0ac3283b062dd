package grpc

import (
	"context"
	"slices"
	"time"
)

// farewell is how long Drain waits for a peer from which nothing comes to have learned of it. It is well below the 5 s
// that a stop may take, and above the pauses of a machine with too much to do.
const farewell = 2 * time.Second

// Drain implements transport.Endpoint.
func (e *endpoint) Drain(ctx context.Context) error {
	e.take(takesOneWay)
	callees := e.accepted()
	if err := sayGoodbye(ctx, callees, e.transport.farewell); err != nil {
		return err
	}
	e.take(takesNone)
	if err := e.calls.Wait(ctx); err != nil {
		return err
	}
	for _, c := range callees {
		if err := c.awaitAnswers(ctx); err != nil {
			return err
		}
	}
	return nil
}

// leaving is a caller that is told to make no more calls.
type leaving struct {
	callee *callee
	number uint64 // of the ping after the goodbye
	taken  uint64 // of the callee, a while ago
}

// sayGoodbye tells callers that no more calls are wanted. It waits until they have learned it, and all that they sent
// before has arrived, but not for those from whom nothing comes for the time of patience. It returns the cause of ctx's
// end.
func sayGoodbye(ctx context.Context, callees []*callee, patience time.Duration) error {
	var all []leaving
	for _, c := range callees {
		c.sendGoodbye()
		all = append(all, leaving{c, c.sendPing(), c.taken.Load()})
	}
	for len(all) > 0 {
		patient, cancel := context.WithTimeout(ctx, patience)
		all = slices.DeleteFunc(all, func(l leaving) bool { return l.callee.awaitPong(patient, l.number) == nil })
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		all = slices.DeleteFunc(all, func(l leaving) bool { return !l.callee.busy.Load() && l.callee.taken.Load() == l.taken })
		for i := range all {
			all[i].taken = all[i].callee.taken.Load()
		}
	}
	return nil
}

// awaitAnswers waits until all answers have arrived, or cannot any more. It returns the cause of ctx's end.
func (c *callee) awaitAnswers(ctx context.Context) error {
	c.mu.Lock()
	owed := c.owed > c.acked
	c.mu.Unlock()
	if !owed {
		return nil
	}
	return c.awaitPong(ctx, c.sendPing())
}
