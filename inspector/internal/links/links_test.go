package links_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/forms"
	"github.com/xiaonanln/goverse/inspector/internal/links"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a node that can be asked.
type node struct {
	inspectpb.UnimplementedInspectServiceServer

	address string
	server  *grpc.Server
	served  chan struct{}

	mu        sync.Mutex
	watches   map[string]int // guarded by mu: open streams by focus
	begun     int            // guarded by mu: streams that have been opened
	alone     bool           // guarded by mu: the last who said so without a focus looks at nothing
	terse     atomic.Bool    // it tells once and no more
	described *inspectpb.DescribeResponse
	err       error // guarded by mu: what it answers with
}

// serve starts a node, at an address of its own if none is given.
func serve(t *testing.T, address string) *node {
	t.Helper()
	if address == "" {
		address = "localhost:0"
	}
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{address: lis.Addr().String(), server: grpc.NewServer(), served: make(chan struct{}), watches: make(map[string]int)}
	inspectpb.RegisterInspectServiceServer(n.server, n)
	go func() { defer close(n.served); n.server.Serve(lis) }()
	t.Cleanup(n.stop)
	return n
}

func (n *node) stop() { n.server.Stop(); <-n.served }

func (n *node) Types(context.Context, *inspectpb.TypesRequest) (*inspectpb.TypesResponse, error) {
	return &inspectpb.TypesResponse{Types: []*inspectpb.TypeInfo{{Name: "Room"}}}, nil
}

// Watch tells how it is, again and again unless the node is terse.
func (n *node) Watch(s grpc.BidiStreamingServer[inspectpb.WatchRequest, inspectpb.WatchResponse]) error {
	want, err := s.Recv()
	if err != nil {
		return err
	}
	if details := want.GetObjects() || want.GetFocus() != ""; want.GetDetailsOnly() != details {
		return status.Errorf(codes.InvalidArgument, "wanted are %v: one stream tells of the node, the others of details", want)
	}
	n.count(want.GetFocus(), 1)
	defer n.count(want.GetFocus(), -1)
	n.note(want)
	go func() { // until the stream ends
		for want, err := s.Recv(); err == nil; want, err = s.Recv() {
			n.note(want)
		}
	}()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	if n.terse.Load() {
		every.Stop()
	}
	for {
		if err := s.Send(&inspectpb.WatchResponse{Vitals: &inspectpb.Vitals{Lease: "valid", ValidForNs: 1}}); err != nil {
			return err
		}
		select {
		case <-every.C:
		case <-s.Context().Done():
			return nil
		}
	}
}

// note takes in what a stream wants.
func (n *node) note(want *inspectpb.WatchRequest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if want.GetFocus() == "" {
		n.alone = want.GetUnattended() && want.GetHoldNs() == int64(model.HoldFor)
	}
}

func (n *node) unattended(want bool) func() bool {
	return func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.alone == want
	}
}

func (n *node) count(focus string, by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.begun += max(by, 0)
	if n.watches[focus] += by; n.watches[focus] == 0 {
		delete(n.watches, focus)
	}
}

func (n *node) watched(want map[string]int) func() bool {
	return func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return maps.Equal(n.watches, want)
	}
}

// is makes the node describe an object so, or fail.
func (n *node) is(described *inspectpb.DescribeResponse, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.described, n.err = described, err
}

func (n *node) Describe(context.Context, *inspectpb.DescribeRequest) (*inspectpb.DescribeResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.described, n.err
}

func (n *node) Act(context.Context, *inspectpb.ActRequest) (*inspectpb.ActResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return &inspectpb.ActResponse{Message: "done"}, n.err
}

// ahead is a clock that can be put forward.
type ahead struct {
	clock.Clock

	by atomic.Int64
}

func (a *ahead) Monotonic() time.Duration { return a.Clock.Monotonic() + time.Duration(a.by.Load()) }

// linked is links that are kept, and who the members are.
type linked struct {
	*testing.T
	*links.Links

	model *model.Model
	clock *ahead // of the model

	mu      sync.Mutex
	members []cluster.MemberInfo // guarded by mu
}

