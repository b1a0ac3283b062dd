package grpc

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec of all other messages
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of LinkRequest and LinkResponse that a packet has.
const (
	fieldSentAt = 2
	fieldFrames = 3
)

// prefixBytes is what a packet has before its frames: the field sent_at, and the tag and length of the field frames. The
// length has four bytes whatever it is, so that the frames can be written first.
const prefixBytes = 1 + 8 + 1 + 4

// maxPacket bounds a message: as many frames as begin in a batch, none of which is large, with what is not counted in
// the size of a call or reply.
const maxPacket = batchBytes + 2*large + prefixBytes

// packet is a message of frames. Going out, it is a buffer of a prefix and the frames; coming in, it refers to the
// frames until it is freed.
type packet struct {
	out *[]byte

	sentAt uint64
	frames []byte
	buffer mem.Buffer // holds frames; nil: none
}

// free gives up the frames of a packet that has come in.
func (p *packet) free() {
	if p.buffer != nil {
		p.buffer.Free()
	}
	*p = packet{}
}

// fillPrefix completes a buffer of a prefix and frames.
func fillPrefix(b []byte, sentAt uint64) {
	b[0] = fieldSentAt<<3 | byte(protowire.Fixed64Type)
	binary.LittleEndian.PutUint64(b[1:], sentAt)
	b[9] = fieldFrames<<3 | byte(protowire.BytesType)
	size := len(b) - prefixBytes
	for i := range 3 {
		b[10+i] = byte(size>>(7*i)&0x7f) | 0x80
	}
	b[13] = byte(size >> 21) // maxPacket has 25 bits
}

// parse finds the fields of a packet that has come in.
func (p *packet) parse() error {
	for b := p.buffer.ReadOnlyData(); len(b) > 0; {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return garbage("a message without a tag")
		}
		b = b[n:]
		switch {
		case field == fieldSentAt && typ == protowire.Fixed64Type:
			p.sentAt, n = protowire.ConsumeFixed64(b)
		case field == fieldFrames && typ == protowire.BytesType:
			p.frames, n = protowire.ConsumeBytes(b)
		default:
			return garbage(fmt.Sprintf("a message with field %d of type %d", field, typ))
		}
		if n < 0 {
			return garbage("a message that is cut off")
		}
		b = b[n:]
	}
	return nil
}

// codec encodes packets, and all other messages as gRPC does.
type codec struct {
	others  encoding.CodecV2
	buffers *buffers
	wholes  *wholes
}

func newCodec(b *buffers, w *wholes) codec { return codec{encoding.GetCodecV2("proto"), b, w} }

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if p, ok := v.(*packet); ok {
		return mem.BufferSlice{mem.NewBuffer(p.out, c.buffers)}, nil
	}
	return c.others.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	p, ok := v.(*packet)
	if !ok {
		return c.others.Unmarshal(data, v)
	}
	p.buffer = data.MaterializeToBuffer(c.wholes)
	return nil
}

const (
	// leastBuffer is how large a new buffer for frames is. gRPC recycles nothing below 1 KiB.
	leastBuffer = 4 << 10
	// mostBuffer is how large a buffer may be that is kept for the next packet.
	mostBuffer = 2 * batchBytes
)

// wholes recycles the memory in which packets are put together that have come in pieces. Unlike that of gRPC it is not
// cleared before: all of it is written. It implements mem.BufferPool.
type wholes struct{ pool sync.Pool }

// Get implements mem.BufferPool.
func (w *wholes) Get(length int) *[]byte {
	kept, ok := w.pool.Get().(*[]byte)
	if !ok || cap(*kept) < length {
		fresh := make([]byte, max(1<<bits.Len(uint(length)), leastBuffer))
		kept = &fresh
	}
	*kept = (*kept)[:length]
	return kept
}

// Put implements mem.BufferPool.
func (w *wholes) Put(buffer *[]byte) {
	if cap(*buffer) <= mostBuffer {
		w.pool.Put(buffer)
	}
}

// buffers recycles the memory of packets that go out. It implements mem.BufferPool.
type buffers struct{ pool sync.Pool }

// Get implements mem.BufferPool.
func (b *buffers) Get(length int) *[]byte {
	if length <= leastBuffer {
		if kept, ok := b.pool.Get().(*[]byte); ok {
			*kept = (*kept)[:length]
			return kept
		}
	}
	fresh := make([]byte, length, max(length, leastBuffer))
	return &fresh
}

// Put implements mem.BufferPool.
func (b *buffers) Put(buffer *[]byte) {
	if c := cap(*buffer); c >= leastBuffer && c <= mostBuffer {
		b.pool.Put(buffer)
	}
}
