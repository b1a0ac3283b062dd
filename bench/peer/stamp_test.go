package peer_test

import (
	"slices"
	"testing"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

func TestStampsTellCallsApart(t *testing.T) {
	t.Parallel()
	s := peer.NewStamps(2)
	for _, size := range []int{1, peer.StampBytes, 100} {
		s.Resize(size)
		first := slices.Clone(s.Next(0))
		if len(first) != max(size, peer.StampBytes) {
			t.Errorf("asked for %d bytes, got %d", size, len(first))
		}
		if err := s.Check(0, first); err != nil {
			t.Error(err)
		}
		other := s.Next(1)
		if s.Check(0, other) == nil {
			t.Error("another caller's payload is accepted")
		}
		s.Next(0)
		if s.Check(0, first) == nil {
			t.Error("the payload of the call before is accepted")
		}
	}
	if s.Calls(0) != 6 || s.Calls(1) != 3 {
		t.Errorf("%d and %d calls are counted", s.Calls(0), s.Calls(1))
	}
}

func TestTallyCounts(t *testing.T) {
	t.Parallel()
	var tally peer.Tally
	for want := int64(1); want < 3; want++ {
		resp := tally.Bump(&benchpb.BumpRequest{Payload: []byte("here")})
		if resp.GetValue() != want || string(resp.GetPayload()) != "here" {
			t.Errorf("call %d is answered with %v", want, resp)
		}
	}
}

// TestMessageAllocations: two messages made, two decoded, and each decoded one holds its payload. It does not run beside
// other tests, which allocate too.
func TestMessageAllocations(t *testing.T) {
	for _, payload := range []int{16, 1024} {
		if n, err := peer.MessageAllocations(payload); err != nil || n != 6 {
			t.Errorf("%d bytes: %g allocations, %v", payload, n, err)
		}
	}
}
