package routing_test

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// a call whose first sending ended its goroutine is answered soon when it is sent again, not at its deadline.
func TestACallThatExitedIsSentAgain(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.on("exit", func(context.Context, *cell, string) (string, error) { runtime.Goexit(); return "", nil })
		s.give(p[1], "cell-x", p[0])
		s.mute(p[1], p[0], true)
		ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
		defer cancel()
		call := p[0].start(ctx, "cell-x", "exit")
		pass(time.Second)
		s.mute(p[1], p[0], false)
		s.cut(p[0], p[1])
		r := <-call
		if r.after > 10*time.Second {
			s.Errorf("after %v: %v", r.after, r.err)
		}
	})
}
