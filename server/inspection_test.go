package server_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/goverseapi"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/server"
)

// inspector is what looks at a server from outside.
type inspector struct {
	t   *testing.T
	rpc inspectpb.InspectServiceClient
}

func inspect(t *testing.T, s *server.Server) *inspector {
	t.Helper()
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &inspector{t, inspectpb.NewInspectServiceClient(conn)}
}

// patience is how long an inspector waits for anything.
func (i *inspector) patience() context.Context {
	ctx, cancel := context.WithTimeout(i.t.Context(), 20*time.Second)
	i.t.Cleanup(cancel)
	return ctx
}

// seen is all that a watcher was told.
type seen struct {
	calls, errors map[string]uint64 // by type.method
	edges         map[string]uint64 // "from>to", objects
	kinds         map[string]uint64 // … types
	events        []*inspectpb.Event
	last          *inspectpb.WatchResponse
}

func (s *seen) event(kind, says string) *inspectpb.Event {
	for _, e := range s.events {
		if e.GetKind() == kind && strings.Contains(e.GetText(), says) {
			return e
		}
	}
	return nil
}

// watch looks until what was seen is enough, which the test's time limits. It returns what
// goes on looking.
func (i *inspector) watch(req *inspectpb.WatchRequest) (until func(enough func(s *seen) bool) *seen) {
	i.t.Helper()
	stream, err := i.rpc.Watch(i.patience())
	if err != nil {
		i.t.Fatal(err)
	}
	s := &seen{calls: map[string]uint64{}, errors: map[string]uint64{}, edges: map[string]uint64{}, kinds: map[string]uint64{}}
	if err := stream.Send(req); err != nil {
		i.t.Fatal(err)
	}
	return func(enough func(s *seen) bool) *seen {
		i.t.Helper()
		for s.last == nil || !enough(s) {
			res, err := stream.Recv()
			if err != nil {
				i.t.Fatalf("watch: %v; seen so far: %v, %v", err, s.events, s.last)
			}
			s.take(res)
		}
		return s
	}
}

func (s *seen) take(res *inspectpb.WatchResponse) {
	s.last = res
	for _, m := range res.GetMethods() {
		s.calls[m.GetType()+"."+m.GetMethod()] += m.GetCalls()
		s.errors[m.GetType()+"."+m.GetMethod()] += m.GetErrors()
	}
	for to, edges := range map[*map[string]uint64][]*inspectpb.Edge{&s.edges: res.GetObjectEdges(), &s.kinds: res.GetTypeEdges()} {
		for _, e := range edges {
			(*to)[e.GetFrom()+">"+e.GetTo()] += e.GetCalls()
		}
	}
	s.events = append(s.events, res.GetEvents()...)
}

func anything(*seen) bool { return true }

// A client that calls its object, which calls another: every call is seen, once.
func TestInspectorSeesCalls(t *testing.T) {
	t.Parallel()
	f := start(t)
	c := f.dial(t)
	id := whoami(t, c)
	until := inspect(t, f.Server).watch(&inspectpb.WatchRequest{Objects: true})
	until(anything) // from now on it captures
	for range 30 {
		if _, err := goverseclient.Call[*number](t.Context(), c, "AddTo", wrapperspb.String("Box-1")); err != nil {
			t.Fatal(err)
		}
	}
	for range 7 {
		f.add(t, "Box-2", 1)
	}
	for range 3 {
		if _, err := goverseclient.Call[*empty](t.Context(), c, "Fail", wrapperspb.String("no")); err == nil {
			t.Fatal("Fail does not fail")
		}
	}
	if _, err := f.Runtime().Call(t.Context(), "Box-1", "Tell", wrapperspb.String(id)); err != nil {
		t.Fatal(err)
	}
	s := until(func(s *seen) bool {
		return s.edges["Box-1>"+id] > 0 && s.calls["Box.Add"] >= 37 && s.calls["User.Fail"] >= 3 && s.calls["User.AddTo"] >= 30
	})
	for what, c := range map[string]struct{ got, want uint64 }{
		"Box.Add": {s.calls["Box.Add"], 37}, "User.AddTo": {s.calls["User.AddTo"], 30}, "User.Fail": {s.calls["User.Fail"], 3},
		"errors of User.Fail": {s.errors["User.Fail"], 3}, "errors of Box.Add": {s.errors["Box.Add"], 0},
		"User>Box": {s.kinds["User>Box"], 30}, ">Box": {s.kinds[">Box"], 8},
		"client>box": {s.edges[id+">Box-1"], 30}, "outside>box": {s.edges[">Box-2"], 7},
		"pushes": {s.edges["Box-1>"+id], 1},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", what, c.got, c.want)
		}
	}
	v := until(func(s *seen) bool { return s.last.GetVitals().GetObjects() == 3 }).last.GetVitals()
	if v.GetIncarnation() != f.Member().Incarnation() || v.GetAddress() != f.Addr() || v.GetClientAddress() != f.ClientAddr() ||
		v.GetClients() != 1 || v.GetObjects() != 3 || v.GetActivations() != 3 || v.GetOpenShards() != 64 || v.GetValidForNs() <= 0 ||
		v.GetLease() != "valid" || !v.GetAllocator() || v.GetDraining() {
		t.Errorf("vitals %v", v)
	}
	if s.event("join", f.Member().Incarnation()) == nil || s.event("move", "took over 64 shards") == nil {
		t.Errorf("events %v", s.events)
	}
}

