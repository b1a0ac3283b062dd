package client

import (
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	leastSegment = 128
	mostSegment  = 16 << 10
)

// outlog holds what is sent to a client in order, encoded as the fields of a message,
// until the client has acknowledged it. What is in it does not change, so it can be
// handed to gRPC as it is, and again on another stream. It is guarded by its owner.
type outlog struct {
	most int // bytes of a segment with more than one entry

	first, last *segment // nil: all is acknowledged
	acked       uint64   // the number of the last entry that was
	appended    uint64   // the number of the last entry
	bytes       int      // of entries not acknowledged
	front       int      // bytes of the first of them
	start       int      // where in first it begins

	sent uint64   // the number of the last entry that was taken
	next *segment // where the one after begins; nil: at the start of what comes
	off  int

	used, before int // bytes since it was empty, and the time before
}

// segment is a part of a log.
type segment struct {
	buf  []byte // of whole entries; appended to within its capacity
	last uint64 // the number of its last entry
	next *segment
}

// waiting is how many entries are not acknowledged.
func (o *outlog) waiting() int { return int(o.appended - o.acked) } //nolint:gosec // G115: what is in memory

// unsent is how many entries wait to be taken.
func (o *outlog) unsent() int { return int(o.appended - o.sent) } //nolint:gosec // G115: what is in memory

// room returns the buffer to which an entry of that size is to be appended.
func (o *outlog) room(size int) []byte {
	s := o.last
	if s == nil || cap(s.buf)-len(s.buf) < size {
		guess := min(max(o.used, o.before, leastSegment), mostSegment, o.most)
		s = &segment{buf: make([]byte, 0, max(size, guess))}
		if o.last == nil {
			o.first, o.start = s, 0
		} else {
			o.last.next = s
		}
		o.last = s
	}
	if o.next == nil {
		o.next, o.off = s, len(s.buf)
	}
	return s.buf
}

// add takes the buffer that room has returned, with one entry more.
func (o *outlog) add(buf []byte) {
	size := len(buf) - len(o.last.buf)
	if o.waiting() == 0 {
		o.front = size
	}
	o.appended++
	o.last.buf, o.last.last = buf, o.appended
	o.bytes += size
	o.used += size
}

// take returns entries that were not sent, as many as are in one piece; nil: all were.
func (o *outlog) take() []byte {
	for s := o.next; s != nil; s = s.next {
		if piece := s.buf[o.off:len(s.buf):len(s.buf)]; len(piece) > 0 {
			o.off, o.next, o.sent = len(s.buf), s, s.last
			return piece
		}
		if s.next == nil {
			break
		}
		o.next, o.off = s.next, 0
	}
	return nil
}

// peek is how many bytes take would return.
func (o *outlog) peek() int {
	off := o.off
	for s := o.next; s != nil; s, off = s.next, 0 {
		if n := len(s.buf) - off; n > 0 {
			return n
		}
	}
	return 0
}

// ack drops the entries up to a number; false if it cannot be.
func (o *outlog) ack(number uint64) bool {
	if number < o.acked || number > o.sent {
		return false
	}
	for o.acked < number {
		o.start += o.front
		o.bytes -= o.front
		o.acked++
		if o.acked == o.appended {
			o.first, o.last, o.next = nil, nil, nil
			o.before, o.used, o.front = o.used, 0, 0
			return true
		}
		for o.start == len(o.first.buf) {
			o.first, o.start = o.first.next, 0
		}
		o.front = entrySize(o.first.buf[o.start:])
	}
	return true
}

// rewind makes what is not acknowledged be sent again.
func (o *outlog) rewind() { o.sent, o.next, o.off = o.acked, o.first, o.start }

// drop forgets all that waits.
func (o *outlog) drop() {
	o.first, o.last, o.next = nil, nil, nil
	o.acked, o.sent, o.bytes, o.front = o.appended, o.appended, 0, 0
}

// entrySize is the size of the length-delimited field that b begins with.
func entrySize(b []byte) int {
	_, _, tag := protowire.ConsumeTag(b)
	_, n := protowire.ConsumeBytes(b[tag:])
	return tag + n
}
