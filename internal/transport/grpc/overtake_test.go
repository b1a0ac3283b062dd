package grpc

import (
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// one goroutine sends to one object calls of 40 kB and then one of 70 kB. They must arrive in that order.
func TestALargeCallDoesNotOvertakeSmallOnes(t *testing.T) {
	t.Parallel()
	c := quiet(bounds{queue: 1 << 20, calls: 100})
	sizes := []int{40_000, 40_001, 40_002, 40_003, 40_004, 70_005}
	for _, n := range sizes {
		if _, err := c.begin(t.Context(), &transport.Call{Request: object.Request{ID: "Room-1", Body: make([]byte, n)}}, true, &bound{}); err != nil {
			t.Fatal(err)
		}
	}
	var got []int
	for len(got) < len(sizes) {
		p := packet{buffer: mem.SliceBuffer(*leave(c))}
		if err := p.parse(); err != nil {
			t.Fatal(err)
		}
		err := c.each(&p, func(_ uint64, k kind, payload []byte) error {
			if k != kindCall {
				return nil
			}
			var call transport.Call
			_, _, err := readCall(payload, 0, c.known, &call)
			got = append(got, len(call.Body))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range sizes {
		if got[i] != sizes[i] {
			t.Fatalf("the calls arrive in the order %v, want %v", got, sizes)
		}
	}
}