// Calls from one server to another are seen at the one that runs them.
func TestInspectorSeesCallsBetweenServers(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	first := c.join()
	untilFirst := inspect(t, first).watch(&inspectpb.WatchRequest{Objects: true})
	untilFirst(anything)
	second := c.join()
	untilFirst(func(s *seen) bool { return s.event("join", second.Member().Incarnation()) != nil })
	untilSecond := inspect(t, second).watch(&inspectpb.WatchRequest{Objects: true})
	quiet := 0 // what is where it is to be already is not held there: so nothing is to be on the way any more
	untilSecond(func(*seen) bool {
		owned := 0
		for _, i := range first.Member().Shards() {
			if i.Owner == second.Member().Incarnation() && i.Target == "" {
				owned++
			}
		}
		if quiet++; owned < 30 {
			quiet = 0
		}
		return quiet > 3
	})
	const caller, callee = "Tally-caller", "Tally-callee"
	for id, s := range map[string]*server.Server{caller: first, callee: second} {
		if err := s.Member().Move(t.Context(), shard.Of(id, 64), s.Member().Incarnation()); err != nil {
			t.Fatal(err)
		}
	}
	const calls = 20
	for range calls {
		if _, err := goverseapi.Invoke(first.Context(t.Context()), caller, (*Tally).Back, wrapperspb.String(callee)); err != nil {
			t.Fatal(err)
		}
	}
	if s := untilFirst(func(s *seen) bool { return s.calls["Tally.Back"] >= calls }); s.calls["Tally.Back"] != calls || s.calls["Tally.Add"] != 0 {
		t.Errorf("the first saw %v", s.calls)
	}
	edge := caller + ">" + callee
	if s := untilSecond(func(s *seen) bool { return s.edges[edge] >= calls }); s.edges[edge] != calls || s.calls["Tally.Add"] != calls {
		t.Errorf("the second saw %v, %v", s.edges, s.calls)
	}
	gone := second.Member().Incarnation()
	if err := second.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := untilFirst(func(s *seen) bool {
		return s.event("leave", gone) != nil && s.event("leave", "left") != nil && s.last.GetVitals().GetOpenShards() == 64
	})
	if s.event("leave", "did not say") != nil || s.event("move", "took over") == nil || s.event("move", "handed over") == nil {
		t.Errorf("events %v", s.events)
	}
}

func TestInspectorSeesPanics(t *testing.T) {
	t.Parallel()
	f := start(t)
	until := inspect(t, f.Server).watch(&inspectpb.WatchRequest{})
	until(anything)
	c := f.dial(t)
	if _, err := goverseclient.Call[*empty](t.Context(), c, "Panic", nil); err == nil {
		t.Fatal("Panic does not fail")
	}
	e := until(func(s *seen) bool { return s.event("panic", "") != nil }).event("panic", "")
	if !strings.HasPrefix(e.GetObject(), "User-") || e.GetMethod() != "Panic" || e.GetLevel() != "error" || e.GetShard() != -1 ||
		!strings.Contains(e.GetText(), "a client's method") || !strings.Contains(e.GetStack(), "User).Panic") || e.GetAtUs() == 0 {
		t.Errorf("%v", e)
	}
}

// A client that does not read is told of as soon as it is disconnected; what happens to others then is not lost when the
// server stops.
func TestSlowClientsAreToldOf(t *testing.T) {
	t.Parallel()
	f := start(t)
	happened := f.Journal()
	f.TooSlow("User-u")
	if e := inspect(t, f.Server).watch(&inspectpb.WatchRequest{})(func(s *seen) bool { return s.event("client", "disconnected") != nil }).event("client", ""); e.GetObject() != "User-u" {
		t.Errorf("%v", e)
	}
	f.TooSlow("User-v")
	f.TooSlow("User-w")
	if err := f.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	events, _ := happened.Since(0)
	if !slices.ContainsFunc(events, func(e *inspectpb.Event) bool {
		return e.GetObject() == "User-w" && strings.HasPrefix(e.GetText(), "2 clients")
	}) {
		t.Errorf("%v", events)
	}
}

