package goverseclient

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	encproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// The messages of the Session rpc are written and read by hand, as one holds many calls
// or replies. The numbers are those of client.proto, with which the tests compare.
const (
	requestHello   = 1
	requestCalls   = 2
	requestCancels = 3
	requestPushes  = 4
	requestReplies = 5
	requestClose   = 6

	callNumber  = 1
	callMethod  = 2
	callBody    = 3
	callTimeout = 4
	callMeta    = 5

	mapKey     = 1
	mapValue   = 2
	anyTypeURL = 1
	anyValue   = 2

	responseWelcome  = 1
	responseReplies  = 2
	responsePushes   = 3
	responseReceived = 4

	replyCall   = 1
	replyBody   = 2
	replyError  = 3
	pushOffset  = 1
	pushMessage = 2
)

const typeURLPrefix = "type.googleapis.com/"

// codec hands messages to gRPC as they are.
type codec struct{}

// message is what codec takes.
type message struct {
	out mem.BufferSlice
	in  []byte
}

func (codec) Name() string { return encproto.Name }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*message); ok {
		return m.out, nil
	}
	return encoding.GetCodecV2(encproto.Name).Marshal(v)
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*message); ok {
		m.in = data.Materialize() // replies are read from it by those who wait for them
		return nil
	}
	return encoding.GetCodecV2(encproto.Name).Unmarshal(data, v)
}

// response is what a SessionResponse says. Its slices are used again.
type response struct {
	welcome  *client_pb.SessionWelcome // nil: none
	replies  []reply
	pushes   []push
	received uint64
}

// reply is the outcome of a call.
type reply struct {
	call  uint64
	size  int
	ok    bool // there is a response
	body  packed
	error []byte // a SessionError; nil: there is none
}

// push is a pushed message.
type push struct {
	offset uint64
	size   int
	body   packed
}

// packed is an Any; the value is part of the message that it came in.
type packed struct {
	url   string
	value []byte
}

var errGarbage = errors.New("the server's message does not decode")

// parse reads a SessionResponse over what r was.
func (r *response) parse(b []byte, known *names) error {
	clear(r.replies)
	clear(r.pushes)
	*r = response{replies: r.replies[:0], pushes: r.pushes[:0]}
	return fields(b, func(num protowire.Number, number uint64, bytes []byte) error {
		switch {
		case num == responseWelcome && bytes != nil:
			if r.welcome == nil {
				r.welcome = new(client_pb.SessionWelcome)
			}
			return proto.UnmarshalOptions{Merge: true}.Unmarshal(bytes, r.welcome)
		case num == responseReplies && bytes != nil:
			r.replies = append(r.replies, reply{size: len(bytes)})
			return r.replies[len(r.replies)-1].parse(bytes, known)
		case num == responsePushes && bytes != nil:
			r.pushes = append(r.pushes, push{size: len(bytes)})
			return r.pushes[len(r.pushes)-1].parse(bytes, known)
		case num == responseReceived && bytes == nil:
			r.received = number
		}
		return nil
	})
}

func (r *reply) parse(b []byte, known *names) error {
	return fields(b, func(num protowire.Number, number uint64, bytes []byte) error {
		switch {
		case num == replyCall && bytes == nil:
			r.call = number
		case num == replyBody && bytes != nil:
			if !r.ok {
				r.ok, r.body, r.error = true, packed{}, nil
			}
			return parseAny(&r.body, bytes, known)
		case num == replyError && bytes != nil:
			r.ok, r.error = false, append(append([]byte{}, r.error...), bytes...)
		}
		return nil
	})
}

func (p *push) parse(b []byte, known *names) error {
	return fields(b, func(num protowire.Number, number uint64, bytes []byte) error {
		switch {
		case num == pushOffset && bytes == nil:
			p.offset = number
		case num == pushMessage && bytes != nil:
			return parseAny(&p.body, bytes, known)
		}
		return nil
	})
}

func parseAny(p *packed, b []byte, known *names) error {
	return fields(b, func(num protowire.Number, _ uint64, bytes []byte) error {
		switch {
		case num == anyTypeURL && bytes != nil:
			p.url = known.of(bytes)
		case num == anyValue && bytes != nil:
			p.value = bytes
		}
		return nil
	})
}

// fields reads the fields of a message; bytes is nil for a number.
func fields(b []byte, take func(num protowire.Number, number uint64, bytes []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || num > protowire.MaxValidNumber {
			return errGarbage
		}
		b = b[n:]
		var err error
		switch typ {
		case protowire.VarintType:
			var number uint64
			if number, n = protowire.ConsumeVarint(b); n >= 0 {
				err = take(num, number, nil)
			}
		case protowire.BytesType:
			var bytes []byte
			if bytes, n = protowire.ConsumeBytes(b); n >= 0 {
				err = take(num, 0, bytes)
			}
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		switch {
		case n < 0:
			return errGarbage
		case err != nil:
			return fmt.Errorf("%w: %w", errGarbage, err)
		}
		b = b[n:]
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
	n.known[n.next%len(n.known)] = s
	n.next++
	return s
}

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendHead(b []byte, field protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(size)) //nolint:gosec // G115: a length
}

// fieldSize is the size of a field of that many bytes.
func fieldSize(size int) int { return 1 + protowire.SizeBytes(size) }

// appendCall appends what a call asks for, which is a SessionCall without its number and
// time.
func appendCall(b []byte, method string, req proto.Message, metadata []string) ([]byte, error) {
	b = append(appendHead(b, callMethod, len(method)), method...)
	if req != nil {
		name := req.ProtoReflect().Descriptor().FullName()
		url := len(typeURLPrefix) + len(name)
		body := proto.Size(req)
		size := fieldSize(url)
		if body > 0 {
			size += fieldSize(body)
		}
		b = appendHead(b, callBody, size)
		b = append(append(appendHead(b, anyTypeURL, url), typeURLPrefix...), name...)
		if body > 0 {
			var err error
			if b, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(appendHead(b, anyValue, body), req); err != nil {
				return b, err
			}
		}
	}
	for i := 0; i < len(metadata); i += 2 {
		key, value := metadata[i], metadata[i+1]
		b = appendHead(b, callMeta, fieldSize(len(key))+fieldSize(len(value)))
		b = append(appendHead(b, mapKey, len(key)), key...)
		b = append(appendHead(b, mapValue, len(value)), value...)
	}
	return b, nil
}