func link(t *testing.T) *linked {
	t.Helper()
	c := &ahead{Clock: clock.System()}
	m := model.New(c)
	l := &linked{T: t, clock: c, Links: links.New(m, &forms.Descriptors{}, clock.System()), model: m}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Serve(ctx, func() []cluster.MemberInfo {
			l.mu.Lock()
			defer l.mu.Unlock()
			return slices.Clone(l.members)
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return l
}

// place says who the members are: incarnations and addresses in turn.
func (l *linked) place(members ...string) {
	v := cluster.View{UUID: "u", Revision: 1}
	for i := 0; i < len(members); i += 2 {
		v.Members = append(v.Members, cluster.MemberInfo{Incarnation: members[i], Address: members[i+1]})
	}
	l.mu.Lock()
	l.members = v.Members
	l.mu.Unlock()
	l.model.Place(v)
}

func (l *linked) await(what string, cond func() bool) {
	l.Helper()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for range 3000 {
		if cond() {
			return
		}
		<-every.C
	}
	l.Fatalf("no %s", what)
}

func (l *linked) state(id, want string) func() bool {
	return func() bool {
		n, ok := l.model.Node(id)
		return ok && n.State == want && (want != "live" || n.Seen > 0)
	}
}

// Who becomes a member is watched, with what somebody is interested in, and no longer than it is one.
func TestMembersAreWatched(t *testing.T) {
	t.Parallel()
	l, a, b := link(t), serve(t, ""), serve(t, "")
	l.place("A", a.address, "B", b.address)
	l.await("A", l.state("A", "live"))
	l.await("B", l.state("B", "live"))
	release, err := l.model.Hold(model.NewInterest(false, "", "Room-x"))
	if err != nil {
		t.Fatal(err)
	}
	l.await("interest", a.watched(map[string]int{"": 1, "Room-x": 1}))
	release()
	l.clock.by.Store(int64(time.Minute)) // interest lingers for a while
	l.model.Tick()
	l.await("end of interest", a.watched(map[string]int{"": 1}))
	l.place("B", b.address)
	l.await("end of the watch of who has gone", a.watched(nil))
	c := serve(t, "")
	l.place("B", c.address) // as the record says now
	l.await("watch at another address", c.watched(map[string]int{"": 1}))
	l.await("end of that at the old one", b.watched(nil))
}

// A node is told whether anybody looks at what it tells.
func TestNodesKnowWhetherSomebodyLooks(t *testing.T) {
	t.Parallel()
	l, a := link(t), serve(t, "")
	a.terse.Store(true) // what it is told does not wait until it tells something
	l.place("A", a.address)
	l.await("watch that nobody looks at", a.unattended(true))
	release, err := l.model.Hold(model.Interest{})
	if err != nil {
		t.Fatal(err)
	}
	l.await("look", a.unattended(false))
	release()
	l.clock.by.Store(int64(time.Minute)) // somebody else may look soon
	l.model.Tick()
	l.await("end of the look", a.unattended(true))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun != 1 {
		t.Errorf("it was told by %d streams, one after the other", a.begun)
	}
}

// A node that cannot be reached is said to be so, and is reached again when it comes back.
func TestBrokenLinksHeal(t *testing.T) {
	t.Parallel()
	l, a := link(t), serve(t, "")
	l.place("A", a.address)
	l.await("link", l.state("A", "live"))
	a.stop()
	l.await("broken link", l.state("A", "unreachable"))
	if n, _ := l.model.Node("A"); n.Error == "" {
		t.Error("it does not say why")
	}
	serve(t, a.address)
	l.await("healed link", l.state("A", "live"))
}

// All nodes are asked at the same time, and who does not answer is named; one alone can be asked.
func TestEach(t *testing.T) {
	t.Parallel()
	l, a, b := link(t), serve(t, ""), serve(t, "")
	l.place("A", a.address, "B", b.address)
	l.await("A", l.state("A", "live"))
	l.await("B", l.state("B", "live"))
	ask := func(only string) (who, missing []string) {
		answers, missing := links.Each(t.Context(), l.Links, only, func(ctx context.Context, c inspectpb.InspectServiceClient) (*inspectpb.DescribeResponse, error) {
			return c.Describe(ctx, &inspectpb.DescribeRequest{})
		})
		for _, a := range answers {
			who = append(who, a.Node)
		}
		slices.Sort(who)
		return who, missing
	}
	if who, missing := ask(""); !slices.Equal(who, []string{"A", "B"}) || missing == nil || len(missing) != 0 {
		t.Errorf("%v answer, %v do not", who, missing)
	}
	if who, missing := ask("B"); !slices.Equal(who, []string{"B"}) || len(missing) != 0 {
		t.Errorf("of B alone %v answer, %v do not", who, missing)
	}
	b.is(nil, status.Error(codes.Internal, "broken"))
	if who, missing := ask(""); !slices.Equal(who, []string{"A"}) || !slices.Equal(missing, []string{"B"}) {
		t.Errorf("%v answer, %v do not", who, missing)
	}
	if who, missing := ask("C"); len(who)+len(missing) != 0 {
		t.Errorf("of a stranger %v answer, %v do not", who, missing)
	}
}

// An object is where a node has it; where none has, its owner tells of it; that nobody can be asked is an error.
func TestDescribe(t *testing.T) {
	t.Parallel()
	l, a, b := link(t), serve(t, ""), serve(t, "")
	if node, info, err := l.Describe(t.Context(), "Room-x"); node != "" || info != nil || err != nil {
		t.Errorf("of no nodes: %q, %v, %v", node, info, err)
	}
	l.place("A", a.address, "B", b.address)
	l.await("A", l.state("A", "live"))
	l.await("B", l.state("B", "live"))
	type answer = inspectpb.DescribeResponse
	none, owner, found := &answer{Shard: 1}, &answer{Shard: 2, Owned: true}, &answer{Shard: 3, Found: true}
	for _, c := range []struct {
		a, b  *answer
		node  string
		shard int32
	}{{none, none, "", 1}, {owner, none, "", 2}, {none, owner, "", 2}, {owner, found, "B", 3}, {found, owner, "A", 3}, {found, nil, "A", 3}} {
		for n, is := range map[*node]*answer{a: c.a, b: c.b} {
			if is == nil {
				n.is(nil, status.Error(codes.Unavailable, "away"))
			} else {
				n.is(is, nil)
			}
		}
		if node, info, err := l.Describe(t.Context(), "Room-x"); err != nil || node != c.node || info.GetShard() != c.shard {
			t.Errorf("%v, %v: %q, %v, %v", c.a, c.b, node, info, err)
		}
	}
	a.is(nil, status.Error(codes.Unavailable, "away"))
	b.is(none, nil)
	if _, _, err := l.Describe(t.Context(), "Room-x"); !errors.Is(err, links.ErrNoAnswer) {
		t.Errorf("where one does not answer that may have it: %v", err)
	}
	b.is(nil, status.Error(codes.Unavailable, "away"))
	if _, _, err := l.Describe(t.Context(), "Room-x"); !errors.Is(err, links.ErrNoAnswer) {
		t.Errorf("where nobody answers: %v", err)
	}
}

// What a node refuses to do comes back with its code; a stranger is not asked.
func TestAct(t *testing.T) {
	t.Parallel()
	l, a := link(t), serve(t, "")
	l.place("A", a.address)
	l.await("A", l.state("A", "live"))
	if res, err := l.Act(t.Context(), "A", &inspectpb.ActRequest{}); err != nil || res.GetMessage() != "done" {
		t.Errorf("%v, %v", res, err)
	}
	a.is(nil, status.Error(codes.FailedPrecondition, "not now"))
	if _, err := l.Act(t.Context(), "A", &inspectpb.ActRequest{}); object.CodeOf(err) != object.CodeFailedPrecondition {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := l.Act(t.Context(), "B", &inspectpb.ActRequest{}); !errors.Is(err, links.ErrNoLink) {
		t.Errorf("a stranger: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the page has gone")
	cancel(cause)
	if _, err := l.Act(ctx, "A", &inspectpb.ActRequest{}); !errors.Is(err, cause) {
		t.Errorf("of one who has left: %v", err)
	}
}