func (i *inspector) act(req *inspectpb.ActRequest) (*inspectpb.ActResponse, error) {
	req.Operator = "tester@127.0.0.1"
	return i.rpc.Act(i.patience(), req)
}

// wantDone checks what an action leaves behind.
func (i *inspector) wantDone(log *logBook, action, outcome string) {
	i.t.Helper()
	found := false
	for line := range strings.Lines(log.String()) {
		found = found || strings.Contains(line, "operator action") && strings.Contains(line, "operator=tester@127.0.0.1") &&
			strings.Contains(line, "action="+action+" ") && strings.Contains(line, "outcome="+outcome)
	}
	if !found {
		i.t.Errorf("%s (%s) is not in the log:\n%s", action, outcome, log)
	}
	i.watch(&inspectpb.WatchRequest{})(func(s *seen) bool { return s.event("action", action) != nil && s.event("action", ": "+outcome) != nil })
}

func TestOperatorsCallDeactivateAndDisconnect(t *testing.T) {
	t.Parallel()
	f := start(t)
	i := inspect(t, f.Server)
	request, err := proto.Marshal(wrapperspb.Int64(41))
	if err != nil {
		t.Fatal(err)
	}
	add := &inspectpb.ActRequest{Action: &inspectpb.ActRequest_Call_{Call: &inspectpb.ActRequest_Call{Id: "Box-1", Method: "Add", Request: request}}}
	res, err := i.act(add)
	var sum number
	if err != nil || proto.Unmarshal(res.GetReply(), &sum) != nil || sum.GetValue() != 41 || res.GetMessage() != "google.protobuf.Int64Value" {
		t.Errorf("call: %v, %v", res, err)
	}
	i.wantDone(f.log, "call", "done")

	away := &inspectpb.ActRequest{Action: &inspectpb.ActRequest_Deactivate_{Deactivate: &inspectpb.ActRequest_Deactivate{Id: "Box-1"}}}
	if _, err := i.act(away); err != nil {
		t.Errorf("deactivate: %v", err)
	}
	f.probe.await(t, "deactivate Box-1 idle")
	i.wantDone(f.log, "deactivate", "done")
	if d, err := i.rpc.Describe(t.Context(), &inspectpb.DescribeRequest{Id: "Box-1"}); err != nil || d.GetFound() || !d.GetOwned() {
		t.Errorf("describe: %v, %v", d, err)
	}

	c := f.dial(t)
	id := whoami(t, c)
	list, err := i.rpc.Clients(t.Context(), &inspectpb.ClientsRequest{})
	if err != nil || list.GetTotal() != 1 || list.GetClients()[0].GetObject() != id || list.GetClients()[0].GetCalls() != 1 || list.GetClients()[0].GetPeer() == "" {
		t.Errorf("clients: %v, %v", list, err)
	}
	kick := &inspectpb.ActRequest{Action: &inspectpb.ActRequest_Disconnect_{Disconnect: &inspectpb.ActRequest_Disconnect{Object: id}}}
	if _, err := i.act(kick); err != nil {
		t.Errorf("disconnect: %v", err)
	}
	wantEnd(t, c, object.ErrAborted, "")
	f.probe.await(t, "disconnect kicked")
	i.wantDone(f.log, "disconnect", "done")
	kick.GetDisconnect().Object = "User-nobody"
	if _, err := i.act(kick); grpcerr.FromError(err).Code != object.CodeNotFound {
		t.Errorf("disconnect nobody: %v", err)
	}
	i.wantDone(f.log, "disconnect", "not_found")
}

