package grpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/xiaonanln/goverse/internal/transport"
)

// version is the version of the frames. It changes when a peer could misunderstand a frame.
const version = 2

// kind is the first byte of a frame; the next four are the length of the payload, little endian. Payloads are made of
// uvarints and varints (as in encoding/binary), single bytes, and strings: a uvarint length and the bytes.
type kind byte

// The frames of version 2.
const (
	kindVoid    kind = iota // to be skipped: what stood here was withdrawn
	kindCall                // a call; see appendCall
	kindReply               // its reply; see appendReply
	kindRefusal             // no reply: the call was not accepted because the peer is stopping. uvarint number
	kindCancel              // nobody waits for the reply any more. uvarint number
	kindPing                // asks for a pong. uvarint number
	kindPong                // all before the ping of this number has arrived. uvarint number
	kindGoodbye             // no more calls, please
	kindName                // a name, which from now on is known by the next number, from 1 on. The name, without a length
	kindPart                // a part of a large frame. Its bytes
	kindLast                // the last part: with those before, since the last one of another, it is a frame. Its bytes
)

const (
	headBytes = 5 // of a frame: kind and length

	// The bounds of what a frame may hold; see the package.
	maxFrame = transport.MaxBytes + 1<<20
	maxSteps = 1024
	maxPairs = 4096
)

// errGarbage is the reason to break a link whose peer says what is not understood.
var errGarbage = errors.New("the peer sent what is not understood")

// garbage says what was not understood.
func garbage(what string) error { return fmt.Errorf("%w: %s", errGarbage, what) }

// beginFrame appends the head of a frame. endFrame fills in the length.
func beginFrame(b []byte, k kind) []byte { return append(b, byte(k), 0, 0, 0, 0) }

// endFrame completes the frame that begins at start.
func endFrame(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start+1:], uint32(len(b)-start-headBytes)) //nolint:gosec // G115: at most maxFrame
	return b
}

// appendNumbered appends a frame whose payload is a number.
func appendNumbered(b []byte, k kind, number uint64) []byte {
	start := len(b)
	return endFrame(binary.AppendUvarint(beginFrame(b, k), number), start)
}

// nextFrame splits off the first frame.
func nextFrame(b []byte) (k kind, payload, rest []byte, err error) {
	if len(b) < headBytes {
		return 0, nil, nil, garbage("a frame without a head")
	}
	size := binary.LittleEndian.Uint32(b[1:])
	if int64(size) > int64(len(b)-headBytes) {
		return 0, nil, nil, garbage("a frame longer than its message")
	}
	end := headBytes + int(size)
	return kind(b[0]), b[headBytes:end], b[end:], nil
}

// readNumber reads a payload that is a number.
func readNumber(payload []byte) (uint64, error) {
	c := cursor{rest: payload}
	number := c.uvarint()
	return number, c.end("a number")
}

func appendString[S string | []byte](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cursor reads a payload. After the first failure it reads only zeros, and end says so.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) fail() { c.bad, c.rest = true, nil }

// end is the error of a payload that was not read to its end, or beyond.
func (c *cursor) end(what string) error {
	if c.bad || len(c.rest) > 0 {
		return garbage(what)
	}
	return nil
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

// take returns the next n bytes, which are part of the payload; nil if there are not so many.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.rest)) {
		c.fail()
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.rest)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

// uint32 reads a uvarint of 32 bits.
func (c *cursor) uint32() uint32 {
	v := c.uvarint()
	if v > 1<<32-1 {
		c.fail()
		return 0
	}
	return uint32(v)
}

// bytes reads a string without a copy.
func (c *cursor) bytes() []byte { return c.take(c.uvarint()) }

func (c *cursor) string() string { return string(c.bytes()) }

// body reads a string as bytes of its own, in the given memory if they fit; nil if it is empty.
func (c *cursor) body(memory []byte) []byte {
	b := c.bytes()
	switch {
	case len(b) == 0:
		return nil
	case len(b) <= cap(memory):
		return append(memory[:0], b...)
	}
	return slices.Clone(b)
}

// count reads how many of something follow, each of which has at least so many bytes.
func (c *cursor) count(limit, atLeast int) int {
	n := c.uvarint()
	if n > uint64(limit) || n > uint64(len(c.rest)/atLeast) { //nolint:gosec // G115: both are positive
		c.fail()
		return 0
	}
	return int(n) //nolint:gosec // G115: at most limit
}
