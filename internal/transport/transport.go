// Package transport is the seam between nodes: how the call of an object that lives elsewhere gets there and its reply
// comes back, and nothing of what the call means.
//
// A node opens one [Endpoint] and dials a [Link] to every peer it talks to. Many calls share a link. The package
// promises, whatever carries the bytes:
//
//   - Execution is never guessed. An error of [Link.Call], of its halves or of [Link.Send] has an [object.Error] in its chain that
//     answers executed=no only where the call never reached the peer's [Handler] and never will. Once it may have left,
//     a broken link, a cancellation or a deadline is executed=unknown. The transport never sends a call twice.
//   - Order. The calls that one goroutine begins one after the other on one link, to one object, are accepted in that
//     order as long as the link does not break. Nothing is promised between different objects or different callers,
//     and no call waits for the end of another.
//   - Isolation. Both sides may do what they like with their messages once a method has returned: nothing is shared.
//     Strings and bytes cross as they are, valid UTF-8 or not; nil and empty ones are the same.
//   - Identity. A link leads to one incarnation in one cluster. Whoever else answers at the address is refused, and
//     refuses, before any call.
//   - Time crosses as what remains of it, never as a time of day. A link whose peer is silent for too long, as the
//     implementation configures it, is broken, and the next call connects again.
//
// What the seam leaves to its implementations: protocol versions, encryption, roles, the bounds of their queues.
// transport/mem connects the nodes of one process, with faults; package transporttest is the suite that every
// implementation has to pass.
//
// This package starts no goroutine. An implementation's goroutines belong to its endpoints and links, which wait for
// them in Close. All types may be used concurrently.
package transport

import (
	"context"
	"errors"
	"fmt"
)

// Transport lets a process take part in a network.
type Transport interface {
	// Listen makes self reachable at self.Address, and h run the calls that arrive there. Where the address leaves
	// something open, as the port in ":0" does, [Endpoint.Peer] has what was chosen. It fails where self is not valid
	// or the address cannot be had; ctx may end once Listen has returned. The contexts of arriving calls carry ctx's
	// values, but neither its deadline nor its end.
	Listen(ctx context.Context, self Peer, h Handler) (Endpoint, error)
}

// Endpoint is one node's place in the network. It is a listener and the origin of the node's links.
type Endpoint interface {
	// Peer is who this endpoint is to others.
	Peer() Peer

	// Dial returns a new link to a peer. It does no I/O: the link connects with the first call, again with the next
	// call after it broke, and a peer that cannot be reached is the error of these calls. The caller closes the link;
	// Close of the endpoint does it too.
	Dial(to Peer) Link

	// Drain refuses new calls with [ErrDraining], and tells the peers, so that their links refuse them as well, sends
	// included. It waits until the calls that were accepted have ended and their replies have reached the callers or
	// cannot any more. Links from here go on working. It returns ctx's cause if ctx ends first; what runs goes on then,
	// and Drain may be called again. There is no way back from it but Close.
	Drain(ctx context.Context) error

	// Close ends all at once, as the end of the process would: the address is free, links in both directions break,
	// the contexts of running calls end with the cause [ErrClosed]. Then it waits for the handler's functions to
	// return and for all goroutines; if ctx ends first it returns ctx's cause, and may be called again to wait on.
	Close(ctx context.Context) error
}

// Link is a way to one peer, for any number of calls at a time.
type Link interface {
	// Call has the peer run c and returns its reply, whose Err is set if that is an error of the callee. An error of
	// Call itself means that there is no reply; see the package about what it says. Call returns when ctx ends, and
	// lets the peer know, so that the call's context there ends too. c.Deadline ends it in the same way, as
	// context.DeadlineExceeded.
	//
	// Where ctx is a Source of package util/ends, as those of turns and of calls that have arrived are, an implementation may
	// follow it instead of asking for its Done, which costs those contexts far more.
	//
	// c is neither modified nor used after the return. Call waits for room in the queue of a busy link, while ctx lasts.
	Call(ctx context.Context, c *Call) (*Reply, error)

	// Start is the first half of Call, for who wants to wait elsewhere than where it has made the call: it returns as soon
	// as c is on its way, with what to wait for. An error means that c was not sent. c is neither modified nor used after
	// the return.
	Start(ctx context.Context, c *Call) (Flight, error)

	// Send is Call without a reply. It returns as soon as c is on its way over an established connection; if the link
	// breaks then, c may be lost without a word. ctx bounds only Send itself: on the peer the call ends with c.Timeout
	// or the peer's endpoint, not with ctx or the link.
	Send(ctx context.Context, c *Call) error

	// Flush waits until what was sent has arrived at the peer, or cannot any more. It returns ctx's cause if ctx ends
	// first.
	Flush(ctx context.Context) error

	// Close breaks the link: calls under way end with [ErrClosed] and executed=unknown, later ones with executed=no.
	// It waits for the link's goroutines. It may be called again.
	Close()
}

