package client

import (
	"errors"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// The messages of the Session rpc are read and written by hand: a message holds many
// calls or replies, each of which would cost several allocations otherwise, and what
// was written is kept to be sent again. The numbers are those of client.proto, with
// which the tests compare.
const (
	requestHello   = 1
	requestCalls   = 2
	requestCancels = 3
	requestPushes  = 4
	requestReplies = 5
	requestClose   = 6

	helloClientID = 1
	helloPushes   = 2
	helloReplies  = 3
	helloResume   = 4

	callNumber   = 1
	callMethod   = 2
	callBody     = 3
	callTimeout  = 4
	callMeta     = 5
	mapKey       = 1
	mapValue     = 2
	anyTypeURL   = 1
	anyValue     = 2
	tagBytes     = 1 // of all fields here
	replyCall    = 1
	replyBody    = 2
	replyError   = 3
	pushOffset   = 1
	pushMessage  = 2
	respReplies  = 2
	respPushes   = 3
	respReceived = 4
)

// inbound is a SessionRequest as it came, whose memory is to be given back; outbound a message
// as it is to go.
type (
	inbound  struct{ data mem.Buffer }
	outbound struct{ data mem.BufferSlice }
)

// sessionRequest is what a SessionRequest says.
type sessionRequest struct {
	hello           *client_pb.SessionHello // nil: none
	calls           []sessionCall
	cancels         []uint64
	pushes, replies uint64
	close           bool
}

// sessionCall is what a SessionCall says.
type sessionCall struct {
	number   uint64
	size     int // of the message
	method   string
	url      string
	body     []byte // part of the message
	micros   uint64
	metadata []pair
}

type pair struct{ key, value string }

var errGarbage = errors.New("the message does not decode")

// parse reads a SessionRequest over what r was, whose slices it uses again. The bodies of calls
// stay part of b.
func (r *sessionRequest) parse(b []byte, known *names) error {
	clear(r.calls) // they hold on to the message before
	*r = sessionRequest{calls: r.calls[:0], cancels: r.cancels[:0]}
	return fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == requestHello && v.isBytes:
			if r.hello == nil {
				r.hello = new(client_pb.SessionHello)
			}
			return parseHello(r.hello, v.bytes)
		case num == requestCalls && v.isBytes:
			r.calls = append(r.calls, sessionCall{size: len(v.bytes)})
			return r.calls[len(r.calls)-1].parse(v.bytes, known)
		case num == requestCancels && v.isBytes:
			return r.parseCancels(v.bytes)
		case num == requestCancels && v.isVarint:
			r.cancels = append(r.cancels, v.varint)
		case num == requestPushes && v.isVarint:
			r.pushes = v.varint
		case num == requestReplies && v.isVarint:
			r.replies = v.varint
		case num == requestClose && v.isVarint:
			r.close = protowire.DecodeBool(v.varint)
		}
		return nil
	})
}

func (r *sessionRequest) parseCancels(packed []byte) error {
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return errGarbage
		}
		r.cancels = append(r.cancels, v)
		packed = packed[n:]
	}
	return nil
}

func parseHello(h *client_pb.SessionHello, b []byte) error {
	return fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == helloClientID && v.isBytes:
			h.ClientId = string(v.bytes)
			return isText(v.bytes)
		case num == helloPushes && v.isVarint:
			h.Pushes = v.varint
		case num == helloReplies && v.isVarint:
			h.Replies = v.varint
		case num == helloResume && v.isVarint:
			h.ResumeMicros = v.varint
		}
		return nil
	})
}

func (c *sessionCall) parse(b []byte, known *names) error {
	return fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == callNumber && v.isVarint:
			c.number = v.varint
		case num == callMethod && v.isBytes:
			c.method = known.of(v.bytes)
			return isText(v.bytes)
		case num == callBody && v.isBytes:
			return c.parseBody(v.bytes, known)
		case num == callTimeout && v.isVarint:
			c.micros = v.varint
		case num == callMeta && v.isBytes:
			return c.parsePair(v.bytes)
		}
		return nil
	})
}

// hasBody reports whether the call has a request: without one it is the method's empty message.
func (c *sessionCall) hasBody() bool { return c.url != "" || len(c.body) > 0 }

func (c *sessionCall) parseBody(b []byte, known *names) error {
	return fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == anyTypeURL && v.isBytes:
			c.url = known.of(v.bytes)
			return isText(v.bytes)
		case num == anyValue && v.isBytes:
			c.body = v.bytes
		}
		return nil
	})
}

func (c *sessionCall) parsePair(b []byte) error {
	var p pair
	err := fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == mapKey && v.isBytes:
			p.key = string(v.bytes)
			return isText(v.bytes)
		case num == mapValue && v.isBytes:
			p.value = string(v.bytes)
			return isText(v.bytes)
		}
		return nil
	})
	c.metadata = append(c.metadata, p)
	return err
}

// value is that of a field, if it is of one of the two types that there are.
type value struct {
	isVarint, isBytes bool
	varint            uint64
	bytes             []byte
}

// fields reads the fields of a message.
func fields(b []byte, take func(protowire.Number, value) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || num > protowire.MaxValidNumber {
			return errGarbage
		}
		b = b[n:]
		var v value
		switch typ {
		case protowire.VarintType:
			v.isVarint = true
			v.varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v.isBytes = true
			v.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return errGarbage
		}
		b = b[n:]
		if err := take(num, v); err != nil {
			return err
		}
	}
	return nil
}

func isText(b []byte) error {
	if !utf8.Valid(b) {
		return errGarbage
	}
	return nil
}

// names are the last few names that came, so that the usual ones need no memory.
type names struct {
	known [8]string
	next  int
}

func (n *names) of(b []byte) string {
	for _, s := range n.known {
		if s == string(b) {
			return s
		}
	}
	s := string(b)
	if len(s) <= 128 {
		n.known[n.next%len(n.known)] = s
		n.next++
	}
	return s
}

// messageName is what counts of a type URL.
func messageName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// anySize is the size of an Any of the fields that are not empty.
func anySize(prefix, name string, body []byte) (size int) {
	if n := len(prefix) + len(name); n > 0 {
		size += tagBytes + protowire.SizeBytes(n)
	}
	if len(body) > 0 {
		size += tagBytes + protowire.SizeBytes(len(body))
	}
	return size
}

// nestedSize is the size of a message that holds a number and another message, a reply
// or a push, and that of its field.
func nestedSize(number uint64, size int) (inner, outer int) {
	inner = tagBytes + protowire.SizeVarint(number) + tagBytes + protowire.SizeBytes(size)
	return inner, tagBytes + protowire.SizeBytes(inner)
}

// appendNested begins a field that holds a number and another message, up to the latter.
func appendNested(b []byte, field protowire.Number, inner int, numberField protowire.Number, number uint64, nested protowire.Number, size int) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner)) //nolint:gosec // G115: a length
	b = protowire.AppendTag(b, numberField, protowire.VarintType)
	b = protowire.AppendVarint(b, number)
	b = protowire.AppendTag(b, nested, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(size)) //nolint:gosec // G115: a length
}

func appendAny(b []byte, prefix, name string, body []byte) []byte {
	if n := len(prefix) + len(name); n > 0 {
		b = protowire.AppendTag(b, anyTypeURL, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(n))
		b = append(append(b, prefix...), name...)
	}
	if len(body) > 0 {
		b = protowire.AppendTag(b, anyValue, protowire.BytesType)
		b = protowire.AppendBytes(b, body)
	}
	return b
}
