package routing_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

// What a hook fails with is final, on the caller's node and on another, although it may look
// like a node's refusal.
func TestWhatAHookFailsWithIsFinal(t *testing.T) {
	t.Parallel()
	for _, reason := range []object.Reason{"", object.Fenced, "Misrouted"} {
		for _, hook := range []string{"OnActivate", "OnCreate"} {
			t.Run(hook+" "+string(reason), func(t *testing.T) {
				t.Parallel()
				onStage(t, 2, func(s *stage, p []*peer) {
					s.give(p[0], "fussy-x", p[1])
					runs := 0
					s.on(hook, func(context.Context, *cell, string) (string, error) {
						runs++
						return "", object.Refuse(object.CodeUnavailable, reason, "call", "cell-y", "Do", "what it needs is away")
					})
					for _, from := range p {
						runs = 0
						begun := time.Now()
						var err error
						if hook == "OnCreate" {
							_, err = from.Create(s.Context(), "fussy", "fussy-x", nil)
						} else {
							_, err = from.do(s.Context(), "fussy-x", "add")
						}
						if reason != "Misrouted" || from != p[0] { // there it is what the hook says
							s.want(err, object.CodeUnavailable, object.ExecutedNo, "what it needs is away")
						}
						if d := time.Since(begun); runs != 1 || d != 0 {
							s.Errorf("from %s: %s ran %d times within %v", from.name, hook, runs, d)
						}
					}
				})
			})
		}
	}
}

// A turn tells a client of another server, which is as if it was told from outside.
func TestTurnsTellClientsElsewhere(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[0], "cell-x", p[1])
		id := s.visit(p[1], "eve")
		p[0].must("cell-x", "tell "+id+" hi")
		pass(time.Second)
		if n := s.ran(id); n != 1 {
			s.Errorf("the client's object was told %d times: %s", n, s.log.String())
		}
		if err := p[1].node.DetachClient(s.Context(), id, object.DisconnectClosed); err != nil {
			s.Error(err)
		}
		p[0].must("cell-x", "tell "+id+" late")
		p[1].must("cell-x", "tell visitor-nobody hi")
		pass(time.Minute)
		if n := s.ran(id); n != 1 {
			s.Errorf("a client that is gone was told: %d", n)
		}
	})
}

// What would have to be found elsewhere is refused when the server has stopped, also where
// nothing is known of it.
func TestClosedRouterRefusesPushes(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		id := s.visit(p[1], "eve")
		p[0].Close()
		s.want(p[0].Push(s.Context(), id, wrapperspb.String("x")), object.CodeUnavailable, object.ExecutedNo, "stopped")
	})
}
