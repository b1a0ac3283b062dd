package routing_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

// visit connects a client to a node.
func (s *stage) visit(p *peer, name string) (id string) {
	s.Helper()
	id = "visitor-" + name + "@" + p.name
	if err := p.node.AttachClient(s.Context(), id); err != nil {
		s.Fatal(err)
	}
	p.clients.connect(id)
	return id
}

// acting lets objects push, create and delete.
func (w *world) acting() {
	w.on("push", func(ctx context.Context, _ *cell, id string) (string, error) {
		return "", peerOf(ctx).Push(ctx, id, wrapperspb.String("hello"))
	})
	w.on("create", func(ctx context.Context, _ *cell, id string) (string, error) {
		return peerOf(ctx).Create(ctx, "fussy", id, nil)
	})
	w.on("delete", func(ctx context.Context, _ *cell, id string) (string, error) { return "", peerOf(ctx).Delete(ctx, id) })
}

// gone checks that a push finds its client gone: at once, or when the only node that can know has said so.
func (s *stage) gone(from *peer, id string, elsewhere bool) {
	s.Helper()
	if elsewhere {
		if err := from.Push(s.Context(), id, wrapperspb.String("late")); err != nil {
			s.Errorf("%s: Push to %s: %v", from.name, id, err)
		}
		synctest.Wait()
	}
	s.want(from.Push(s.Context(), id, wrapperspb.String("too late")), object.CodeNotFound, object.ExecutedNo, "")
}

func TestClientObjectsAreWhereTheirConnectionIs(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		id := s.visit(p[1], "eve")
		for _, from := range p {
			if got := from.must(id, "hi"); got != "b hi" {
				s.Errorf("%s: %s", from.name, got)
			}
			if err := from.Push(s.Context(), id, wrapperspb.String("for "+from.name)); err != nil {
				s.Errorf("%s: Push: %v", from.name, err)
			}
			synctest.Wait()
		}
		if got := p[1].clients.got(); !slices.Equal(got, []string{id + " for a", id + " for b", id + " for c"}) {
			s.Errorf("the client got %q", got)
		}
		// Who owns what shard makes no difference.
		n := p[0].node.ShardOf(id)
		for _, x := range p {
			x.table.tell(n, cluster.Route{Incarnation: "c", Address: address("c"), Epoch: 1, Revision: 1})
		}
		if got := p[0].must(id, "hi"); got != "b hi" {
			s.Errorf("it answers %s", got)
		}
		if err := p[2].Delete(s.Context(), id); err != nil {
			s.Errorf("Delete: %v", err)
		}
		if err := p[1].node.DetachClient(s.Context(), id, object.DisconnectKicked); err != nil {
			s.Error(err)
		}
		if !slices.Equal(p[1].clients.kicked, []string{id}) {
			s.Errorf("kicked: %q", p[1].clients.kicked)
		}
		for _, from := range p {
			begun := time.Now()
			_, err := from.do(s.Context(), id, "hi")
			s.want(err, object.CodeNotFound, object.ExecutedNo, "")
			s.gone(from, id, from != p[1])
			if err := from.Delete(s.Context(), id); err != nil {
				s.Errorf("Delete of what is not there: %v", err)
			}
			if d := time.Since(begun); d != 0 {
				s.Errorf("it took %v", d)
			}
		}
	})
}

func TestForgedClientIDs(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		id := s.visit(p[1], "eve")
		if got := p[0].must(s.visit(p[1], "e@a"), "hi"); got != "b hi" { // the last @ counts
			s.Errorf("it answers %s", got)
		}
		for _, forged := range []string{
			"visitor-eve", "visitor-eve@", "visitor-eve@a", "visitor-eve@zzz", "visitor-eve@b@a", "visitor-eve@B", "visitor-eve@b ", "visitor-bob@b",
		} {
			for _, from := range p {
				begun := time.Now()
				_, err := from.do(s.Context(), forged, "hi")
				s.want(err, object.CodeNotFound, object.ExecutedNo, "")
				_, home, _ := strings.Cut(forged[strings.LastIndex(forged, "-"):], "@")
				home = home[strings.LastIndex(home, "@")+1:]
				s.gone(from, forged, from.name != home && (home == "a" || home == "b"))
				if err := from.Delete(s.Context(), forged); err != nil {
					s.Errorf("%s: Delete: %v", forged, err)
				}
				_, err = from.Create(s.Context(), "visitor", forged, nil)
				s.want(err, object.CodeInvalidArgument, object.ExecutedNo, "")
				if d := time.Since(begun); d != 0 {
					s.Errorf("%s: it took %v", forged, d)
				}
			}
		}
		s.want(p[0].Push(s.Context(), "cell-x", wrapperspb.String("x")), object.CodeInvalidArgument, object.ExecutedNo, "not a client type")
		s.want(p[0].Push(s.Context(), "ghost-x@b", wrapperspb.String("x")), object.CodeNotFound, object.ExecutedNo, "not registered")
		s.want(p[0].Push(s.Context(), "ghost", wrapperspb.String("x")), object.CodeInvalidArgument, object.ExecutedNo, "")
		s.want(p[0].Push(s.Context(), id, nil), object.CodeInvalidArgument, object.ExecutedNo, "nil")
		s.want(p[0].Push(s.Context(), id, (*str)(nil)), object.CodeInvalidArgument, object.ExecutedNo, "nil")
		s.want(p[0].Delete(s.Context(), "no id"), object.CodeInvalidArgument, object.ExecutedNo, "")
		if len(p[1].clients.got()) != 0 {
			s.Errorf("pushed: %q", p[1].clients.got())
		}
	})
}

