package transport

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// MaxBytes is the largest [Call.Size] and [Reply.Size] that a transport carries: 16 MiB. A larger call is refused
// (resource exhausted, executed=no); a larger reply becomes that error, with the execution of the reply.
const MaxBytes = 16 << 20

// CallID names a call through all its hops and resends. The caller chooses it; the transport carries it and never
// looks at it. The zero value is none.
type CallID [16]byte

// String is the ID in hexadecimal.
func (id CallID) String() string { return hex.EncodeToString(id[:]) }

// Op is what is asked of an object. A transport carries values it does not know.
type Op uint8

// The operations. What Request.Method and the request's message are differs.
const (
	OpCall   Op = iota // run Method with the message
	OpCreate           // create the object; the message is what OnCreate receives
	OpDelete           // delete the object; no message
	OpPush             // push the message to the client behind a client object
)

// String is the operation's name in errors.
func (o Op) String() string {
	switch o {
	case OpCall:
		return "call"
	case OpCreate:
		return "create"
	case OpDelete:
		return "delete"
	case OpPush:
		return "push"
	}
	return "op_" + strconv.Itoa(int(o))
}

// Call is a call on its way to another node.
type Call struct {
	object.Request

	CallID CallID
	Op     Op

	// From is the incarnation of the node at the other end of the link, proved by the handshake. The receiving
	// transport sets it, whatever the sender put there.
	From string
	// OneWay: nobody waits for the reply. The receiving transport sets it: true if the call came by [Link.Send].
	OneWay bool
	// Resent: the call was sent before, under the same CallID, and may have run. A callee that knows its outcome answers
	// with that.
	Resent bool
	// AtMostOnce: never resend this call where it may have run, nor run it if it may have been run before.
	AtMostOnce bool

	// Deadline ends [Link.Call], if its context does not before, as context.DeadlineExceeded; zero: never. It costs less
	// than a context of its own would. It is not carried, and [Link.Send] ignores it.
	Deadline time.Time

	// Timeout is the time that remains, from arrival on the receiving side; 0: unlimited. What a call has waited on its
	// way beyond what the way takes, as where the receiving process stood still, is off it where the transport can tell.
	// [Link.Call] takes it from its context and Deadline, and ignores the field; [Link.Send] sends what is left of it when
	// the call leaves. There the context of [Handler] ends when it is over. A negative one is over already.
	Timeout time.Duration

	// How the sender came to this node.
	Shard    uint32 // of the object
	Epoch    uint64 // of the shard, as the sender knows it; 0: unknown
	Revision int64  // of the shard's record in the sender's routing table; 0: unknown
	Hops     uint8  // how many nodes have passed the call on

	// Chain is the calls that wait for this one, outermost first; empty if it comes from outside any object. The last
	// one is the caller.
	Chain []Step

	TraceParent string // W3C trace context; empty: none
	TraceState  string

	// Local is the receiving [Handler]'s own, nil in a call that arrives in new memory. It stays where the memory of a call
	// is used again, see [Reply.Spent]: what a handler needs for each call it may find there. It is not carried.
	Local any
}

// Step is one turn of a call chain: it holds its object while it waits for the next step.
type Step struct {
	ID     string // of the object
	Method string
	Turn   CallID // names the turn, so that a chain that comes back finds it; zero: unknown
}

// Reply answers a [Call].
type Reply struct {
	object.Reply // empty if Err is set

	// Err is the failure, nil for success. Of the error all fields and the execution cross; what it wraps does not.
	Err *object.Error

	Epoch    uint64 // of the call's shard as the callee knows it; 0: unknown
	Revision int64  // of the shard's record as the callee knows it; 0: unknown
	// Owner is who owns the shard, from a callee that does not own it but knows; else nil.
	Owner *Peer

	// Spent gives back the memory of a reply of a [Handler], and of the call that it answers. The transport calls it,
	// once, when it needs neither any more: the strings and maps in them stay as they are, the bodies and the chain do not. Nil: nobody
	// wants it back. A handler that returns a reply with a Spent gives up its call. The replies of links have none, see
	// [Flight].
	Spent func()
}

// Size is how many bytes the call's variable parts have. Fixed parts and framing are not counted.
func (c *Call) Size() int {
	n := len(c.ID) + len(c.Method) + len(c.Message) + len(c.Body) + len(c.Key) + len(c.TraceParent) + len(c.TraceState)
	if len(c.Metadata)+len(c.Chain) > 0 {
		n += c.sizeOfLists()
	}
	return n
}

//go:noinline // callers, as many as they are, call Size on stacks of their own
func (c *Call) sizeOfLists() (n int) {
	for k, v := range c.Metadata {
		n += len(k) + len(v)
	}
	for _, s := range c.Chain {
		n += len(s.ID) + len(s.Method)
	}
	return n
}

// Size is how many bytes the reply's variable parts have. Fixed parts and framing are not counted.
func (r *Reply) Size() int {
	n := len(r.Message) + len(r.Body)
	if e := r.Err; e != nil {
		n += len(e.Reason) + len(e.Message) + len(e.Op) + len(e.ID) + len(e.Method)
	}
	if o := r.Owner; o != nil {
		n += len(o.Cluster) + len(o.Address) + len(o.Incarnation)
	}
	return n
}
