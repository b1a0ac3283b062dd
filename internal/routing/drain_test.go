package routing_test

import (
	"context"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
)

// a call that is sent again while its shard drains is answered with the outcome of its first sending: the memory
// is still that of the turn. Else it runs a second time at the new owner, to whom the memory goes along.
func TestSentAgainDuringADrain(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		const id = "keeper-x"
		s.give(p[1], id, p[0], p[2])
		l := s.raw(p[0], p[1])
		c := s.request(p[0], id, "add")
		c.CallID = transport.CallID{1}
		if reply, err := l.Call(s.Context(), c); err != nil || reply.Err != nil {
			s.Fatal(err, reply)
		}
		s.on("hold", func(context.Context, *cell, string) (string, error) { <-time.After(5 * time.Second); return "", nil })
		slow := p[1].start(s.Context(), id, "hold") // the drain waits for it
		pass(time.Second)
		old, tag, target := s.begin(p[1], p[2], id)
		n := p[1].node.ShardOf(id)
		drained := make(chan error, 1)
		go func() { drained <- p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag) }()
		pass(time.Second)
		again := *c
		again.Resent = true
		ctx, cancel := context.WithTimeout(s.Context(), 2*time.Second)
		defer cancel()
		reply, err := l.Call(ctx, &again)
		if err != nil || reply.Err != nil {
			s.Errorf("during the drain: %v, %+v", err, reply)
		}
		<-slow
		if err := <-drained; err != nil {
			s.Fatal(err)
		}
		s.finish(p[1], p[2], id, tag, p[0])
	})
}
