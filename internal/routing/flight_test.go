package routing_test

import (
	"context"
	"maps"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// Whatever has become of the memory that the first attempt took, the later ones are the same call, and have the time that
// it has left; also where it waits in a turn, and where it is called by its method.
func TestLaterAttemptsAreTheSameCall(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(s *stage, p *peer, id string) error{
		"from outside": func(s *stage, p *peer, id string) error { _, err := p.do(s.Context(), id, "add"); return err },
		"by its method": func(s *stage, p *peer, id string) error {
			_, err := p.Invoke(s.Context(), id, object.ExprOf((*cell).Do), wrapperspb.String("add"))
			return err
		},
		"of a turn": func(s *stage, p *peer, id string) error {
			_, err := p.do(s.Context(), "cell-x", "ask "+id+" add")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				s.give(p[0], "cell-x", p[1])
				id := "cell-far" + apart(p[0], "cell-x")
				var calls []transport.Call
				s.impostor("evil", func(c *transport.Call) *transport.Reply {
					calls = append(calls, *c)
					if len(calls) == 3 {
						return &transport.Reply{}
					}
					time.Sleep(time.Second) //nolint:forbidigo // virtual time
					err := object.Refuse(object.CodeUnavailable, "", "", "", "", "not now").WithExecuted(object.ExecutedUnknown)
					return &transport.Reply{Err: err}
				})
				far := cluster.Route{Incarnation: "evil", Address: address("evil"), Epoch: 3, Revision: 3}
				p[0].table.tell(p[0].node.ShardOf(id), far)
				if err := ask(s, p[0], id); err != nil || len(calls) != 3 {
					s.Fatalf("%v, after %d attempts", err, len(calls))
				}
				first := calls[0]
				if first.Resent || first.CallID == (transport.CallID{}) || first.Timeout != object.DefaultCallTimeout {
					s.Errorf("the first attempt is %+v", first)
				}
				for i, c := range calls[1:] {
					least := time.Duration(i+1) * time.Second
					if taken := first.Timeout - c.Timeout; taken < least || taken > least+time.Second || !c.Resent {
						s.Errorf("a later attempt: resent=%t, %v have been taken off its time", c.Resent, taken)
					}
					c.Timeout, c.Resent = first.Timeout, false
					if !reflect.DeepEqual(c, first) {
						s.Errorf("a later attempt is %+v, the first was %+v", c, first)
					}
				}
			})
		})
	}
}

// A call whose answer is no message ran, and is counted as failed where it came from, once.
func TestAnAnswerThatIsNoMessage(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]object.Reply{
		"garbage":           {Message: "google.protobuf.StringValue", Body: []byte("\xff")},
		"garbage, nameless": {Body: []byte("\xff")},
		"an unknown name":   {Message: "test.Unknown"},
		"other garbage":     {Message: "google.protobuf.Int64Value", Body: []byte("\xff")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				s.impostor("evil", func(*transport.Call) *transport.Reply { return &transport.Reply{Reply: reply} })
				far := cluster.Route{Incarnation: "evil", Address: address("evil"), Epoch: 3, Revision: 3}
				p[0].table.tell(p[0].node.ShardOf("cell-x"), far)
				_, err := p[0].do(context.Background(), "cell-x", "add")
				s.want(err, object.CodeInternal, object.ExecutedYes, "call cell-x.Do: decode the reply")
				synctest.Wait()
				if got := p[0].node.CallErrors(); !maps.Equal(got, map[object.Code]uint64{object.CodeInternal: 1}) {
					s.Errorf("the node counts %v", got)
				}
			})
		})
	}
}
