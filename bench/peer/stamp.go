package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// StampBytes is the smallest payload: who calls, and for which time.
const StampBytes = 16

var errPayload = errors.New("the payload that came back is not the one that was sent")

// Stamps makes the payloads of calls to another process. Every payload of a driver is another one, so that a reply
// which reaches the wrong caller, or comes twice, is found out. Each caller uses its own entry.
type Stamps struct{ each []stamp }

// stamp fills cache lines of its own: callers do not slow each other down.
type stamp struct {
	payload []byte
	calls   uint64
	_       [96]byte
}

// NewStamps returns payloads for callers; [Stamps.Resize] before use.
func NewStamps(callers int) *Stamps { return &Stamps{each: make([]stamp, callers)} }

// Resize sets the length of payloads, at least StampBytes.
func (s *Stamps) Resize(payload int) {
	for i := range s.each {
		s.each[i].payload = bytes.Repeat([]byte{'.'}, max(payload, StampBytes))
		binary.LittleEndian.PutUint64(s.each[i].payload, uint64(i))
	}
}

// Next returns the payload of a caller's next call. It is good until the call after that.
func (s *Stamps) Next(caller int) []byte {
	c := &s.each[caller]
	c.calls++
	binary.LittleEndian.PutUint64(c.payload[8:], c.calls)
	return c.payload
}

// Calls is how many payloads a caller has got.
func (s *Stamps) Calls(caller int) int64 { return int64(s.each[caller].calls) }

// Check compares what came back to a caller with its latest payload.
func (s *Stamps) Check(caller int, got []byte) error {
	if !bytes.Equal(s.each[caller].payload, got) {
		return errPayload
	}
	return nil
}
