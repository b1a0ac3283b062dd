package grpc

import "github.com/xiaonanln/goverse/internal/transport"

// usualID is how long the ID of an object is at most.
const usualID = 256

// gather reads a call. It is accepted with those around it, handful of them or what a message has left: what they need of
// memory is made, and fetched from where it is, for all of them together. An error breaks the link.
func (c *callee) gather(payload []byte) error {
	s := c.served()
	number, id, err := readCall(payload, c.sentAt, c.known, &s.call)
	if err != nil {
		return err
	}
	s.number, s.call.From = number, c.from
	if len(id) <= usualID {
		s.idBytes = len(id)
		c.ids = append(c.ids, id...)
	} else {
		s.call.ID = string(id)
	}
	if c.read = append(c.read, s); len(c.read) >= handful {
		return c.acceptRead()
	}
	return nil
}

// acceptRead accepts the calls that were read, in the order in which they came. An error breaks the link.
func (c *callee) acceptRead() error {
	read := c.read
	if len(read) == 0 || c.spoiled != nil {
		return c.spoiled
	}
	c.read = read[:0] // those that are not accepted below never are
	c.prepare(read)
	for i, s := range read {
		c.coming = read[i:]
		if c.spoiled = c.accept(s); c.spoiled != nil {
			return c.spoiled
		}
	}
	c.coming = nil
	clear(read)
	return nil
}

// prepare gives calls that were read what they share, so that each costs less: one piece of memory for their contexts,
// one for the IDs of their objects, and a handler that has seen them all.
func (c *callee) prepare(read []*served) {
	contexts, ids := make([]callContext, len(read)), string(c.ids)
	c.ids = c.ids[:0]
	for i, s := range read {
		s.ctx = &contexts[i]
		s.ctx.root = &c.root
		if s.idBytes > 0 {
			s.call.ID, ids = ids[:s.idBytes], ids[s.idBytes:]
		}
	}
	if len(read) > 1 {
		c.foresee(read)
	}
}

// foresee tells the handler of calls that come next. What it finds out is not true for ever: whoever waits sets waited, so
// that it is told again.
func (c *callee) foresee(next []*served) {
	c.waited = false
	for _, s := range next {
		c.foreseen = append(c.foreseen, &s.call)
	}
	transport.Foresee(c.endpoint.handler, c.foreseen, c.endpoint.logger())
	clear(c.foreseen)
	c.foreseen = c.foreseen[:0]
}

// endMessage comes after all frames of a message: the calls that are left are accepted, and run.
func (c *callee) endMessage() {
	if err := c.acceptRead(); err != nil {
		c.fail(err)
	}
	c.runAccepted()
}
