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
	n.draining.Store(true)
	for {
		n.endAll()
		if err := n.tasks.wait(ctx); err != nil {
			return n.cutOff()
		}
		if n.closeShards() {
			return nil
		}
	}
}

// endAll lets every object end when its turn to do so comes.
func (n *Node) endAll() {
	why := ending{reason: object.ReasonStopping, disconnect: object.DisconnectStopping}
	for i := range n.shards {
		for _, a := range n.shards[i].snapshot() {
			t := &turn{parent: n.killed, node: n, id: a.id, hook: stop, mode: alone, flags: flags{inner: true}}
			w, ok, err := n.enter(t, a)
			if err != nil || !ok {
				continue // it has ended meanwhile
			}
			if w == nil && !a.typ.Hooks.Deactivate && !a.typ.Hooks.Disconnect {
				n.end(a, nil, why)
				continue
			}
			n.tasks.run(func() {
				if w != nil {
					if _, err := n.wait(t, w); err != nil {
						return
					}
				}
				n.endWithHook(t.act, why)
			})
		}
	}
}

// closeShards gives all shards up if nothing is left in them.
func (n *Node) closeShards() bool {
	empty := true
	for i := range n.shards {
		s := &n.shards[i]
		s.mu.Lock()
		if len(s.live) == 0 {
			s.word.Store(0)
		} else {
			empty = false
		}
		s.mu.Unlock()
	}
	return empty
}

// refuseWaiters refuses all calls that wait, once no more can begin to.
func (n *Node) refuseWaiters() {
	for i := range n.shards {
		for _, a := range n.shards[i].snapshot() {
			a.lock()
			for w := a.queue.head; w != nil; w = a.queue.head {
				a.queue.remove(w)
				w.grant(object.Refuse(object.CodeUnavailable, "", "", "", "", stopMessage))
			}
			a.unlock()
		}
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
	n.endAll()
	_ = n.tasks.wait(grace)
	if n.closeShards() {
		return nil
	}
	var names []string
	for i := range n.shards {
		for _, a := range n.shards[i].snapshot() {
			if names = append(names, a.id); len(names) == 10 {
				break
			}
		}
	}
	return fmt.Errorf("stop: %d objects still run turns that ignore their context, among them %s: %w",
		n.Activations(), strings.Join(names, ", "), object.ErrDeadlineExceeded)
}
