package grpc

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// The flags of a call.
const (
	callOneWay     = 1 << iota // nobody waits
	callAtMostOnce             // AtMostOnce
	callLimited                // a deadline follows
	callResent                 // Resent
)

// callHeader is what a frame of a call says beside the call.
type callHeader struct {
	number   uint64        // names the call on its link while somebody waits; 0: nobody does
	limited  bool          // it has a deadline
	deadline time.Duration // since the link was made, on the sender's clock
}

// appendCall appends a call: number, flags (uvarints), op, hops (bytes), the call ID (16 bytes), the deadline (uvarint,
// nanoseconds on the scale of sent_at) if it has one, shard, epoch (uvarints), revision (varint), the strings and names
// in the order below, the metadata and the chain (a uvarint count each).
//
// It runs on the stacks of callers, as many as they are, so it and what it calls need little of them.
func appendCall(b []byte, h *callHeader, c *transport.Call, v vocabulary) []byte {
	start := len(b)
	b = appendNumbers(beginFrame(b, kindCall), h, c)
	b = appendString(b, c.ID)
	b = v.appendName(b, c.Method)
	b = v.appendName(b, c.Message)
	b = appendString(b, c.Body)
	if len(c.Key)+len(c.TraceParent)+len(c.TraceState)+len(c.Metadata)+len(c.Chain) == 0 {
		b = append(b, 0, 0, 0, 0, 0)
	} else {
		b = appendRest(b, c)
	}
	return endFrame(b, start)
}

// appendNumbers appends a call up to the first string.
func appendNumbers(b []byte, h *callHeader, c *transport.Call) []byte {
	b = binary.AppendUvarint(b, h.number)
	var flags uint64
	if h.number == 0 {
		flags |= callOneWay
	}
	if c.AtMostOnce {
		flags |= callAtMostOnce
	}
	if c.Resent {
		flags |= callResent
	}
	if h.limited {
		flags |= callLimited
	}
	b = append(b, byte(flags), byte(c.Op), c.Hops)
	b = append(b, c.CallID[:]...)
	if h.limited {
		b = binary.AppendUvarint(b, uint64(max(h.deadline, 0)))
	}
	b = binary.AppendUvarint(b, uint64(c.Shard))
	b = binary.AppendUvarint(b, c.Epoch)
	return binary.AppendVarint(b, c.Revision)
}

// appendRest appends what few calls have.
func appendRest(b []byte, c *transport.Call) []byte {
	b = appendString(b, c.Key)
	b = appendString(b, c.TraceParent)
	b = appendString(b, c.TraceState)
	b = binary.AppendUvarint(b, uint64(len(c.Metadata)))
	for k, v := range c.Metadata {
		b = appendString(appendString(b, k), v)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Chain)))
	for _, s := range c.Chain {
		b = append(appendString(appendString(b, s.ID), s.Method), s.Turn[:]...)
	}
	return b
}

// readCall reads the payload of a call that left at sentAt on the sender's scale into c, which is empty but for the
// memory that its body and its chain may have, and shares nothing with it but the ID, which c does not have.
func readCall(payload []byte, sentAt uint64, known names, c *transport.Call) (number uint64, id []byte, err error) {
	r := cursor{rest: payload}
	number = r.uvarint()
	flags := r.uvarint()
	c.Op, c.Hops = transport.Op(r.byte()), r.byte()
	copy(c.CallID[:], r.take(uint64(len(c.CallID))))
	c.OneWay = flags&callOneWay != 0
	c.AtMostOnce = flags&callAtMostOnce != 0
	c.Resent = flags&callResent != 0
	if flags&callLimited != 0 {
		c.Timeout = remains(r.uvarint(), sentAt)
	}
	c.Shard, c.Epoch, c.Revision = r.uint32(), r.uvarint(), r.varint()
	id, c.Method, c.Message = r.bytes(), r.name(known), r.name(known)
	c.Body, c.Key = r.body(c.Body), r.string()
	c.TraceParent, c.TraceState = r.string(), r.string()
	if pairs := r.count(maxPairs, 2); pairs > 0 {
		c.Metadata = make(map[string]string, pairs)
		for range pairs {
			k := r.string()
			c.Metadata[k] = r.string()
		}
	}
	if steps := r.count(maxSteps, 2+len(transport.CallID{})); steps > 0 {
		c.Chain = r.steps(c.Chain, steps)
	}
	if flags > callOneWay|callAtMostOnce|callLimited|callResent || c.OneWay != (number == 0) {
		r.fail()
	}
	return number, id, r.end("a call")
}

