package node

import (
	"context"

	"github.com/xiaonanln/goverse/object"
)

// Unanswered notes that a call from this node has ended with an error that no node has told: because
// none could be reached, or none answered in time; or with one that no node counts, as the client whose object
// it calls is gone. A turn that ran all the same counts where it ran,
// as it ended; so such a call may count twice, and its error once.
func (n *Node) Unanswered(ctx context.Context, id, method string, err error) {
	n.failures.add(object.CodeOf(err))
	l := n.lens.Load()
	if l == nil {
		return
	}
	if typ, unknown := n.typeOf("call", id); unknown == nil {
		if m := typ.Method(method); m != nil {
			l.blame(methodKey{typ, entryOf(m)}, &failure{err: err})
		}
	}
	weight := l.failing.draws()
	if weight == 0 {
		return
	}
	way, near := pair{to: id}, false
	if t := n.callerTurn(ctx); t != nil {
		way.from = t.id()
	}
	if ids := l.focus.Load(); ids != nil {
		for _, focused := range *ids {
			near = near || focused == way.from || focused == way.to
		}
	}
	l.broke(way, weight, near)
}
