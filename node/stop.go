package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/object"
)

const stopMessage = "the server is stopping"

// errStopped is the cause of turns that were cut off because they did not end
// within the time a stop allows.
var errStopped = errors.New(stopMessage)

// killGrace is how long cut-off turns may take to notice.
const killGrace = 500 * time.Millisecond

func stopping(op, id, method string) *object.Error {
	return object.Refuse(object.CodeUnavailable, "", op, id, method, stopMessage)
}

// Stop ends all objects: new calls from outside are refused, calls that have begun
// finish, with the calls they make, then every object is deactivated. When ctx ends
// first, the contexts of the turns that still run are cancelled; those that do not
// return within another half second are named in the error. Stop may be called
// again.
func (n *Node) Stop(ctx context.Context) error {
	n.closed.Or(closedByStop)
	for {
		ended, err := n.endAll(ctx)
		if err != nil {
			return n.cutOff()
		}
		if ended {
			return nil
		}
	}
}

// Settle waits until the one-way calls that the node has accepted have been run or sent,
// and whatever else it has begun on its own account is over, or was at some moment; else it
// returns the cause of ctx's end. It is of use where nothing new begins.
func (n *Node) Settle(ctx context.Context) error { return n.tasks.Wait(ctx) }

// endAll ends all objects, each when its turn to do so comes, and gives up all shards
// if no object has come up meanwhile. When ctx ends it leaves those that are busy.
func (n *Node) endAll(ctx context.Context) (ended bool, err error) {
	for s := range n.sets {
		for _, a := range s.snapshot() {
			if !n.endWhenFree(ctx, a) {
				return false, ctx.Err()
			}
		}
	}
	if err := n.tasks.Wait(ctx); err != nil {
		return false, err
	}
	return n.closeShards(), nil
}

// endWhenFree ends an activation at once where it is idle, else on a goroutine that
// waits for it. Only so many hooks of idle objects run at a time; the busy ones, which
// wait first, are not counted, so that no hook waits for one that may not begin. It is
// false where ctx ended first.
func (n *Node) endWhenFree(ctx context.Context, a *activation) bool {
	why := ending{reason: object.ReasonStopping, disconnect: object.DisconnectStopping}
	release := func() {}
	if a.typ.Hooks.Deactivate || a.typ.Hooks.Disconnect {
		if !n.takeHookSlot(ctx) {
			return false
		}
		release = func() { <-n.hooks }
	}
	t := &turn{parent: ctx, act: a, entry: entry(stop), mode: alone, flags: inner}
	w, ok, err := n.enter(t, a)
	switch {
	case err != nil || !ok: // it has ended meanwhile
		release()
	case w != nil:
		release()
		n.run(func() {
			if _, err := n.wait(t, w); err == nil {
				n.end(t.act, nil, why)
			}
		})
	case a.typ.Hooks.Deactivate || a.typ.Hooks.Disconnect:
		n.run(func() {
			defer release()
			n.end(t.act, nil, why)
		})
	default:
		n.end(t.act, nil, why)
	}
	return true
}

// closeShards gives all shards up if nothing is left in them.
func (n *Node) closeShards() bool {
	if n.Activations() > 0 {
		return false // what still runs may call objects of any shard
	}
	empty := true
	for s := range n.sets {
		s.mu.Lock()
		if s.first == nil {
			s.own(0)
			s.turnGate(shut)
		} else {
			empty = false
		}
		s.mu.Unlock()
	}
	return empty
}

// refuseWaiters refuses all calls that wait, once no more can begin to.
func (n *Node) refuseWaiters() {
	for s := range n.sets {
		for _, a := range s.snapshot() {
			a.lock()
			a.refuse(&object.Error{Code: object.CodeUnavailable, Message: stopMessage}, true)
			a.unlock()
		}
	}
}

// refuseCalls refuses the calls that wait for the activation, but not its ends.
func (a *activation) refuseCalls(err error) { a.refuse(err, false) }

// refuse refuses the turns that wait for the activation.
func (a *activation) refuse(err error, ends bool) {
	if a.queue == nil {
		return
	}
	for c := range a.queue.batch.waiting {
		if c.withdraw() {
			c.w.grant(err)
		}
	}
	for w := a.queue.head; w != nil; {
		following := w.next
		if ends || w.mode != alone {
			a.queue.remove(w)
			w.grant(err)
		}
		w = following
	}
}

// cutOff cancels all turns and waits a little for them to notice.
func (n *Node) cutOff() error {
	n.kill(errStopped)
	n.refuseWaiters()
	grace, cancel := context.WithCancel(context.WithoutCancel(n.killed))
	defer cancel()
	alarm := n.cfg.Clock.AfterFunc(killGrace, cancel)
	defer alarm.Stop()
	for {
		ended, err := n.endAll(grace)
		if ended {
			return nil
		}
		if err != nil {
			break
		}
	}
	if n.closeShards() {
		return nil
	}
	return fmt.Errorf("stop: %d objects still run turns that ignore their context, among them %s: %w",
		n.Activations(), strings.Join(n.some(10), ", "), object.ErrDeadlineExceeded)
}

// some returns the IDs of a few objects in memory.
func (n *Node) some(most int) (ids []string) {
	for s := range n.sets {
		for _, a := range s.snapshot() {
			if len(ids) == most {
				return ids
			}
			ids = append(ids, a.id)
		}
	}
	return ids
}
