package echo

import (
	"encoding/binary"
	"errors"
)

// headerBytes is the length of the payload (4 bytes) and the caller's number (8).
const headerBytes = 12

var errFrame = errors.New("a frame is cut off")

// appendFrame appends a frame: length, number, payload.
func appendFrame(b []byte, number uint64, payload []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint64(b, number)
	return append(b, payload...)
}

// openFrame appends a frame without its payload, which the caller appends before closeFrame.
func openFrame(b []byte, number uint64) []byte { return appendFrame(b, number, nil) }

// closeFrame writes the length of the frame that begins at start and ends where b does.
func closeFrame(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-headerBytes))
	return b
}

// cutFrame returns the first frame and what follows it; false when it is not whole.
func cutFrame(b []byte) (number uint64, payload, rest []byte, whole bool) {
	if len(b) < headerBytes {
		return 0, nil, b, false
	}
	end := headerBytes + int(binary.LittleEndian.Uint32(b))
	if len(b) < end {
		return 0, nil, b, false
	}
	return binary.LittleEndian.Uint64(b[4:]), b[headerBytes:end], b[end:], true
}

// answer appends the answers to all whole frames of in, and returns what is left of it.
func answer(out, in []byte) (answers, rest []byte) {
	for {
		number, payload, rest, whole := cutFrame(in)
		if !whole {
			return out, in
		}
		out, in = appendFrame(out, number, payload), rest
	}
}