// Flight is a call that was started on a link, and the other half of [Link.Call]. It belongs to who has started the call,
// for one goroutine at a time. Thousands of calls may be under way, and nothing of one is near the processor when its
// reply has come: who waits on a short stack, and looks at little afterwards, goes on sooner.
type Flight interface {
	// Wait returns what Call would; its error does not name the call. It must be called once, with the context that the
	// call was started with.
	Wait(ctx context.Context) (*Reply, error)

	// Land gives back the memory of the flight and of the reply that Wait has returned, whose strings stay as they are;
	// its body does not. It may be called once, as the last thing; who keeps the reply does not. An error of Wait has
	// given them back already.
	Land()
}

// Handler runs the calls that arrive at an endpoint; the node side implements it.
type Handler interface {
	// AcceptCall gives a call its place at its object, and returns the function that runs it to its reply. It is what
	// keeps order: for one link and object it is called for one call after the other, on the goroutine that receives,
	// so it must not block and not take long. Run functions are called once each, on goroutines of their own; of calls
	// that came by Send the reply is dropped. A link that breaks ends the context, but run is called all the same.
	//
	// ctx ends when the caller has left, the link is broken, the call's time is over, or the endpoint is closed, and in
	// any case after run has returned. The function should return soon then.
	//
	// The call is the handler's to keep or change, unless the reply has a Spent: then the transport calls that when ctx
	// has ended, and may use the memory of the call again. The reply must not change until ctx has ended; it is not
	// modified, and nothing of it is kept afterwards. A panic in either function, and a nil function or reply, is the error
	// CodeInternal with executed=unknown.
	AcceptCall(ctx context.Context, c *Call) (run func() *Reply)
}

// HandlerFunc is a [Handler] for calls whose order does not matter: the function is what runs.
type HandlerFunc func(ctx context.Context, c *Call) *Reply

// AcceptCall implements [Handler].
func (f HandlerFunc) AcceptCall(ctx context.Context, c *Call) func() *Reply {
	return func() *Reply { return f(ctx, c) }
}

// Peer names one start of one node. Peers are equal if all fields are.
type Peer struct {
	Cluster     string // the cluster's identity: nodes of different ones never talk
	Address     string // where the node is reached, "host:port"
	Incarnation string // unique for each start of a process; a dead one never returns
}

// Validate says which field is missing; nil for none.
func (p Peer) Validate() error {
	switch "" {
	case p.Cluster:
		return errors.New("the peer has no cluster")
	case p.Address:
		return errors.New("the peer has no address")
	case p.Incarnation:
		return errors.New("the peer has no incarnation")
	}
	return nil
}

// String is "incarnation at address", for logs and errors.
func (p Peer) String() string { return fmt.Sprintf("%s at %s", p.Incarnation, p.Address) }

// Admit says whether a connection may be made: from says who it is and to whom it wants, self is who answers. Its
// error, for both sides, is an [ErrWrongPeer]. Addresses are not compared: a node may have several.
func Admit(self, from, to Peer) error {
	switch {
	case from.Cluster != self.Cluster || to.Cluster != self.Cluster:
		return fmt.Errorf("%w: cluster %q was called from %q for %q", ErrWrongPeer, self.Cluster, from.Cluster, to.Cluster)
	case to.Incarnation != self.Incarnation:
		return fmt.Errorf("%w: %s has replaced %s", ErrWrongPeer, self.Incarnation, to.Incarnation)
	}
	return nil
}
