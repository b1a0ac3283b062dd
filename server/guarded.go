package server

import (
	"context"
	"sync"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// guarded is the node as clients reach it: no call begins and no reply leaves without a
// valid lease.
type guarded struct {
	*node.Node

	valid func() bool
	calls sync.Pool // of *clientCall that are over
}

var _ client.Node = (*guarded)(nil)

// clientCall is a call of a client on its way through the node.
type clientCall struct {
	at         *guarded
	arrival    node.Arrival
	id, method string
	refused    bool // it did not begin
	well       bool // it has run, without an error
}

// Accept implements [client.Node].
func (g *guarded) Accept(ctx context.Context, req object.Request) client.Accepted {
	c, ok := g.calls.Get().(*clientCall)
	if !ok {
		c = &clientCall{at: g}
	}
	c.id, c.method, c.refused, c.well = req.ID, req.Method, !g.valid(), false
	if !c.refused {
		c.arrival.Begin(ctx, g.Node, &node.Departure{Request: req})
	}
	return c
}

// Run implements [client.Accepted].
func (c *clientCall) Run() (object.Reply, error) {
	if c.refused {
		return object.Reply{}, c.fenced()
	}
	reply, err := c.arrival.Run()
	c.well = err == nil
	if c.at.valid() || err != nil && object.Executed(err) == object.ExecutedNo {
		return reply, err
	}
	return object.Reply{}, c.fenced().WithExecuted(object.ExecutedUnknown)
}

func (c *clientCall) fenced() *object.Error {
	return object.Refuse(object.CodeUnavailable, object.Fenced, "call", c.id, c.method, "the server is cut off from its cluster")
}

// Spent implements [client.Accepted].
func (c *clientCall) Spent() {
	if c.well && c.arrival.Spent() { // else somebody may know it still
		c.id, c.method = "", ""
		c.at.calls.Put(c)
	}
}
