package routing_test

import (
	"testing"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
)

// an outcome is void when the memory that it speaks of was lost before the caller was told: a call that is sent
// again runs again then, as it does where the outcome was withheld.
func TestAnOutcomeOfLostMemoryIsVoid(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		r := s.give(p[1], "cell-x", p[0])
		l := s.raw(p[0], p[1])
		send := func(again bool) *transport.Reply {
			c := s.request(p[0], "cell-x", "add")
			c.CallID, c.Resent = transport.CallID{1}, again
			reply, err := l.Call(s.Context(), c)
			if err != nil || reply.Err != nil {
				s.Fatal(err, reply.Err)
			}
			return reply
		}
		send(false) // the answer is lost with the link; then the lease is, and with it the object's memory
		p[1].Host().ReleaseShard(p[1].node.ShardOf("cell-x"), r.Epoch, cluster.ReleaseLost)
		s.give(p[1], "cell-x", p[0])
		send(true) // success
		if got := p[0].must("cell-x", "add"); got != "2" {
			s.Errorf("after an acknowledged add, add says %s, want 2", got)
		}
	})
}
