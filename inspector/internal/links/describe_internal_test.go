package links

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// told is a node that says of each object the same, after a while, or fails.
type told struct {
	inspectpb.InspectServiceClient

	info  *inspectpb.DescribeResponse
	after time.Duration
	err   error
	asked bool
	ended error // why nobody waited for it; nil: it has answered
}

func (n *told) Describe(ctx context.Context, _ *inspectpb.DescribeRequest, _ ...grpc.CallOption) (*inspectpb.DescribeResponse, error) {
	n.asked = true
	select {
	case <-time.After(n.after):
		return n.info, n.err
	case <-ctx.Done():
		n.ended = ctx.Err()
		return nil, ctx.Err()
	}
}

// An object is asked for at its home alone, unless that does not know or is slow; nobody waits for others than the first
// that has it, and none says that it is nowhere while it may be where nobody answers.
func TestDescribe(t *testing.T) {
	t.Parallel()
	const long = time.Hour
	found, owned, neither := &inspectpb.DescribeResponse{Found: true}, &inspectpb.DescribeResponse{Owned: true}, &inspectpb.DescribeResponse{}
	for what, c := range map[string]struct {
		id    string
		nodes map[string]*told // A is the home of rooms
		node  string
		err   error
		asked string
		took  time.Duration
	}{
		"at home":            {"Room-r", map[string]*told{"A": {info: found}, "B": {after: long}}, "A", nil, "A", 0},
		"nowhere":            {"Room-r", map[string]*told{"A": {info: owned}, "B": {after: long}}, "", nil, "A", 0},
		"moved":              {"Room-r", map[string]*told{"A": {info: neither}, "B": {info: found}, "C": {after: long}}, "B", nil, "ABC", 0},
		"slow home":          {"Room-r", map[string]*told{"A": {info: found, after: time.Second}, "B": {info: neither}}, "A", nil, "AB", time.Second},
		"hung home, moved":   {"Room-r", map[string]*told{"A": {after: long}, "B": {info: found}}, "B", nil, "AB", homeFirst},
		"hung home":          {"Room-r", map[string]*told{"A": {after: long}, "B": {info: neither}}, "", ErrNoAnswer, "AB", askTimeout},
		"failing home":       {"Room-r", map[string]*told{"A": {err: errors.New("crashed")}, "B": {info: neither}}, "", ErrNoAnswer, "AB", 0},
		"client":             {"User-u", map[string]*told{"A": {after: long}, "B": {info: found}, "C": {info: owned}}, "B", nil, "ABC", 0},
		"no client":          {"User-u", map[string]*told{"A": {info: owned}, "B": {info: owned}}, "", nil, "AB", 0},
		"no client, hung":    {"User-u", map[string]*told{"A": {info: owned}, "B": {after: long}}, "", ErrNoAnswer, "AB", askTimeout},
		"unknown type":       {"What-w", map[string]*told{"A": {info: owned}, "B": {info: found}}, "B", nil, "AB", 0},
		"home without links": {"Room-r", map[string]*told{"B": {info: neither}}, "", nil, "B", 0},
		"nobody":             {"Room-r", nil, "", nil, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := model.New(clock.Virtual())
			m.Place(cluster.View{UUID: "u", Revision: 1, Members: []cluster.MemberInfo{{Incarnation: "A", Address: "a:1"}}, Shards: []cluster.ShardInfo{{Owner: "A"}}})
			m.Registered("A", []*inspectpb.TypeInfo{{Name: "Room"}, {Name: "User", Client: true}})
			l := New(m, nil, clock.Virtual())
			for id, n := range c.nodes {
				l.peers[id] = &peer{id: id, client: n}
			}
			begun := time.Now()
			node, info, err := l.Describe(t.Context(), c.id)
			if node != c.node || !errors.Is(err, c.err) || err == nil && info.GetFound() != (c.node != "") || time.Since(begun) != c.took {
				t.Errorf("%s: at %q %v, %v, after %v", what, node, info, err, time.Since(begun))
			}
			var asked strings.Builder
			for _, id := range slices.Sorted(maps.Keys(c.nodes)) {
				if n := c.nodes[id]; n.asked {
					asked.WriteString(id)
				}
			}
			if asked.String() != c.asked {
				t.Errorf("%s: %s are asked, not %s", what, asked.String(), c.asked)
			}
			if b := c.nodes["A"]; c.node == "B" && b != nil && b.after == long && !errors.Is(b.ended, context.Canceled) {
				t.Errorf("%s: who hangs is asked until %v", what, b.ended)
			}
		})
	}
}