func TestAClientOfADeadNode(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		id := s.visit(p[1], "eve")
		if got := p[0].must(id, "hi"); got != "b hi" {
			s.Error(got)
		}
		s.net.Pause(address("b"))
		p[1].dead.Store(true)
		call := p[0].start(s.Context(), id, "hi")
		pass(time.Second)
		s.pending(call)
		p[0].table.setAlive("b", false)
		r := <-call
		s.want(r.err, object.CodeNotFound, object.ExecutedUnknown, "not connected") // the first attempt may have run
		if r.after > 2*time.Second {
			s.Errorf("it took %v", r.after)
		}
		_, err := p[0].do(s.Context(), id, "hi")
		s.want(err, object.CodeNotFound, object.ExecutedNo, "not connected")
		s.net.Resume(address("b"))
	})
}

func TestANodeWithoutAClientService(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		for _, from := range p {
			for _, id := range []string{"visitor-x@a", "visitor-x@b"} {
				s.gone(from, id, !strings.HasSuffix(id, "@"+from.name))
				if err := from.Delete(s.Context(), id); err != nil {
					s.Error(err)
				}
			}
		}
	}, func(c *routing.Config) { c.Clients = nil })
}

func TestCreateAndDeleteElsewhere(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		var hooks []string
		for _, h := range []string{"OnCreate", "OnActivate", "OnDeactivate"} {
			s.on(h, func(ctx context.Context, _ *cell, arg string) (string, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				hooks = append(hooks, peerOf(ctx).name+h+" "+arg)
				return "", nil
			})
		}
		for i := range shards {
			id := "fussy-x"
			for j := 0; p[0].node.ShardOf(id) != uint32(i); j++ {
				id += "x"
			}
			s.give(p[1], id, p[0])
		}
		for _, from := range p {
			hooks = nil
			id, err := from.Create(s.Context(), "fussy", "fussy-1", wrapperspb.String("hello"))
			if id != "fussy-1" || err != nil {
				s.Errorf("Create: %q, %v", id, err)
			}
			_, err = from.Create(s.Context(), "fussy", "fussy-1", nil)
			s.want(err, object.CodeAlreadyExists, object.ExecutedNo, "")
			if err := from.Delete(s.Context(), "fussy-1"); err != nil {
				s.Errorf("Delete: %v", err)
			}
			if err := from.Delete(s.Context(), "fussy-1"); err != nil {
				s.Errorf("Delete of what is not there: %v", err)
			}
			if want := []string{"bOnCreate hello", "bOnActivate ", "bOnDeactivate deleted"}; !slices.Equal(hooks, want) {
				s.Errorf("%s: %q, want %q", from.name, hooks, want)
			}
			for range 20 { // wherever it falls
				id, err := from.Create(s.Context(), "fussy", "", nil)
				if err != nil || len(id) < 20 {
					s.Errorf("Create: %q, %v", id, err)
				}
				if got := from.must(id, "where"); got != "b" {
					s.Errorf("%s is on %s", id, got)
				}
			}
			_, err = from.Create(s.Context(), "fussy", "cell-1", nil)
			s.want(err, object.CodeInvalidArgument, object.ExecutedNo, "")
			_, err = from.Create(s.Context(), "ghost", "", nil)
			s.want(err, object.CodeNotFound, object.ExecutedNo, "")
			_, err = from.Create(s.Context(), "cell", "cell-1", wrapperspb.String("x"))
			s.want(err, object.CodeInvalidArgument, object.ExecutedNo, "OnCreate")
		}
	})
}