func TestOperatorsDrainAndMove(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	log := &logBook{}
	first := c.join(func(cfg *server.Config) { cfg.Logger = (&fixture{log: log}).logger() })
	second := c.join()
	i := inspect(t, first)
	drain := &inspectpb.ActRequest_Drain{Incarnation: second.Member().Incarnation()}
	if _, err := i.act(&inspectpb.ActRequest{Action: &inspectpb.ActRequest_Drain_{Drain: drain}}); err != nil {
		t.Fatalf("drain: %v", err)
	}
	i.wantDone(log, "drain", "done")
	await(t, first, func() bool { return first.Member().State().Open == 64 })
	inspect(t, second).watch(&inspectpb.WatchRequest{})(func(s *seen) bool {
		return s.last.GetVitals().GetDraining() && s.last.GetVitals().GetOpenShards() == 0 && !s.last.GetVitals().GetStopping()
	})
	drain.Undo = true
	if _, err := i.act(&inspectpb.ActRequest{Action: &inspectpb.ActRequest_Drain_{Drain: drain}}); err != nil {
		t.Fatalf("undrain: %v", err)
	}
	i.wantDone(log, "undrain", "done")
	inspect(t, second).watch(&inspectpb.WatchRequest{})(func(s *seen) bool {
		return !s.last.GetVitals().GetDraining() && s.last.GetVitals().GetOpenShards() > 0
	})

	move := &inspectpb.ActRequest_Move{Shard: 5}
	for _, to := range []*server.Server{first, second} {
		move.To = to.Member().Incarnation()
		if _, err := i.act(&inspectpb.ActRequest{Action: &inspectpb.ActRequest_Move_{Move: move}}); err != nil {
			t.Fatalf("move: %v", err)
		}
		if r, err := first.Member().Refresh(t.Context(), 5); err != nil || r.Incarnation != move.GetTo() {
			t.Errorf("shard 5 is at %v, %v", r, err)
		}
	}
	i.wantDone(log, "move", "done")
	for want, req := range map[object.Code]*inspectpb.ActRequest{
		object.CodeNotFound:        {Action: &inspectpb.ActRequest_Move_{Move: &inspectpb.ActRequest_Move{Shard: 5, To: "nobody"}}},
		object.CodeInvalidArgument: {Action: &inspectpb.ActRequest_Move_{Move: &inspectpb.ActRequest_Move{Shard: 64, To: move.GetTo()}}},
	} {
		if _, err := i.act(req); grpcerr.FromError(err).Code != want {
			t.Errorf("%v: %v, want %v", req, err, want)
		}
	}
	drain.Incarnation = "nobody"
	for _, undo := range []bool{false, true} {
		drain.Undo = undo
		if _, err := i.act(&inspectpb.ActRequest{Action: &inspectpb.ActRequest_Drain_{Drain: drain}}); grpcerr.FromError(err).Code != object.CodeNotFound {
			t.Errorf("drain of nobody, undo %v: %v", undo, err)
		}
	}
}

// A server that is watched stops as if it were not, and leaves nothing behind.
func TestWatchersDoNotHoldUpAStop(t *testing.T) {
	t.Parallel()
	f := start(t)
	stream, err := inspect(t, f.Server).rpc.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&inspectpb.WatchRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
}

// A server that is being stopped says so while it waits for its calls, also where nobody could take its shards.
func TestInspectorSeesAStop(t *testing.T) {
	t.Parallel()
	f := start(t, withoutClients)
	until := inspect(t, f.Server).watch(&inspectpb.WatchRequest{})
	if v := until(func(s *seen) bool { return s.last.GetVitals() != nil }).last.GetVitals(); v.GetStopping() || v.GetDraining() {
		t.Errorf("at first %v", v)
	}
	running := f.callLater(context.Background(), "Box-1", "Block")
	f.probe.awaitEntered(t)
	stopped := f.stopLater()
	until(func(s *seen) bool { return s.last.GetVitals().GetStopping() && s.last.GetVitals().GetDraining() })
	close(f.probe.release)
	_ = receive(t, running, "the call to return")
	if err := receive(t, stopped, "Stop to return"); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// A server that loses its lease says so, and that it has joined again.
func TestInspectorSeesALostLease(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	near, far := c.join(), c.join()
	old := near.Member().Incarnation()
	until := inspect(t, far).watch(&inspectpb.WatchRequest{})
	until(func(s *seen) bool { return s.event("join", far.Member().Incarnation()) != nil })
	if err := far.Member().Evict(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	await(t, far, func() bool { return far.Member().State().Members == 2 && near.Member().Incarnation() != old })
	inspect(t, near).watch(&inspectpb.WatchRequest{})(func(s *seen) bool {
		return s.event("lease", "not in the cluster any more") != nil && s.event("join", "as "+near.Member().Incarnation()) != nil
	})
	if s := until(func(s *seen) bool { return s.event("leave", old+" at") != nil }); s.event("join", old) != nil {
		t.Errorf("who was there has joined: %v", s.events)
	}
}

// That a lease is in trouble is written down though nobody watches.
func TestTroubleWithTheLeaseIsNotedUnwatched(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *server.Config) { c.LeaseTTL = 4 * time.Second })
	noted := func(words ...string) {
		t.Helper()
		for {
			changed := f.Journal().Changed()
			events, _ := f.Journal().Since(0)
			if slices.ContainsFunc(events, func(e *inspectpb.Event) bool {
				return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(e.GetText(), w) })
			}) {
				return
			}
			receive(t, changed, "an event: "+words[0])
		}
	}
	f.Coordinator().SetOutage(true)
	noted("suspect: ")
	f.Coordinator().SetOutage(false)
	noted("the lease is renewed again", "not fenced any more")
}
