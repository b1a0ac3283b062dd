package peer_test

import (
	"testing"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

func TestNamesAreTheSameKeptOrNot(t *testing.T) {
	t.Parallel()
	kept := peer.NewNames("Counter-", peer.Options{Objects: 11})
	transient := peer.NewNames("Counter-", peer.Options{Transient: true})
	if got := transient.At(12_345_678); got != "Counter-12345678" {
		t.Errorf("a number of eight digits became %s", got)
	}
	for i, want := range map[int]string{0: "Counter-0000000", 10: "Counter-0000010"} {
		if a, b := kept.At(i), transient.At(i); a != want || b != want {
			t.Errorf("object %d is %s and %s, want %s", i, a, b, want)
		}
	}
}

func TestCounterMissesItsPayload(t *testing.T) {
	t.Parallel()
	var c peer.Counter
	if resp, err := c.Add(peer.NewRequest()); err != nil || resp.GetValue() != 1 {
		t.Errorf("the first answer is %v, %v", resp, err)
	}
	if _, err := c.Add(&benchpb.AddRequest{Delta: 1, Note: "short"}); err == nil {
		t.Error("a request without its payload is accepted")
	}
}
