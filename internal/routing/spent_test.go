package routing_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// A call whose memory was used for others is still known when it is sent again, and answered with its own reply.
func TestSpentCallsAreRemembered(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.on("say", func(_ context.Context, _ *cell, arg string) (string, error) { return arg, nil })
		s.give(p[1], "cell-x", p[0])
		var local any // stays with the call's memory
		send := func(id byte, text string, again bool) string {
			c := s.request(p[0], "cell-x", "say "+text)
			c.CallID, c.From, c.Resent, c.Local = transport.CallID{1, id}, "a", again, local
			reply := p[1].Handler().AcceptCall(s.Context(), c)()
			if reply.Err != nil {
				s.Fatal(reply.Err)
			}
			said := decode(s.T, reply)
			if reply.Spent != nil {
				reply.Spent()
				local = c.Local
			} else if !again {
				s.Error("the call's memory is not given back")
			}
			return said
		}
		text := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), []int{3, 60, 62, 63, 500, 5000}[i%6]) }
		const calls = 60
		for i := range calls {
			if said := send(byte(i), text(i), false); said != text(i) {
				s.Errorf("call %d says %q, want %q", i, said, text(i))
			}
		}
		for i := range calls {
			if said := send(byte(i), "it runs again", true); said != text(i) {
				s.Errorf("call %d, sent again, says %q, want %q", i, said, text(i))
			}
		}
	})
}

// What a method keeps of a call, its context, stays that of its own call.
func TestKeptContextsOutliveSpentCalls(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		var kept []context.Context
		s.on("keep", func(ctx context.Context, _ *cell, _ string) (string, error) {
			kept = append(kept, ctx)
			return "", nil
		})
		s.give(p[1], "cell-x", p[0])
		const calls = 60
		began := time.Now()
		for i := range calls {
			ctx, cancel := context.WithTimeout(s.Context(), time.Duration(i+1)*time.Minute)
			_, err := p[0].do(ctx, "cell-x", "keep", object.WithMetadata("call", fmt.Sprint(i)), object.WithIdempotencyKey(key(i)))
			cancel()
			if err != nil {
				s.Fatal(err)
			}
		}
		for i, ctx := range kept {
			at, _ := ctx.Deadline()
			if d := at.Sub(began); d != time.Duration(i+1)*time.Minute {
				s.Errorf("call %d has %v", i, d)
			}
			if got := object.MetadataFrom(ctx)["call"]; got != fmt.Sprint(i) {
				s.Errorf("call %d has the metadata of call %s", i, got)
			}
			if got := object.IdempotencyKey(ctx); got != key(i) {
				s.Errorf("call %d has the key %q", i, got)
			}
			select {
			case <-ctx.Done():
			default:
				s.Errorf("call %d has not ended", i)
			}
		}
	})
}

// key is that of every tenth call.
func key(i int) string {
	if i%10 == 0 {
		return fmt.Sprint("key ", i)
	}
	return ""
}

// The memory of a call that had to wait for its object, and may be known to others, is not used for another one.
func TestCallsThatWaitedAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		release := make(chan struct{})
		s.on("hold", func(context.Context, *cell, string) (string, error) { <-release; return "", nil })
		s.on("say", func(_ context.Context, _ *cell, arg string) (string, error) { return arg, nil })
		s.give(p[1], "cell-x", p[0])
		held := p[1].start(s.Context(), "cell-x", "hold")
		pass(time.Second)
		for _, waits := range []bool{true, false} {
			c := s.request(p[0], "cell-x", "say it")
			c.CallID, c.From = transport.CallID{1}, "a"
			run := p[1].Handler().AcceptCall(s.Context(), c)
			if waits {
				close(release)
				<-held
			}
			reply := run()
			if reply.Err != nil || reply.Spent == nil {
				s.Fatalf("the reply is %+v", reply)
			}
			reply.Spent()
			if gone := c.Local == nil; gone != waits {
				s.Errorf("a call that waits (%t) is not used again: %t", waits, gone)
			}
		}
	})
}
