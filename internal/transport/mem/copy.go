package mem

import (
	"bytes"
	"maps"
	"slices"

	"github.com/xiaonanln/goverse/internal/transport"
)

// copyCall is the call as the other side decodes it. (Strings cannot be changed, so they may be shared.)
func copyCall(c *transport.Call) *transport.Call {
	d := *c
	d.Body, d.Local = bytes.Clone(c.Body), nil
	d.Metadata = maps.Clone(c.Metadata)
	d.Chain = slices.Clone(c.Chain)
	return &d
}

// copyReply is the reply as the other side decodes it.
func copyReply(r *transport.Reply) *transport.Reply {
	d := *r
	d.Body, d.Spent = bytes.Clone(r.Body), nil
	if r.Err != nil {
		e := *r.Err
		e.RetryAfter = max(e.RetryAfter, 0)
		d.Err = &e
	}
	if r.Owner != nil {
		o := *r.Owner
		d.Owner = &o
	}
	return &d
}
