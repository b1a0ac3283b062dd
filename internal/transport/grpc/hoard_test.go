package grpc_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/xiaonanln/goverse/internal/transport/grpc"
)

// hoarder begins large messages on many streams of one connection, as far as flow control lets it, and ends none.
type hoarder struct {
	framer *http2.Framer

	mu      sync.Mutex // guards the fields below
	changed sync.Cond
	window  map[uint32]int // by stream; 0: of the connection
	over    bool
}

// listen takes in what the callee allows.
func (h *hoarder) listen() {
	for {
		f, err := h.framer.ReadFrame()
		h.mu.Lock()
		if f, ok := f.(*http2.WindowUpdateFrame); ok {
			h.window[f.StreamID] += int(f.Increment)
		}
		h.over = h.over || err != nil
		h.changed.Broadcast()
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// send sends bytes on a stream; false if the connection has ended, or there was no room for them for a while.
func (h *hoarder) send(stream uint32, b []byte) bool {
	for len(b) > 0 {
		stop := time.AfterFunc(200*time.Millisecond, h.changed.Broadcast)
		h.mu.Lock()
		begun := time.Now()
		for !h.over && (h.window[0] <= 0 || h.window[stream] <= 0) {
			if time.Since(begun) > 150*time.Millisecond {
				h.mu.Unlock()
				return false
			}
			h.changed.Wait()
		}
		n := min(len(b), h.window[0], h.window[stream], 16<<10)
		over := h.over
		h.window[0] -= n
		h.window[stream] -= n
		h.mu.Unlock()
		stop.Stop()
		if over || h.framer.WriteData(stream, false, b[:n]) != nil {
			return false
		}
		b = b[n:]
	}
	return true
}

// Before anybody has said who he is, he is given little memory, on however many streams.
func TestHoarders(t *testing.T) { // alone: it measures memory
	const many = 60
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	w.works("before", w.link)
	before := heap()
	c := w.plain(streams(t, many))
	h := &hoarder{framer: http2.NewFramer(c, c), window: map[uint32]int{0: 65535}}
	h.changed.L = &h.mu
	for i := range many {
		h.window[uint32(2*i+1)] = 1 << 20
	}
	var listening sync.WaitGroup
	listening.Go(h.listen)
	head := binary.BigEndian.AppendUint32([]byte{0}, 16<<20)
	message := append(slices.Clip(head), bytes.Repeat([]byte{0x2a}, 16<<20-1)...) // but one byte
	sent := 0
	for i := range many {
		if h.send(uint32(2*i+1), message) {
			sent++
		}
	}
	w.works("the other link", w.link)
	grew := heap() - before
	t.Logf("%d messages of 16 MiB are all but there: %d MiB", sent, grew>>20)
	if grew > 64<<20 {
		t.Errorf("one connection has %d MiB of the callee's memory without a handshake", grew>>20)
	}
	c.Close()
	listening.Wait()
	_, _ = io.Copy(io.Discard, c)
}
