package routing_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// push pushes to a client and fails the test if that takes any time.
func (s *stage) push(from *peer, id, text string) error {
	s.Helper()
	begun := time.Now()
	msg := wrapperspb.String(text)
	err := from.Push(s.Context(), id, msg)
	msg.Value = "changed by the pusher"
	if d := time.Since(begun); d != 0 {
		s.Errorf("%s took %v", text, d)
	}
	return err
}

// heard is what a client of a node was pushed, without its ID.
func heard(p *peer, id string) []string {
	var texts []string
	for _, line := range p.clients.got() {
		if text, ok := strings.CutPrefix(line, id+" "); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// Who pushes waits for nobody, whatever the way is like; what was pushed arrives once, in order, or is counted.
func TestPushWaitsForNothing(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		id := s.visit(p[1], "eve")
		there := func(f mem.Faults) { s.net.SetFaults(address("a"), address("b"), f) }
		must := func(texts ...string) {
			for _, text := range texts {
				if err := s.push(p[0], id, text); err != nil {
					s.Errorf("%s: %v", text, err)
				}
			}
		}
		there(mem.Faults{Cut: true})
		must("lost 1", "lost 2")
		pass(2 * time.Second)
		must("waits 1", "waits 2")
		pass(500 * time.Millisecond)
		there(mem.Faults{Delay: 100 * time.Millisecond})
		pass(time.Second)
		must("slow 1", "slow 2")
		pass(99 * time.Millisecond)
		if got := heard(p[1], id); !slices.Equal(got, []string{"waits 1", "waits 2"}) {
			s.Errorf("the client got %q", got)
		}
		pass(time.Millisecond)
		there(mem.Faults{Hold: true})
		must("held")
		pass(time.Second)
		there(mem.Faults{})
		must("last")
		pass(time.Minute)
		if got := heard(p[1], id); !slices.Equal(got, []string{"waits 1", "waits 2", "slow 1", "slow 2", "held", "last"}) {
			s.Errorf("the client got %q", got)
		}
		if lost := p[0].LostPushes(); lost != (routing.LostPushes{OnTheWay: 2}) {
			s.Errorf("lost: %+v", lost)
		}
		if n := strings.Count(s.log.String(), "pushes between servers were lost"); n != 1 {
			s.Errorf("the log says %d times that pushes were lost", n)
		}
	})
}

// Pushes arrive in order although links hold up what is not of one caller, and before calls that are made after them.
func TestPushesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.on("push", func(ctx context.Context, _ *cell, arg string) (string, error) {
			id, text, _ := strings.Cut(arg, " ")
			return "", peerOf(ctx).Push(ctx, id, wrapperspb.String(text))
		})
		s.give(p[0], "cell-x", p[1])
		id := s.visit(p[1], "eve")
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Jitter: 10 * time.Millisecond, Reorder: 10 * time.Millisecond})
		var want []string
		for i := range 200 { // turns of one object
			p[0].must("cell-x", fmt.Sprintf("push %s %d", id, i))
			want = append(want, fmt.Sprint(i))
		}
		pass(time.Second)
		if got := heard(p[1], id); !slices.Equal(got, want) {
			s.Errorf("the client got %q", got)
		}
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true}) // the next push waits for a connection
		if err := s.push(p[0], id, "before the call"); err != nil {
			s.Fatal(err)
		}
		pass(500 * time.Millisecond) // in which it is tried less and less often
		s.net.SetFaults(address("a"), address("b"), mem.Faults{})
		if got := p[0].must(id, "hi"); got != "b hi" {
			s.Error(got)
		}
		if got := heard(p[1], id); len(got) != len(want)+1 {
			s.Errorf("the call was before the push: the client has got %d", len(got))
		}
		s.net.SetFaults(address("a"), address("b"), mem.Faults{HalfOpen: true})
		if err := s.push(p[0], id, "x"); err != nil {
			s.Fatal(err)
		}
		limited, cancel := context.WithTimeout(s.Context(), 100*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if _, err := p[0].do(limited, id, "hi"); object.CodeOf(err) != object.CodeDeadlineExceeded || time.Since(begun) != 100*time.Millisecond {
			s.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}

// What waits for a node is bounded, and then who pushes is told at once.
func TestPushesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	onStage(t, 3, func(s *stage, p []*peer) {
		eve, bob := s.visit(p[1], "eve"), s.visit(p[2], "bob")
		s.net.SetFaults(address("a"), address("b"), mem.Faults{HalfOpen: true}) // even connecting takes its time
		text := strings.Repeat("x", 1000)
		n := 0
		for ; n < 1000; n++ {
			err := s.push(p[0], eve, text)
			if err == nil {
				continue
			}
			s.want(err, object.CodeResourceExhausted, object.ExecutedNo, "too much waits")
			if e := object.FromError(err); e.Reason != object.Overloaded || e.RetryAfter <= 0 {
				s.Errorf("%+v", e)
			}
			break
		}
		if n < limit/1300 || n > limit/1000 {
			s.Errorf("%d messages of %d bytes wait", n, len(text))
		}
		if err := s.push(p[0], bob, "hello"); err != nil { // of another node
			s.Error(err)
		}
		synctest.Wait()
		if got := heard(p[2], bob); !slices.Equal(got, []string{"hello"}) {
			s.Errorf("bob got %q", got)
		}
		s.net.SetFaults(address("a"), address("b"), mem.Faults{})
		pass(time.Minute)
		lost := p[0].LostPushes().OnTheWay
		if got := len(heard(p[1], eve)); got+int(lost) != n {
			s.Errorf("of %d messages %d have come, and %d are lost", n, got, lost)
		}
		if err := s.push(p[0], eve, "there is room again"); err != nil {
			s.Error(err)
		}
		s.want(s.push(p[0], bob, strings.Repeat("x", 5000)), object.CodeInvalidArgument, object.ExecutedNo, "at most 4096 are allowed")
	}, func(c *routing.Config) { c.WaitingBytes, c.PushBytes = limit, 4096 })
}

