package grpc

import (
	"time"

	rpc "google.golang.org/grpc"

	"github.com/xiaonanln/goverse/internal/transport"
	pb "github.com/xiaonanln/goverse/proto"
)

// Frames of raw peers.
const (
	KindVoid    = kindVoid
	KindRefusal = kindRefusal
	KindCancel  = kindCancel
	KindPing    = kindPing
	KindPong    = kindPong
	KindGoodbye = kindGoodbye
	MaxPairs    = maxPairs
	MaxSteps    = maxSteps
	WindowBytes = windowBytes
	Alone       = alone
	Version     = version
	Handful     = handful
)

// CallFrame is a call; number 0: a one-way one.
func CallFrame(number uint64, c *transport.Call) []byte {
	return appendCall(nil, &callHeader{number: number}, c, nil)
}

// ReplyFrame is a reply.
func ReplyFrame(number uint64, r *transport.Reply) []byte { return appendReply(nil, number, r, nil) }

// NumberFrame is a frame with a number.
func NumberFrame(k kind, number uint64) []byte { return appendNumbered(nil, k, number) }

// AnyFrame is a frame with this payload.
func AnyFrame(k byte, payload []byte) []byte {
	return endFrame(append(beginFrame(nil, kind(k)), payload...), 0)
}

// Frame is a frame.
type Frame struct {
	Kind    byte
	Payload []byte
}

// Split is the frames of a message.
func Split(b []byte) (all []Frame, err error) {
	for len(b) > 0 {
		k, payload, rest, err := nextFrame(b)
		if err != nil {
			return all, err
		}
		all = append(all, Frame{byte(k), payload})
		b = rest
	}
	return all, nil
}

// CallNumber is the number in a call's frame.
func CallNumber(payload []byte) uint64 {
	c := cursor{rest: payload}
	return c.uvarint()
}

// IsCall says whether a frame is a call.
func (f Frame) IsCall() bool { return kind(f.Kind) == kindCall }

// Is says whether a frame is of a kind.
func (f Frame) Is(k kind) bool { return kind(f.Kind) == k }

// Backoff is how long a link makes no attempt to connect.
func Backoff(l transport.Link) time.Duration {
	x := l.(*link)
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.retry - x.from.clock().Monotonic()
}

// State is what a link holds on to.
type State struct {
	Queued, Handed, Flights, Slots int
	Full                           bool // who comes has to wait
}

// StateOf looks into a link that has connected.
func StateOf(l transport.Link) State {
	c := l.(*link).conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return State{c.queued, int(c.handed), c.flights, len(c.slots), c.room.queue != nil || c.queued >= c.bounds.queue}
}

// Stuck says whether a connection that an endpoint has accepted can take in no more: its calls cannot get rid of their
// replies.
func Stuck(e transport.Endpoint) bool {
	for _, c := range e.(*endpoint).accepted() {
		c.mu.Lock()
		stuck := c.queued >= c.bounds.queue && c.live >= c.bounds.calls
		c.mu.Unlock()
		if stuck {
			return true
		}
	}
	return false
}

// SetFarewell sets how long Drain waits for silent peers.
func (t *Transport) SetFarewell(d time.Duration) { t.farewell = d }

// Owes says whether there is a connection with an answer that came after the last ping.
func Owes(e transport.Endpoint) bool {
	for _, c := range e.(*endpoint).accepted() {
		c.mu.Lock()
		owes := c.owed > c.pinged
		c.mu.Unlock()
		if owes {
			return true
		}
	}
	return false
}

// Conns is how many TCP connections an endpoint has accepted that are open.
func Conns(e transport.Endpoint) int {
	l := e.(*endpoint).listener
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// Callees is how many connections an endpoint has accepted and not forgotten.
func Callees(e transport.Endpoint) int { return len(e.(*endpoint).accepted()) }

// rpcStream is the interface of a callee's stream.
type rpcStream = rpc.BidiStreamingServer[pb.LinkRequest, pb.LinkResponse]

// Holds says whether a link that has connected is connected.
func Holds(l transport.Link) bool { return l.(*link).conn.Load().holds() }

// Full says whether a link has connected and takes in nothing for now.
func Full(l transport.Link) bool {
	return l.(*link).conn.Load() != nil && StateOf(l).Full
}

// MostQueued is how many bytes wait at most for one of the callers of an endpoint.
func MostQueued(e transport.Endpoint) (most int) {
	for _, c := range e.(*endpoint).accepted() {
		c.mu.Lock()
		most = max(most, c.queued)
		c.mu.Unlock()
	}
	return most
}

// MostTaken is how many frames one of the callers of an endpoint has sent at most.
func MostTaken(e transport.Endpoint) (most uint64) {
	for _, c := range e.(*endpoint).accepted() {
		most = max(most, c.taken.Load())
	}
	return most
}
