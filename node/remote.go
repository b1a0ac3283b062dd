package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/xiaonanln/goverse/object"
)

// TurnID names a turn that waits for a call on another node. It is random and unique;
// zero names none. The first half is its node's.
type TurnID [16]byte

// Step is one turn of a call chain.
type Step struct {
	ID     string // of its object
	Method string
	Turn   TurnID
}

// Departure is a call on its way between nodes.
type Departure struct {
	object.Request

	Chain      []Step // the turns that wait for the call, outermost first
	OneWay     bool
	AtMostOnce bool

	method *object.MethodInfo // of one that leaves
	stay   Stay               // of one that leaves from a turn
}

// Stay is the turns that wait for a call that has left, where what comes back finds them. The
// zero value: none does.
type Stay struct {
	chain []Step
	call  *departure
}

// Any reports whether a turn waits.
func (s *Stay) Any() bool { return s.call != nil }

// Chain returns the turns that wait, outermost first.
func (s *Stay) Chain() []Step { return s.chain }

// End is the end of the waiting. It may be called again.
func (s *Stay) End() {
	if s.call != nil {
		s.call.turn.node().away.leave(s.call, s.chain[len(s.chain)-1].Turn)
		s.call = nil
	}
}

// departures are the turns that wait for calls on other nodes: a chain that comes back
// finds them.
type departures struct {
	mark [8]byte // the half that this node's IDs begin with

	mu    sync.Mutex
	known map[TurnID]*departure // guarded by mu
}

// departure is one call of a turn on its way to another node.
type departure struct {
	turn *turn
	over atomic.Bool // nobody waits for it any more
	step [1]Step     // memory for a chain of the turn alone
}

// Depart makes d the call of an object that lives on another node, encoded, as the call
// of the turn that ctx belongs to, if any. The request is checked as [Node.Call] does, and
// encoded into the memory that d.Body has. [Departure.Release] must be called when the call
// is over, also after an error.
func (n *Node) Depart(ctx context.Context, d *Departure, id, method string, req proto.Message, opts []object.CallOption) error {
	typ, err := n.typeOf("call", id)
	if err != nil {
		return err
	}
	m, err := (&wanted{name: method}).of(typ, id)
	if err != nil {
		return err
	}
	return n.DepartTo(ctx, d, id, m, req, object.Resolve(opts))
}

// DepartTo is [Node.Depart] for an ID and a method that have been found good.
func (n *Node) DepartTo(ctx context.Context, d *Departure, id string, m *object.MethodInfo, req proto.Message, s object.CallSettings) (err error) {
	body := d.Body[:0]
	if req != nil {
		if !m.Accepts(req) {
			return unfit(id, m, req)
		}
		if body, err = (proto.MarshalOptions{}).MarshalAppend(body, req); err != nil {
			return unencoded(id, m, err)
		}
	}
	stay := d.stay
	*d = Departure{} // not all at once, which would be made on the stack
	d.ID, d.Method, d.Message, d.Body, d.Metadata, d.Key = id, m.Name, m.RequestName(), body, s.Metadata, s.Key
	d.OneWay, d.AtMostOnce, d.method = s.OneWay, s.AtMostOnce, m
	if up := n.callerTurn(ctx); up != nil {
		d.Metadata = object.MergeMetadata(up.Metadata(), s.Metadata)
		if !s.OneWay && !stay.Any() {
			stay, err = n.Chain(ctx, "call", id, m.Name)
		}
		d.stay, d.Chain = stay, stay.chain
	}
	return err
}

func unfit(id string, m *object.MethodInfo, req proto.Message) error {
	return object.Refuse(object.CodeInvalidArgument, "", "call", id, m.Name,
		fmt.Sprintf("the request is a %T, the method takes %s", req, m.RequestName()))
}

func unencoded(id string, m *object.MethodInfo, err error) error {
	return object.Refuse(object.CodeInvalidArgument, "", "call", id, m.Name, "encode the request: "+err.Error())
}

// Decode makes the reply to a call that has left a message.
func (d *Departure) Decode(r object.Reply) (proto.Message, error) {
	return DecodeReply(d.method, d.ID, r)
}

// Take gives the waiting for a call that has left to who sees to its end instead of d, and
// Keep gives it to a d that is to be the same call again: then DepartTo leaves it as it is.
func (d *Departure) Take() (s Stay) {
	s, d.stay = d.stay, Stay{}
	return s
}

// Keep is the counterpart of [Departure.Take].
func (d *Departure) Keep(s Stay) { d.stay = s }

// Release lets go of what waits for a call that has left. It may be called again.
func (d *Departure) Release() { d.stay.End() }

// Chain returns the turns that wait for what the turn that ctx belongs to, if any, asks of
// another node. What comes back finds them here until [Stay.End].
func (n *Node) Chain(ctx context.Context, op, id, method string) (Stay, error) {
	up := n.callerTurn(ctx)
	if up == nil || up.ended.Load() {
		return Stay{}, nil
	}
	if up.depth()+1 >= maxDepth {
		return Stay{}, object.Refuse(object.CodeFailedPrecondition, "", op, id, method, tooDeep)
	}
	call := up.departure()
	call.turn = up
	s := Stay{up.chain(call.step[:0]), call}
	n.away.enter(call, &s.chain[len(s.chain)-1])
	return s, nil
}

// Acting reports whether ctx belongs to a turn of this node that still runs, and whether the
// shard of the turn that it belongs to is lost: then nobody may see what that does, even if
// the node may answer for others again.
func (n *Node) Acting(ctx context.Context) (runs, lost bool) {
	t := n.callerTurn(ctx)
	return t != nil && !t.ended.Load(), t != nil && t.act.lost.Load()
}

