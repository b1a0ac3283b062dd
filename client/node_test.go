package client_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

// fakeNode is a node whose client objects take and return StringValues. It watches
// over what the service owes to a node.
type fakeNode struct {
	t   *testing.T
	svc *client.Service

	// The hooks; nil: nothing.
	onConnect    func(ctx context.Context, id string) error
	onDisconnect func(ctx context.Context, id string, reason object.DisconnectReason)
	onAccept     func(req object.Request)
	methods      map[string]method

	mu       sync.Mutex
	objects  map[string]int                     // guarded by mu: running calls of each object
	left     map[string]object.DisconnectReason // guarded by mu: detached objects
	changed  chan struct{}                      // guarded by mu: closed at the next change
	accepted []object.Request                   // guarded by mu: all calls, in their order
}

type method func(ctx context.Context, id, req string) (string, error)

func newFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	n := &fakeNode{
		t: t, objects: map[string]int{}, left: map[string]object.DisconnectReason{}, changed: make(chan struct{}),
	}
	n.methods = map[string]method{
		"Who":  func(_ context.Context, id, _ string) (string, error) { return id, nil },
		"Echo": func(_ context.Context, _, req string) (string, error) { return req, nil },
		"Metadata": func(ctx context.Context, _, _ string) (string, error) {
			md := object.MetadataFrom(ctx)
			var pairs []string
			for _, k := range slices.Sorted(maps.Keys(md)) {
				pairs = append(pairs, k+"="+md[k])
			}
			return strings.Join(pairs, " "), nil
		},
	}
	return n
}

func (n *fakeNode) AttachClient(ctx context.Context, id string) error {
	n.mu.Lock()
	if _, ok := n.objects[id]; ok {
		n.t.Errorf("%s attached twice", id)
	}
	n.objects[id] = 0
	n.mu.Unlock()
	if n.onConnect != nil {
		if err := n.onConnect(ctx, id); err != nil {
			n.mu.Lock()
			defer n.mu.Unlock()
			delete(n.objects, id)
			return grpcerr.FromApp(err)
		}
	}
	return nil
}

func (n *fakeNode) DetachClient(ctx context.Context, id string, reason object.DisconnectReason) error {
	if n.onDisconnect != nil {
		n.onDisconnect(ctx, id, reason)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	calls, ok := n.objects[id]
	if !ok {
		n.t.Errorf("%s detached without being there", id)
	}
	if calls != 0 {
		n.t.Errorf("%s detached while %d of its calls run", id, calls)
	}
	delete(n.objects, id)
	n.left[id] = reason
	close(n.changed)
	n.changed = make(chan struct{})
	return nil
}

// awaitLeft waits until the object is detached and returns why.
func (n *fakeNode) awaitLeft(id string) object.DisconnectReason {
	n.t.Helper()
	for {
		n.mu.Lock()
		reason, changed := n.left[id], n.changed
		n.mu.Unlock()
		if reason != 0 {
			return reason
		}
		<-changed
	}
}

func (n *fakeNode) checkEmpty() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.objects) != 0 {
		n.t.Errorf("objects left: %v", n.objects)
	}
}

func (n *fakeNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.objects)
}

func (n *fakeNode) enter(id string, step int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.objects[id]; !ok {
		return false
	}
	n.objects[id] += step
	return true
}

type callInfo map[string]string

func (callInfo) IdempotencyKey() string        { return "" }
func (c callInfo) Metadata() map[string]string { return c }

// Accept keeps the order of the calls; one that is not run keeps its object busy.
func (n *fakeNode) Accept(ctx context.Context, req object.Request) client.Accepted {
	if ctx.Err() != nil {
		return &fakeCall{run: func() (object.Reply, error) {
			return object.Reply{}, object.Refuse(object.CodeCanceled, "", "call", req.ID, req.Method, "the call was not run")
		}}
	}
	if !n.enter(req.ID, 1) {
		n.t.Errorf("call of %s, which is not attached", req.ID)
	}
	req.Body = slices.Clone(req.Body) // it is the service's again
	n.mu.Lock()
	n.accepted = append(n.accepted, req)
	n.mu.Unlock()
	if n.onAccept != nil {
		n.onAccept(req)
	}
	return &fakeCall{run: func() (object.Reply, error) {
		defer n.enter(req.ID, -1)
		return n.serve(ctx, req)
	}}
}

// fakeCall is a call that was accepted, whose reply is overwritten when it is spent.
type fakeCall struct {
	run   func() (object.Reply, error)
	reply object.Reply
}

func (c *fakeCall) Run() (reply object.Reply, err error) {
	c.reply, err = c.run()
	return c.reply, err
}

func (c *fakeCall) Spent() {
	for i := range c.reply.Body {
		c.reply.Body[i] = 0xff
	}
}

func (n *fakeNode) serve(ctx context.Context, req object.Request) (object.Reply, error) {
	m := n.methods[req.Method]
	if m == nil {
		return object.Reply{}, object.Refuse(object.CodeUnimplemented, object.UnknownMethod, "call", req.ID, req.Method, "no such method")
	}
	var in, out wrapperspb.StringValue
	if req.Message != "" && req.Message != string(in.ProtoReflect().Descriptor().FullName()) {
		return object.Reply{}, object.Refuse(object.CodeInvalidArgument, "", "call", req.ID, req.Method, "wrong type "+req.Message)
	}
	if err := proto.Unmarshal(req.Body, &in); err != nil {
		return object.Reply{}, object.Refuse(object.CodeInvalidArgument, "", "call", req.ID, req.Method, err.Error())
	}
	reply, err := m(context.WithValue(ctx, object.CallKey, callInfo(req.Metadata)), req.ID, in.GetValue())
	if err != nil {
		return object.Reply{}, grpcerr.FromApp(err)
	}
	out.Value = reply
	body, err := proto.Marshal(&out)
	return object.Reply{Message: string(out.ProtoReflect().Descriptor().FullName()), Body: body}, err
}

// order is what the accepted calls of a method were asked, in their order: those of
// one object, or all.
func (n *fakeNode) order(id, method string) (words []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, req := range n.accepted {
		if req.Method == method && (id == "" || id == req.ID) {
			var v wrapperspb.StringValue
			if err := proto.Unmarshal(req.Body, &v); err != nil {
				n.t.Errorf("request of %s: %v", method, err)
			}
			words = append(words, v.GetValue())
		}
	}
	return words
}

// text is the string in a packed StringValue.
func text(t *testing.T, packed *anypb.Any) string {
	t.Helper()
	var v wrapperspb.StringValue
	if err := packed.UnmarshalTo(&v); err != nil {
		t.Fatal(err)
	}
	return v.GetValue()
}

// blocking is a method that says that it runs and waits: for release, or for its
// context, whose cause it then returns.
func blocking() (m method, running <-chan struct{}, release func()) {
	began, free := make(chan struct{}, 16), make(chan struct{})
	m = func(ctx context.Context, _, _ string) (string, error) {
		began <- struct{}{}
		select {
		case <-free:
			return "released", nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	return m, began, sync.OnceFunc(func() { close(free) })
}
