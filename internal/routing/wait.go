package routing

import (
	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

const noMember = "the node is no member of the cluster any more"

// wait waits until this node answers for the call's shard, and runs the call then, or says who does.
func (a *arrival) wait(s *spot) *transport.Reply {
	s, reply := a.prepare(s)
	if reply != nil {
		return reply
	}
	defer s.leave()
	if reply := a.line(s); reply != nil {
		return reply
	}
	for {
		reply, p := a.attempt(s)
		if reply != nil {
			return reply
		}
		if p.kind != soon {
			continue
		}
		a.refusals = 0
		select {
		case <-p.gate:
		case <-p.changed:
		case <-a.view.over:
			return a.misrouted(place{}, noMember)
		case <-a.ctx.Done():
			return a.expired()
		}
	}
}

// prepare gives a call that has none a place, and this node what its caller knows of the shard; else it says what
// becomes of it.
func (a *arrival) prepare(s *spot) (*spot, *transport.Reply) {
	for {
		why := "too many calls wait for shards of the node"
		if s != nil {
			err := a.catchUp()
			if err == nil {
				return s, nil
			}
			why = err.Error()
		}
		if reply := a.putOff(s, place{}, why); reply != nil {
			s.leave()
			return nil, reply
		}
		s = a.router.parked.enter(a.call.Shard, a.call.From, false)
	}
}

// line waits until the call is at the head of its line; else it says what becomes of it.
func (a *arrival) line(s *spot) *transport.Reply {
	for {
		fence := a.router.host.fence()
		if !a.call.OneWay && !a.view.table.Valid() { // the head may wait until it is again
			return a.fenced()
		}
		select {
		case <-s.head:
			return nil
		case <-fence:
		case <-a.ctx.Done():
			return a.expired()
		}
	}
}

// attempt brings the call to its reply if that is possible now; else it says where the shard is.
func (a *arrival) attempt(s *spot) (*transport.Reply, place) {
	if !a.view.table.Valid() {
		if a.call.OneWay {
			return a.tryAgain(), place{}
		}
		return a.fenced(), place{}
	}
	p := a.view.find(a.router.cfg.Node, a.call.Shard)
	switch {
	case p.kind == here:
		begun := a.begin(p.epoch)
		s.leave()
		reply := a.run(begun)
		if reply == nil {
			if a.refusals++; a.refusals > 1 { // not only because the gate opened just now
				return a.putOff(s, place{}, "the node is stopping"), p
			}
		}
		return reply, p
	case a.mayPass(p):
		return a.run(a.begin(p.epoch)), p
	case p.kind == nowhere:
		return a.putOff(s, p, "nobody is known to own the shard"), p
	case p.kind == there && a.call.OneWay: // nobody would send it there
		return a.goesOn(s, p.route), p
	case p.kind == there:
		return a.misrouted(p, "another node owns the shard"), p
	}
	return nil, p
}

// catchUp reads the store where the caller knows more of the shard than this node. Whatever it says then is the truth,
// be the caller's epoch from another world.
func (a *arrival) catchUp() error {
	p := a.view.find(a.router.cfg.Node, a.call.Shard)
	if a.call.Epoch <= max(p.epoch, p.route.Epoch) {
		return nil
	}
	_, err := a.view.table.Refresh(a.ctx, a.call.Shard)
	return err
}

// fenced is the reply of a call that does not begin because the node must not answer.
func (a *arrival) fenced() *transport.Reply {
	return a.reply(object.Reply{}, fenced(a.call.Op.String(), a.call.ID, a.call.Method))
}

// expired is the reply of a call whose time was over before it could begin.
func (a *arrival) expired() *transport.Reply {
	err := object.Refuse(endOf(a.ctx), "", a.call.Op.String(), a.call.ID, a.call.Method,
		"the call was not run: it ended while it waited for the object's shard")
	return a.reply(object.Reply{}, err)
}

// misrouted is the reply of a call that is to be tried again, elsewhere if the place says where.
func (a *arrival) misrouted(p place, why string) *transport.Reply {
	err := object.Refuse(object.CodeUnavailable, misrouted, a.call.Op.String(), a.call.ID, a.call.Method, why)
	reply := a.reply(object.Reply{}, err)
	reply.Epoch = p.epoch
	if p.kind == there {
		reply.Epoch, reply.Revision = p.route.Epoch, p.route.Revision
		reply.Owner = &transport.Peer{Cluster: a.router.cfg.Cluster, Address: p.route.Address, Incarnation: p.route.Incarnation}
	}
	return reply
}

// goesOn passes the call on to the shard's owner; nil: it has to be tried again.
func (a *arrival) goesOn(s *spot, to cluster.Route) *transport.Reply {
	c := *a.call
	c.Epoch, c.Revision, c.Hops = to.Epoch, to.Revision, a.call.Hops+1
	if deadline, limited := a.ctx.Deadline(); limited {
		c.Timeout = max(deadline.Sub(a.router.cfg.Clock.Now()), 1)
	}
	if err := a.view.links.to(to).Send(a.ctx, &c); err == nil {
		return a.reply(object.Reply{}, nil)
	}
	s.leave() // others do not wait for it
	return a.tryAgain()
}

// putOff is misrouted for a call that is tried again elsewhere. One that is not lets some time pass, in which it holds up
// nobody; nil, unless its time is over.
func (a *arrival) putOff(s *spot, p place, why string) *transport.Reply {
	if !a.call.OneWay {
		return a.misrouted(p, why)
	}
	s.leave()
	return a.tryAgain()
}

// tryAgain lets some time pass before a call that nobody else will try again is; nil, unless its time is over, or that
// of the node as a member: then what is on its way to it is lost.
func (a *arrival) tryAgain() *transport.Reply {
	switch {
	case a.router.pause(a.ctx, a.view, a.tries):
	case a.ctx.Err() == nil:
		return a.misrouted(place{}, noMember)
	default:
		return a.expired()
	}
	a.tries++
	return nil
}
