package node

import "context"

// Pushed notes that a message is on its way to a client, pushed by the turn that ctx belongs to or
// from outside. While nobody observes it costs one look.
func (n *Node) Pushed(ctx context.Context, client string) {
	if l := n.lens.Load(); l != nil {
		l.pushed(ctx, client)
	}
}

func (l *lens) pushed(ctx context.Context, client string) {
	way := pair{to: client, push: true}
	if t := l.node.callerTurn(ctx); t != nil {
		way.from = t.id()
	}
	weight, near := l.general.draws(), uint64(0)
	if ids := l.focus.Load(); ids != nil {
		for _, id := range *ids {
			if id == way.from || id == way.to {
				near = l.near.draws()
				break
			}
		}
	}
	if weight|near == 0 {
		return
	}
	now := l.node.elapsed()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.picked(weight, near, now)
	for o := range l.observations {
		o.connects(way, flowFor(weight, 0, nil), flowFor(near, 0, nil))
	}
}
