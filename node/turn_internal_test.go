package node

import (
	"testing"
	"unsafe"
)

// A turn is what a call allocates, and what two processors pass to and fro where calls queue: one cache line.
func TestTurnIsACacheLine(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(turn{}); size > 64 {
		t.Errorf("a turn has %d bytes", size)
	}
}