// Hooks that call who waits for them elsewhere are told at once that this is a deadlock.
func TestHooksThatCallBackOverNodes(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.acting()
		s.give(p[0], "cell-x", p[1])
		s.give(p[1], "cell-y", p[0])
		fussy := inShardOf(p[0], "fussy", "cell-y")
		for _, tc := range []struct{ hook, request, text string }{
			{"OnCreate", "create " + fussy, "cell-x.Do → " + fussy + ".OnCreate → cell-x.Do"},
			{"OnActivate", "ask " + fussy + " where", "cell-x.Do → " + fussy + ".OnActivate → cell-x.Do"},
			{"OnDeactivate", "delete " + fussy, ""},
		} {
			told := make(chan error, 1)
			s.on(tc.hook, func(ctx context.Context, _ *cell, _ string) (string, error) {
				_, err := peerOf(ctx).do(ctx, "cell-x", "add")
				told <- err
				return "", err
			})
			begun := time.Now()
			_, err := p[0].do(s.Context(), "cell-x", tc.request)
			if d := time.Since(begun); d != 0 {
				s.Errorf("%s: it took %v", tc.hook, d)
			}
			if len(told) == 0 {
				s.Fatalf("%s has not run: %v", tc.hook, err)
			}
			s.want(<-told, object.CodeFailedPrecondition, object.ExecutedNo, tc.text)
			if tc.text != "" {
				s.want(err, object.CodeFailedPrecondition, object.ExecutedYes, tc.text)
			}
			s.on(tc.hook, nil)
			if tc.hook == "OnActivate" {
				p[1].must(fussy, "where")
			}
		}
	})
}

// A creation whose answer is lost is told what it came to, and does not find its own object.
func TestALostAnswerOfCreate(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "fussy-x", p[0])
		s.on("OnCreate", func(context.Context, *cell, string) (string, error) { pass(time.Second); return "", nil })
		created := make(chan error, 1)
		go func() {
			_, err := p[0].Create(s.Context(), "fussy", "fussy-x", nil)
			created <- err
		}()
		synctest.Wait()
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
		pass(2 * time.Second)
		s.net.SetFaults(address("a"), address("b"), mem.Faults{})
		if err := <-created; err != nil {
			s.Error(err)
		}
	})
}

func TestCreateAndDeleteWaitForMoves(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		old, tag, target := s.begin(p[1], p[2], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		done := make(chan error, 4)
		for _, from := range p[:2] {
			go func() {
				_, err := from.Create(s.Context(), "cell", "cell-x", nil)
				done <- err
			}()
			synctest.Wait()
			go func() { done <- from.Delete(s.Context(), sibling(from, "cell-x")) }()
		}
		synctest.Wait()
		if len(done) != 0 {
			s.Errorf("%d have not waited", len(done))
		}
		s.finish(p[1], p[2], "cell-x", tag)
		exists := 0
		for range 4 {
			if err := <-done; err != nil {
				s.want(err, object.CodeAlreadyExists, object.ExecutedNo, "")
				exists++
			}
		}
		if exists != 1 {
			s.Errorf("%d creations found the object", exists)
		}
		if got := p[0].must("cell-x", "where"); got != "c" {
			s.Errorf("it is on %s", got)
		}
	})
}

// A node that is no member at the moment, or suspended, does not say that a client is gone.
func TestClientsOfANodeInTrouble(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		here, there := s.visit(p[0], "adam"), s.visit(p[1], "eve")
		p[0].serving()
		<-p[0].served
		if got := p[0].must(here, "hi"); got != "a hi" {
			s.Error(got)
		}
		if err := p[0].Push(s.Context(), here, wrapperspb.String("x")); err != nil {
			s.Error(err)
		}
		call := p[0].start(s.Context(), there, "hi")
		s.pending(call)
		s.want(p[0].Push(s.Context(), there, wrapperspb.String("x")), object.CodeUnavailable, object.ExecutedNo, "no member")
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- p[0].Serve(ctx, p[0].table, p[0].endpoint) }()
		if r := <-call; r.err != nil || r.reply != "b hi" {
			s.Errorf("%+v", r)
		}
		p[0].Host().Suspend(cluster.ErrFenced)
		_, err := p[0].do(s.Context(), here, "hi")
		s.want(err, object.CodeUnavailable, object.ExecutedNo, "cut off")
		if got := p[0].must(there, "hi"); got != "b hi" {
			s.Error(got)
		}
		p[0].Host().Resume()
		cancel()
		if err := <-served; err != nil {
			s.Error(err)
		}
	})
}
