package routing_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

// drain begins a move of an object's shard as far as the drain.
func (s *stage) drain(from, to *peer, id string) (old cluster.Route, tag int64, err error) {
	s.Helper()
	old, tag, target := s.begin(from, to, id)
	err = from.Host().DrainShard(s.Context(), from.node.ShardOf(id), old.Epoch, target, tag)
	return old, tag, err
}

func TestWhatObjectsKeepGoesAlong(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.noting()
		s.give(p[0], "keeper-x", p[1])
		var ids []string
		for i := 0; len(ids) < 10; i++ {
			if id := fmt.Sprint("keeper-", i); p[0].node.ShardOf(id) == p[0].node.ShardOf("keeper-x") {
				ids = append(ids, id)
			}
		}
		large := strings.Repeat("x", 1<<20)
		for _, id := range ids { // 10 MiB: three pieces
			p[0].must(id, "add")
			p[0].must(id, "note "+large+id)
		}
		s.move(p[0], p[1], "keeper-x")
		for _, id := range ids {
			if got := p[1].must(id, "add"); got != "2" {
				s.Errorf("%s: the count is %s", id, got)
			}
			if got := p[0].must(id, "notes"); got != large+id {
				s.Errorf("%s: the note is %q", id, got[max(0, len(got)-20):])
			}
		}
		s.move(p[1], p[0], "keeper-x")
		if got := p[1].must(ids[3], "add"); got != "3" {
			s.Errorf("the count is %s", got)
		}
	})
}

// What was handed out for a move that was called off is back, and is not installed by a later one.
func TestAnAbortedMove(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[0], "keeper-x", p[1], p[2])
		n := p[0].node.ShardOf("keeper-x")
		p[0].must("keeper-x", "add")
		old, _, err := s.drain(p[0], p[1], "keeper-x")
		if err != nil {
			s.Fatal(err)
		}
		p[0].Host().ReopenShard(n, old.Epoch)
		if got := p[1].must("keeper-x", "add"); got != "2" {
			s.Errorf("after the abort the count is %s", got)
		}
		// The owner dies, and the target takes over: it has nothing.
		p[0].Host().ReleaseShard(n, old.Epoch, cluster.ReleaseDead)
		s.give(p[1], "keeper-x", p[0], p[2])
		if got := p[1].must("keeper-x", "add"); got != "1" {
			s.Errorf("after a failover the count is %s", got)
		}
		// Another move brings what is there then.
		_, _, err = s.drain(p[1], p[2], "keeper-x")
		if err != nil {
			s.Fatal(err)
		}
		p[1].Host().ReopenShard(n, old.Epoch+1)
		if got := p[0].must("keeper-x", "add"); got != "2" {
			s.Errorf("after the second abort the count is %s", got)
		}
		s.move(p[1], p[2], "keeper-x", p[0])
		if got := p[0].must("keeper-x", "add"); got != "3" {
			s.Errorf("after the move the count is %s", got)
		}
	})
}

// A transfer that was written under another tag than the state was handed over for installs nothing.
func TestOnlyTheRightHandoverIsInstalled(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		for i, wrong := range []func(epoch uint64, tag int64) (uint64, int64){
			func(e uint64, tag int64) (uint64, int64) { return e, tag + 1 },
			func(e uint64, tag int64) (uint64, int64) { return e, tag - 1 },
			func(e uint64, tag int64) (uint64, int64) { return e + 1, tag },
			func(e uint64, _ int64) (uint64, int64) { return e, 0 },
		} {
			id := fmt.Sprint("keeper-", i)
			n := p[0].node.ShardOf(id)
			s.give(p[0], id, p[1])
			p[0].must(id, "add")
			old, tag, err := s.drain(p[0], p[1], id)
			if err != nil {
				s.Fatal(err)
			}
			epoch, tag := wrong(old.Epoch+1, tag)
			p[0].Host().ReleaseShard(n, old.Epoch, cluster.ReleaseLost)
			r := s.record(p[1], id)
			r.Epoch = epoch
			for _, x := range p {
				x.table.tell(n, r)
			}
			if err := p[1].Host().OpenShard(s.Context(), n, epoch, tag); err != nil {
				s.Fatal(err)
			}
			if got := p[0].must(id, "add"); got != "1" {
				s.Errorf("%d: the count is %s", i, got)
			}
			p[1].Host().ReleaseShard(n, epoch, cluster.ReleaseLost)
			s.truth.routes[n] = cluster.Route{Epoch: epoch}
		}
	})
}

