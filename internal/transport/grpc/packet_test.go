package grpc

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
)

// What comes in pieces is read as what comes whole, also in memory that was used before.
func TestPacketsInPieces(t *testing.T) {
	t.Parallel()
	c := newCodec(&buffers{}, &wholes{})
	for _, size := range []int{1, 3000, leastBuffer, 100_000, 20, mostBuffer + 1, 70_000} {
		whole := bytes.Repeat([]byte{byte(size), 1, 2}, size)[:size]
		in := mem.BufferSlice{mem.SliceBuffer(whole[:size/2]), mem.SliceBuffer(whole[size/2:])}
		var p packet
		if err := c.Unmarshal(in, &p); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p.buffer.ReadOnlyData(), whole) {
			t.Errorf("%d bytes were not read as they are", size)
		}
		p.free()
	}
}

// The memory of large packets does not stay, that of others serves all that fit.
func TestWholesKeepsWhatIsOfUse(t *testing.T) {
	t.Parallel()
	var w wholes
	large := make([]byte, mostBuffer+1)
	w.Put(&large)
	small := w.Get(10)
	if cap(*small) > mostBuffer {
		t.Error("memory of more than a packet was kept")
	}
	for _, length := range []int{1, leastBuffer, leastBuffer + 1, 5 * leastBuffer, mostBuffer} {
		w.Put(small)
		if small = w.Get(length); len(*small) != length || cap(*small) < length {
			t.Errorf("%d bytes asked for, got %d of %d", length, len(*small), cap(*small))
		}
	}
}
