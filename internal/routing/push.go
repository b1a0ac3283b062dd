package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/object"
)

// opGone tells another node that a client is gone to which it has pushed.
const opGone transport.Op = 101

// typeURL precedes the name of a message's type in an Any.
const typeURL = "type.googleapis.com/"

// Push implements [object.Runtime]. It waits for nothing. A message for a client of this node is queued for the client. One
// for a client of another node is encoded and queued for that node: what becomes of it there the pusher does not hear. It
// arrives once or not at all, in order with all that is pushed from this node to that client, and before calls of the
// client object that are made afterwards. It is lost with the link or the node, if there is no connection for a second, if
// the other node has no lease, or if the client is gone or is being disconnected because it does not read; lost ones
// are counted, see [Router.LostPushes].
//
// The error, after which nothing is sent, is NotFound where no living member of the cluster, or only this node, could have
// the client, or its node has said that it is gone; ResourceExhausted (Overloaded) where too much waits for that node.
func (r *Router) Push(ctx context.Context, clientID string, msg proto.Message) error {
	if _, _, err := object.ParseID(clientID); err != nil {
		return err
	}
	typ := r.typeOf(clientID)
	switch {
	case typ == nil:
		return object.Refuse(object.CodeNotFound, object.NotRegistered, "push", clientID, "", "its type is not registered")
	case !typ.Client:
		return object.Refuse(object.CodeInvalidArgument, "", "push", clientID, "", "type "+typ.Name+" is not a client type")
	case msg == nil || !msg.ProtoReflect().IsValid():
		return object.Refuse(object.CodeInvalidArgument, "", "push", clientID, "", "the message is nil")
	}
	v := r.view.Load()
	if !r.mayAct(ctx, v) {
		return fenced("push", clientID, "")
	}
	err := r.sendPush(ctx, v, clientID, msg)
	if err == nil {
		r.cfg.Node.Pushed(ctx, clientID)
	}
	return err
}

// sendPush queues a message for a client, here or for the node that it is connected to.
func (r *Router) sendPush(ctx context.Context, v *view, clientID string, msg proto.Message) error {
	home := homeOf(clientID)
	if v.table != nil && home != "" && home != v.self {
		if rt, ok := v.table.Node(home); ok {
			return r.post(ctx, v, rt, clientID, msg)
		}
	}
	err := r.pushHere(ctx, clientID, msg)
	if v.table == nil && home != "" && errors.Is(err, object.ErrNotFound) { // nobody knows who is a member
		text := noMember
		if v.last {
			text = "the server has stopped"
		}
		return object.Refuse(object.CodeUnavailable, "", "push", clientID, "", text)
	}
	return err
}

func (r *Router) pushHere(ctx context.Context, id string, msg proto.Message) error {
	if r.cfg.Clients == nil {
		return clientGone("push", id, "")
	}
	return r.cfg.Clients.Push(ctx, id, msg)
}

// post queues a message for a client of another node.
func (r *Router) post(ctx context.Context, v *view, to cluster.Route, id string, msg proto.Message) error {
	if r.pushes.departed.has(id) {
		return clientGone("push", id, "")
	}
	req, err := encode("push", id, msg)
	if err != nil {
		return err
	}
	if size := anySize(req); size > r.cfg.PushBytes {
		return object.Refuse(object.CodeInvalidArgument, "", "push", id, "",
			fmt.Sprintf("the message takes %d bytes, at most %d are allowed", size, r.cfg.PushBytes))
	}
	l := letter{op: transport.OpPush, id: id, message: req.Message, body: req.Body, posted: r.cfg.Clock.Monotonic()}
	l.traceParent, l.traceState = w3c.Of(ctx)
	return v.links.to(to).post(&l)
}

// anySize is the size of what the client receives.
func anySize(req object.Request) int {
	size := protowire.SizeTag(1) + protowire.SizeBytes(len(typeURL)+len(req.Message))
	if n := len(req.Body); n > 0 {
		size += protowire.SizeTag(2) + protowire.SizeBytes(n)
	}
	return size
}

// taken is the run of what is over when it has been accepted.
func taken() *transport.Reply { return &transport.Reply{} }

// take takes in what another node sends without waiting. It is done at once, so that order is kept: it waits for nothing.
// There is nobody to pass it on to: a client object never moves.
func (r *Router) take(ctx context.Context, c *transport.Call) {
	v := r.view.Load()
	switch {
	case c.Op == opGone:
		if c.Shard == noShard && c.From == homeOf(c.ID) && r.isClient(c.ID) { // who else could know
			r.pushes.departed.add(c.ID)
		}
	case v.table == nil || !v.table.Valid() || c.Shard != noShard || !r.isClient(c.ID):
		r.pushes.refused.Add(1)
	default:
		r.arrived(ctx, v, c)
	}
}

// arrived queues for a client of this node what another one has pushed.
func (r *Router) arrived(ctx context.Context, v *view, c *transport.Call) {
	err := error(clientGone("push", c.ID, ""))
	if r.cfg.Clients != nil {
		err = r.cfg.Clients.PushAny(ctx, c.ID, &anypb.Any{TypeUrl: typeURL + c.Message, Value: c.Body})
	}
	switch {
	case err == nil:
	case errors.Is(err, object.ErrNotFound):
		r.pushes.gone.Add(1)
		if rt, ok := v.table.Node(c.From); ok && homeOf(c.ID) == v.self {
			_ = v.links.to(rt).post(&letter{op: opGone, id: c.ID, posted: r.cfg.Clock.Monotonic()}) // it is told the next time
		}
	default:
		r.pushes.refused.Add(1)
	}
}

// LostPushes are how many messages pushed from one node to a client of another did not reach it although the pusher had no
// error, since the router was made.
type LostPushes struct {
	// OnTheWay could not be sent from this node, or were waiting for it when a link was given up. What is lost within a
	// link that breaks nobody can count.
	OnTheWay uint64
	// Gone came to this node when their client had gone.
	Gone uint64
	// Refused came to this node and were refused: it had no lease, the client did not read, or the message was too large.
	Refused uint64
}

// LostPushes says how many pushes were lost.
func (r *Router) LostPushes() LostPushes { return r.pushes.load() }

// Links is how many other nodes the router keeps a link to, which need not be connected.
func (r *Router) Links() int {
	if v := r.view.Load(); v.links != nil {
		return v.links.count()
	}
	return 0
}

// FlushPushes waits until what has been pushed to clients of other nodes has arrived there, with all that was sent before,
// or cannot any more, or ctx ends.
func (r *Router) FlushPushes(ctx context.Context) {
	if v := r.view.Load(); v.links != nil {
		v.links.flush(ctx)
	}
}

// pushes is what a router knows of those between nodes.
type pushes struct {
	lost, gone, refused atomic.Uint64
	departed            departed

	told LostPushes // by report, which one goroutine calls at a time
}

func (p *pushes) load() LostPushes {
	return LostPushes{OnTheWay: p.lost.Load(), Gone: p.gone.Load(), Refused: p.refused.Load()}
}

// report logs what was lost since the last time. That clients go while somebody pushes to them is nothing special.
func (p *pushes) report(ctx context.Context, log *slog.Logger) {
	now, before := p.load(), p.told
	if now == before {
		return
	}
	p.told = now
	level := slog.LevelWarn
	if now.OnTheWay == before.OnTheWay && now.Refused == before.Refused {
		level = slog.LevelDebug
	}
	log.Log(ctx, level, "pushes between servers were lost", "on_the_way", now.OnTheWay-before.OnTheWay,
		"client_gone", now.Gone-before.Gone, "refused", now.Refused-before.Refused)
}