// OpenShard is called again after an error: the state is still there.
func TestAnOpeningThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[0], "keeper-x", p[1])
		n := p[0].node.ShardOf("keeper-x")
		p[0].must("keeper-x", "add")
		_, tag, err := s.drain(p[0], p[1], "keeper-x")
		if err != nil {
			s.Fatal(err)
		}
		torn := errors.New("the test says no")
		p[1].fence.Store(&torn)
		for range 3 {
			if err := p[1].Host().OpenShard(s.Context(), n, 2, tag); !errors.Is(err, torn) {
				s.Errorf("opened: %v", err)
			}
		}
		p[1].fence.Store(nil)
		s.finish(p[0], p[1], "keeper-x", tag)
		if got := p[0].must("keeper-x", "add"); got != "2" {
			s.Errorf("the count is %s", got)
		}
	})
}

func TestATargetThatCannotTakeTheState(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		faults mem.Faults
		pause  bool
		bytes  int
		within time.Duration
	}{
		"cut off":  {faults: mem.Faults{Cut: true}, within: 200 * time.Millisecond},
		"silent":   {pause: true, within: 4 * time.Second},
		"too full": {bytes: 1000, within: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				s.noting()
				s.give(p[0], "keeper-x", p[1])
				p[0].must("keeper-x", "add")
				p[0].must("keeper-x", "note "+strings.Repeat("x", 2000))
				s.net.SetFaults(address("a"), address("b"), tc.faults)
				if tc.pause {
					s.net.Pause(address("b"))
				}
				begun := time.Now()
				old, _, err := s.drain(p[0], p[1], "keeper-x")
				if err == nil {
					s.Fatal("the drain has succeeded")
				}
				if d := time.Since(begun); d > tc.within {
					s.Errorf("it took %v", d)
				}
				p[0].Host().ReopenShard(p[0].node.ShardOf("keeper-x"), old.Epoch)
				if got := p[0].must("keeper-x", "add"); got != "2" {
					s.Errorf("the count is %s", got)
				}
				s.net.Resume(address("b"))
			}, func(c *routing.Config) { c.KeptBytes = tc.bytes })
		})
	}
}

// A drain that does not end gives back what it has.
func TestADrainThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[0], "keeper-x", p[1])
		n := p[0].node.ShardOf("keeper-x")
		other := ""
		for i := 0; other == ""; i++ {
			if id := fmt.Sprint("keeper-s", i); p[0].node.ShardOf(id) == n {
				other = id
			}
		}
		p[0].must(other, "add")
		stubborn := p[0].start(s.Context(), "keeper-x", "deaf 20s")
		old, tag, target := s.begin(p[0], p[1], "keeper-x")
		ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
		defer cancel()
		if err := p[0].Host().DrainShard(ctx, n, old.Epoch, target, tag); err == nil {
			s.Error("the drain has succeeded")
		}
		p[0].Host().ReopenShard(n, old.Epoch)
		if got := p[1].must(other, "add"); got != "2" {
			s.Errorf("the count is %s", got)
		}
		if r := <-stubborn; r.err != nil || r.reply != "1" {
			s.Errorf("%+v", r)
		}
	})
}

func TestNobodyComesForTheState(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[0], "keeper-x", p[1])
		p[0].must("keeper-x", "add")
		old, tag, err := s.drain(p[0], p[1], "keeper-x")
		if err != nil {
			s.Fatal(err)
		}
		pass(keepFor + time.Second)
		s.finish(p[0], p[1], "keeper-x", tag)
		if got := p[0].must("keeper-x", "add"); got != "1" || !strings.Contains(s.log.String(), "is lost") {
			s.Errorf("the count is %s; %s", got, s.log.String())
		}
		_ = old
	})
}

// While a node is without a lease it cannot come for what it was brought.
func TestTheStateOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[0], "keeper-x", p[1])
		p[0].must("keeper-x", "add")
		_, tag, err := s.drain(p[0], p[1], "keeper-x")
		if err != nil {
			s.Fatal(err)
		}
		p[1].Host().Suspend(cluster.ErrFenced)
		pass(keepFor + time.Second)
		p[1].Host().Resume()
		pass(time.Second)
		s.finish(p[0], p[1], "keeper-x", tag)
		if got := p[0].must("keeper-x", "add"); got != "2" {
			s.Errorf("the count is %s; %s", got, s.log.String())
		}
	})
}

// pieceOf makes a piece of a hand-over.
func pieceOf(index, count, total uint64, data string) []byte {
	var b []byte
	for _, n := range []uint64{index, count, total} {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, data...)
}