// DecodeReply decodes what a method of an object on another node has answered: that is its
// outcome, so what is wrong with it does not undo the call. Like all that runs when a caller
// wakes, it needs little stack: with many callers, that of each has to be fetched from afar.
func DecodeReply(m *object.MethodInfo, id string, r object.Reply) (proto.Message, error) {
	if r.Message != m.ReplyName() && r.Message != "" {
		return decodeOther(m, id, r)
	}
	msg := m.NewReply()
	if err := decodeInto(msg, r.Body); err != nil {
		return nil, undecoded(m, id, err)
	}
	return msg, nil
}

// decodeOther is DecodeReply for a message of another type than the method says.
func decodeOther(m *object.MethodInfo, id string, r object.Reply) (proto.Message, error) {
	typ, err := protoregistry.GlobalTypes.FindMessageByURL(r.Message)
	if err != nil {
		return nil, undecoded(m, id, err)
	}
	msg := typ.New().Interface()
	if err := decodeInto(msg, r.Body); err != nil {
		return nil, undecoded(m, id, err)
	}
	return msg, nil
}

func decodeInto(msg proto.Message, body []byte) error {
	return proto.UnmarshalOptions{RecursionLimit: decodeDepth}.Unmarshal(body, msg)
}

//go:noinline // its frame is larger than that of who calls it
func undecoded(m *object.MethodInfo, id string, err error) error {
	return object.Refuse(object.CodeInternal, "", "call", id, m.Name, "decode the reply: "+err.Error()).WithExecuted(object.ExecutedYes)
}

// enter makes a turn known while it waits for a call elsewhere, under the ID that step gets.
func (d *departures) enter(call *departure, step *Step) {
	copy(step.Turn[:], d.mark[:])
	binary.LittleEndian.PutUint64(step.Turn[len(d.mark):], rand.Uint64()) //nolint:gosec // G404: from the runtime's ChaCha8, seeded by the system
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[step.Turn] = call
}

// leave is the end of the waiting.
func (d *departures) leave(call *departure, id TurnID) {
	call.over.Store(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, id)
}

// find returns the departure that a step of a chain names; nil where it is over. It
// also reports whether it was this node's.
func (d *departures) find(step *Step) (call *departure, own bool) {
	if [8]byte(step.Turn[:8]) != d.mark {
		return nil, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if call = d.known[step.Turn]; call == nil || call.turn.id() != step.ID || call.turn.ended.Load() {
		return nil, true
	}
	return call, true
}

// chain appends the turns from the chain's beginning to t to local, which is empty.
func (t *turn) chain(local []Step) []Step {
	for f := t; f != nil; f = f.up() {
		local = append(local, Step{ID: f.id(), Method: f.what()})
		if path := f.path(); path != nil {
			return append(slices.Clip(path), reversed(local)...)
		}
	}
	return reversed(local)
}

func reversed(steps []Step) []Step {
	for i, j := 0, len(steps)-1; i < j; i, j = i+1, j-1 {
		steps[i], steps[j] = steps[j], steps[i]
	}
	return steps
}

// path returns the chain that a turn brought from another node; nil for none.
func (t *turn) path() []Step {
	if r := t.rare.Load(); r != nil {
		return r.path
	}
	return nil
}

// follow ties a turn that has arrived from another node to its chain: where that has
// passed here before, to the turn that waits for it.
func (n *Node) follow(t *turn, chain []Step) error {
	if len(chain) == 0 {
		return nil
	}
	if len(chain) >= maxDepth {
		return t.refuse(object.CodeFailedPrecondition, "", tooDeep)
	}
	r := t.bring(chain)
	for i := len(chain) - 1; i >= 0; i-- {
		call, own := n.away.find(&chain[i])
		if call != nil {
			r.via, r.beyond = call, int32(i+1) //nolint:gosec // G115: at most maxDepth
			t.link(call.turn)
		}
		if own { // what is further out does not wait for what a turn here has left behind
			break
		}
	}
	return nil
}

// bring gives a turn, which nobody else has yet, a copy of the chain that it has brought.
func (t *turn) bring(chain []Step) *rare {
	r := t.rare.Load()
	if r == nil { // one allocation, as most chains are short
		x := new(struct {
			rare rare
			step [1]Step
		})
		x.rare.path, r = x.step[:0], &x.rare
		t.rare.Store(r)
	}
	r.path = append(r.path, chain...)
	return r
}

// join makes the turn of a hook one of the chain of the turn that causes it, wherever that
// comes from.
func (t *turn) join(cause *turn) {
	if up := cause.up(); up != nil {
		t.link(up)
	}
	if r := cause.rare.Load(); r != nil && r.path != nil {
		x := t.extra()
		x.path, x.via, x.beyond = r.path, r.via, r.beyond
	}
}

// stepsBetween returns the turns on other nodes that the chain of t has between
// t.up and t.
func (t *turn) stepsBetween() []Step {
	if r := t.rare.Load(); r != nil {
		return r.path[r.beyond:]
	}
	return nil
}

// runsIn reports whether a turn of the chain that ends with t runs in the shard, as the
// node owns it. A nil turn ends none.
func (t *turn) runsIn(s *shardState) bool {
	for f := t; f != nil && !f.ended.Load(); f = f.waiting() {
		if f.act.shard == s && !f.act.lost.Load() {
			return true
		}
	}
	return false
}