// What arrives for a client that does not take it is dropped and counted; that it has gone is told, but only by who knows.
func TestPushesThatArriveForNobody(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		id := s.visit(p[1], "eve")
		p[1].clients.refuse = object.Refuse(object.CodeResourceExhausted, "", "push", id, "", "the client does not read")
		if err := s.push(p[0], id, "1"); err != nil {
			s.Error(err)
		}
		synctest.Wait()
		p[1].clients.refuse = nil
		p[1].table.fence(true)
		if err := s.push(p[0], id, "2"); err != nil {
			s.Error(err)
		}
		synctest.Wait()
		p[1].table.fence(false)
		if lost := p[1].LostPushes(); lost != (routing.LostPushes{Refused: 2}) {
			s.Errorf("lost: %+v", lost)
		}
		liar := p[2].endpoint.Dial(transport.Peer{Cluster: "test", Address: address("a"), Incarnation: "a"})
		defer liar.Close()
		for op := range transport.Op(255) {
			c := &transport.Call{Request: object.Request{ID: id}, Op: op, Shard: ^uint32(0), OneWay: true}
			if err := liar.Send(s.Context(), c); err != nil {
				s.Error(err)
			}
		}
		pass(time.Second)
		if err := s.push(p[0], id, "3"); err != nil {
			s.Errorf("after a lie: %v", err)
		}
		synctest.Wait()
		if got := heard(p[1], id); !slices.Equal(got, []string{"3"}) {
			s.Errorf("the client got %q", got)
		}
		if err := p[1].clients.Kick(s.Context(), id); err != nil {
			s.Fatal(err)
		}
		s.gone(p[0], id, true)
		if lost := p[1].LostPushes(); lost.Gone != 1 {
			s.Errorf("lost: %+v", lost)
		}
	})
}

// A router that ends takes its outboxes with it, and counts what they held.
func TestPushesEndWithTheirRouter(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		id := s.visit(p[1], "eve")
		s.net.SetFaults(address("a"), address("b"), mem.Faults{HalfOpen: true})
		for range 100 {
			if err := s.push(p[0], id, "x"); err != nil {
				s.Fatal(err)
			}
		}
		limited, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		p[0].FlushPushes(limited)
		if limited.Err() == nil {
			s.Error("FlushPushes has not waited")
		}
		p[0].serving()
		<-p[0].served
		if lost := p[0].LostPushes().OnTheWay; lost != 100 {
			s.Errorf("%d are lost", lost)
		}
		s.want(s.push(p[0], id, "late"), object.CodeUnavailable, object.ExecutedNo, "no member")
	})
}

// What is not a refusal that the client has gone is none of the deletion's business.
func TestDeleteOfAClientThatIsRefused(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		id := s.visit(p[1], "eve")
		p[1].clients.refuse = errors.New("the test says no") // whatever that means, it is not tried again
		s.want(p[0].Delete(s.Context(), id), object.CodeUnknown, object.ExecutedUnknown, "")
		if p[1].clients.kicks != 1 {
			s.Errorf("kicked %d times", p[1].clients.kicks)
		}
	})
}

// Inspectors are told of what is on its way to a client, not of what was refused.
func TestRefusedPushesAreNotSeen(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		here, there := s.visit(p[0], "adam"), s.visit(p[1], "eve")
		look := p[0].node.Observe()
		defer look.Close()
		look.Aim(&inspectmsg.WatchRequest{Objects: true})
		for _, id := range []string{here, there, "visitor-gone@a", there} {
			_ = s.push(p[0], id, "x")
		}
		p[0].clients.mu.Lock()
		p[0].clients.refuse = object.Refuse(object.CodeResourceExhausted, object.Overloaded, "push", here, "", "too slow")
		p[0].clients.mu.Unlock()
		_ = s.push(p[0], here, "x")
		seen := map[string]uint64{}
		for _, e := range look.Collect().GetObjectEdges() {
			seen[e.GetTo()] += e.GetCalls()
		}
		if want := map[string]uint64{here: 1, there: 2}; !maps.Equal(seen, want) {
			s.Errorf("seen %v, want %v", seen, want)
		}
	})
}