// steps reads a chain of so many steps into the given memory, if they fit. The names of a step are parts of one string.
func (c *cursor) steps(memory []transport.Step, count int) []transport.Step {
	chain := slices.Grow(memory[:0], count)
	for range count {
		from := c.rest
		id := c.bytes()
		end := len(from) - len(c.rest)
		method := c.bytes()
		names := string(from[:len(from)-len(c.rest)])
		s := transport.Step{ID: names[end-len(id) : end], Method: names[len(names)-len(method):]}
		copy(s.Turn[:], c.take(uint64(len(s.Turn))))
		chain = append(chain, s)
	}
	return chain
}

// longest is what is left to a call at most: some 73 years, which can be added to a time.
const longest = 1 << 61

// remains is the time from sentAt to a deadline; negative, and never 0, if there is none.
func remains(deadline, sentAt uint64) time.Duration {
	if deadline <= sentAt {
		return -1
	}
	return time.Duration(min(deadline-sentAt, longest))
}

// The flags of a reply.
const (
	replyFailed = 1 << iota // an error follows
	replyOwner              // the owner follows
	replyRetry              // with replyFailed: the error's RetryAfter follows it
)

// appendReply appends the reply to the call of a number: number, flags, epoch (uvarints), revision (varint), message
// and body, the error's code (uvarint), execution (byte) and strings, its RetryAfter (uvarint, nanoseconds), the owner's
// strings.
func appendReply(b []byte, number uint64, r *transport.Reply, v vocabulary) []byte {
	start := len(b)
	b = binary.AppendUvarint(beginFrame(b, kindReply), number)
	var flags uint64
	if r.Err != nil {
		flags |= replyFailed
		if r.Err.RetryAfter > 0 {
			flags |= replyRetry
		}
	}
	if r.Owner != nil {
		flags |= replyOwner
	}
	b = binary.AppendUvarint(b, flags)
	b = binary.AppendUvarint(b, r.Epoch)
	b = binary.AppendVarint(b, r.Revision)
	b = v.appendName(b, r.Message)
	b = appendString(b, r.Body)
	if e := r.Err; e != nil {
		b = binary.AppendUvarint(b, uint64(e.Code))
		b = append(b, byte(object.Executed(e)))
		b = appendString(b, string(e.Reason))
		b = appendString(b, e.Message)
		b = appendString(b, e.Op)
		b = appendString(b, e.ID)
		b = appendString(b, e.Method)
		if flags&replyRetry != 0 {
			b = binary.AppendUvarint(b, uint64(e.RetryAfter)) //nolint:gosec // G115: positive
		}
	}
	if o := r.Owner; o != nil {
		b = appendString(b, o.Cluster)
		b = appendString(b, o.Address)
		b = appendString(b, o.Incarnation)
	}
	return endFrame(b, start)
}

// readReply reads the payload of a reply, behind its number, into a waiter. It shares nothing with the payload.
func readReply(payload []byte, known names, w *waiter) error {
	c := cursor{rest: payload}
	c.uvarint()
	flags := c.uvarint()
	r := &w.reply
	r.Epoch, r.Revision = c.uvarint(), c.varint()
	r.Message = c.name(known)
	r.Body = w.keep(c.bytes())
	if flags&replyFailed != 0 {
		code, executed := object.Code(c.uint32()), object.Execution(c.byte())
		e := &object.Error{
			Code: code, Reason: object.Reason(c.string()), Message: c.string(),
			Op: c.string(), ID: c.string(), Method: c.string(),
		}
		if flags&replyRetry != 0 {
			e.RetryAfter = time.Duration(min(c.uvarint(), math.MaxInt64))
		}
		if executed > object.ExecutedYes {
			c.fail()
		}
		r.Err = e.WithExecuted(executed)
	}
	if flags&replyOwner != 0 {
		r.Owner = &transport.Peer{Cluster: c.string(), Address: c.string(), Incarnation: c.string()}
	}
	if flags > replyFailed|replyOwner|replyRetry {
		c.fail()
	}
	return c.end("a reply")
}