// kept is one object's state as it is handed over.
func kept(id, state string) string {
	b := encodeString(nil, id)
	b = encodeString(b, "google.protobuf.StringValue")
	return string(encodeString(b, "\n"+string(rune(len(state)))+state))
}

func encodeString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func TestHandoversFromHostilePeers(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		n := p[1].node.ShardOf("keeper-x")
		l, other := s.raw(p[0], p[1]), s.raw(p[2], p[1])
		send := func(l transport.Link, epoch uint64, tag int64, body []byte) object.Code {
			c := &transport.Call{Op: 100, Shard: n, Epoch: epoch, Revision: tag}
			c.Body = body
			reply, err := l.Call(s.Context(), c)
			if err != nil {
				s.Fatal(err)
			}
			if reply.Err == nil {
				return object.CodeOK
			}
			if object.Executed(reply.Err) != object.ExecutedNo {
				s.Errorf("%v", reply.Err)
			}
			return reply.Err.Code
		}
		state := kept("keeper-x", "7 ")
		size := uint64(len(state))
		const ok, invalid, wrong = object.CodeOK, object.CodeInvalidArgument, object.CodeFailedPrecondition
		for i, x := range []struct {
			link  transport.Link
			epoch uint64
			tag   int64
			body  []byte
			want  object.Code
		}{
			{l, 5, 10, nil, invalid},
			{l, 5, 10, []byte{0xff}, invalid},
			{l, 5, 10, pieceOf(0, 0, 0, ""), invalid},
			{l, 5, 10, pieceOf(1, 1, 1, "x"), invalid},
			{l, 5, 10, pieceOf(0, 1, 1, "xx"), invalid},
			{l, 5, 10, pieceOf(0, 1<<63, 1, "x"), invalid},
			{l, 5, 10, pieceOf(0, 1, 1<<62, "x"), invalid},
			{l, 5, 10, pieceOf(0, 1, 1<<39, "x"), object.CodeResourceExhausted},
			{l, 5, 10, pieceOf(0, 1, 5, "x"), invalid},           // less than it says
			{l, 5, 10, pieceOf(1, 2, size, state[:3]), wrong},    // the first is missing
			{l, 5, 10, pieceOf(0, 2, size, state[:3]), ok},       // the right one
			{l, 5, 10, pieceOf(0, 2, size, state[:3]), ok},       // again
			{l, 5, 10, pieceOf(0, 3, size, state[:3]), wrong},    // another number
			{l, 5, 10, pieceOf(1, 2, size+1, state[3:]), wrong},  // another size
			{l, 6, 10, pieceOf(1, 2, size, state[3:]), wrong},    // another epoch
			{other, 5, 10, pieceOf(1, 2, size, "forged"), wrong}, // another node
			{l, 5, 9, pieceOf(0, 1, size, state), wrong},         // an earlier move
			{l, 5, 10, pieceOf(1, 2, size, state[3:]+"x"), wrong},
			{l, 5, 10, pieceOf(1, 2, size, state[3:]), ok},
			{l, 5, 10, pieceOf(1, 2, size, state[3:]), ok},
		} {
			if got := send(x.link, x.epoch, x.tag, x.body); got != x.want {
				s.Errorf("piece %d: %v, want %v", i, got, x.want)
			}
		}
		m := (n + 1) % shards
		c := &transport.Call{Op: 100, Shard: m, Epoch: 5}
		c.Body = pieceOf(0, 1, uint64(len(kept("keeper-"+idIn(p[1], m), "7 "))), kept("keeper-"+idIn(p[1], m), "7 "))
		if reply, err := l.Call(s.Context(), c); err != nil || reply.Err != nil {
			s.Fatal(reply, err)
		}
		if err := p[1].Host().OpenShard(s.Context(), m, 5, 0); err != nil { // without a tag nothing is installed
			s.Fatal(err)
		}
		p[1].table.tell(m, cluster.Route{Incarnation: "b", Address: address("b"), Epoch: 5, Revision: 11})
		if got := p[1].must("keeper-"+idIn(p[1], m), "add"); got != "1" {
			s.Errorf("the count is %s", got)
		}
		half := kept("keeper-"+idIn(p[1], (n+2)%shards), "7 ")
		c = &transport.Call{Op: 100, Shard: (n + 2) % shards, Epoch: 5, Revision: 10}
		c.Body = pieceOf(0, 2, uint64(2*len(half)), half)
		if reply, err := l.Call(s.Context(), c); err != nil || reply.Err != nil {
			s.Fatal(reply, err)
		}
		if err := p[1].Host().OpenShard(s.Context(), (n+2)%shards, 5, 10); err != nil { // a half is nothing
			s.Fatal(err)
		}
		p[1].table.tell((n+2)%shards, cluster.Route{Incarnation: "b", Address: address("b"), Epoch: 5, Revision: 11})
		if got := p[1].must("keeper-"+idIn(p[1], (n+2)%shards), "add"); got != "1" {
			s.Errorf("the count is %s", got)
		}
		if err := p[1].Host().OpenShard(s.Context(), n, 5, 10); err != nil {
			s.Fatal(err)
		}
		s.truth.routes[n] = cluster.Route{Incarnation: "b", Address: address("b"), Epoch: 5, Revision: 11}
		p[1].table.tell(n, s.truth.routes[n])
		if got := p[1].must("keeper-x", "add"); got != "8" {
			s.Errorf("the count is %s", got)
		}
		for _, epoch := range []uint64{4, 5} { // late ones
			if got := send(l, epoch, 100, pieceOf(0, 1, size, state)); got != wrong {
				s.Errorf("epoch %d: %v", epoch, got)
			}
		}
		if got := send(l, 6, 100, pieceOf(0, 1, 3, "\xff\xff\xff")); got != ok { // garbage is found when it is opened
			s.Errorf("%v", got)
		}
		p[1].Host().ReleaseShard(n, 5, cluster.ReleaseLost)
		if err := p[1].Host().OpenShard(s.Context(), n, 6, 100); err != nil {
			s.Fatal(err)
		}
		s.truth.routes[n] = cluster.Route{Incarnation: "b", Address: address("b"), Epoch: 6, Revision: 101}
		p[1].table.tell(n, s.truth.routes[n])
		if got := p[1].must("keeper-x", "add"); got != "1" || !strings.Contains(s.log.String(), "is lost") {
			s.Errorf("the count is %s; %s", got, s.log.String())
		}
	})
}

