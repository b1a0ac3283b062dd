package routing_test

import (
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// Whether the node may answer is looked at once for calls that are foreseen, and again before each reply leaves. What was
// found counts for these calls alone, and only that it may.
func TestValidityOfCallsThatAreForeseen(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		asked, valid := 0, true
		p[1].table.whenValid(func() bool { asked++; return valid })
		defer p[1].table.whenValid(nil)
		looks := func(what string, want int) {
			s.Helper()
			if asked != want {
				s.Errorf("%s it looks %d times, want %d", what, asked, want)
			}
			asked = 0
		}
		var calls []*transport.Call
		for i := range 3 {
			c := s.request(p[0], "cell-x", "add")
			c.CallID, c.From = transport.CallID{byte(i + 1)}, "a"
			calls = append(calls, c)
		}
		foresee := p[1].Handler().(transport.Foreseer).Foresee
		accept := func(c *transport.Call) func() *transport.Reply { return p[1].Handler().AcceptCall(s.Context(), c) }
		runs := func(run func() *transport.Reply) {
			s.Helper()
			if reply := run(); reply.Err != nil {
				s.Errorf("a call is refused: %v", reply.Err)
			} else {
				reply.Spent()
			}
		}

		foresee(calls)
		looks("foreseeing three", 1)
		first, second := accept(calls[0]), accept(calls[1])
		looks("accepting two of them", 0)
		runs(first)
		runs(second)
		looks("running them", 2)
		again := accept(calls[0]) // another one in the same memory
		looks("accepting one that was not foreseen", 1)
		runs(again)

		valid = false
		late := accept(calls[2])
		reply := late()
		if object.CodeOf(reply.Err) != object.CodeUnavailable || object.Executed(reply.Err) != object.ExecutedUnknown {
			s.Errorf("a reply leaves without a lease: %+v", reply)
		}
		asked = 0
		foresee(calls[:2])
		looks("foreseeing two without a lease", 1)
		reply = accept(calls[0])()
		if object.CodeOf(reply.Err) != object.CodeUnavailable || object.Executed(reply.Err) != object.ExecutedNo {
			s.Errorf("without a lease a call comes to %+v", reply)
		}
	})
}