// idIn is the name of a keeper in a shard.
func idIn(p *peer, shard uint32) string {
	for i := 0; ; i++ {
		if p.node.ShardOf(fmt.Sprint("keeper-", i)) == shard {
			return fmt.Sprint(i)
		}
	}
}

// Many hand-overs that nobody finishes take no more memory than allowed, and make room when they are too old.
func TestHandoversAreBounded(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		l := s.raw(p[0], p[1])
		put := func(shard uint32, tag int64, size uint64) *transport.Reply {
			c := &transport.Call{Op: 100, Shard: shard, Epoch: 5, Revision: tag}
			c.Body = pieceOf(0, 2, size, "x")
			reply, err := l.Call(s.Context(), c)
			if err != nil {
				s.Fatal(err)
			}
			return reply
		}
		for shard := range uint32(8) {
			if r := put(shard, 1, 1000); r.Err != nil {
				s.Fatal(r.Err)
			}
		}
		if r := put(8, 1, 1000); object.CodeOf(r.Err) != object.CodeResourceExhausted {
			s.Errorf("the ninth: %v", r.Err)
		}
		if r := put(7, 2, 900); r.Err != nil { // takes the place of its forerunner
			s.Errorf("a newer one: %v", r.Err)
		}
		pass(keepFor - time.Second)
		if r := put(8, 1, 1000); r.Err == nil {
			s.Error("there is room")
		}
		if err := p[1].Host().OpenShard(s.Context(), 3, 9, 0); err != nil { // makes room
			s.Fatal(err)
		}
		if r := put(9, 1, 1000); r.Err != nil {
			s.Errorf("after one is gone: %v", r.Err)
		}
		if r := put(10, 1, 1000); r.Err == nil {
			s.Error("there is room for two")
		}
		pass(2 * time.Second)
		if r := put(8, 1, 7500); r.Err != nil {
			s.Errorf("there is no room: %v", r.Err)
		}
		synctest.Wait()
	}, func(c *routing.Config) { c.KeptBytes = 8 * (1000 + 256) * 11 / 10 })
}

// The way to the target is broken for a moment only.
func TestAHandoverIsTriedAgain(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[0], "keeper-x", p[1])
		p[0].must("keeper-x", "add")
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
		go func() {
			time.Sleep(3 * time.Millisecond) //nolint:forbidigo // virtual time
			s.net.SetFaults(address("a"), address("b"), mem.Faults{})
		}()
		s.move(p[0], p[1], "keeper-x")
		if got := p[0].must("keeper-x", "add"); got != "2" {
			s.Errorf("the count is %s", got)
		}
	})
}
