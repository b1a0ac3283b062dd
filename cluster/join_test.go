package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
)

// What a member writes is what others will read.
func TestJoin(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		m := r.join()
		nodes := r.page(nodesPrefix)
		if len(nodes) != 1 || nodes[0].Lease == coord.NoLease {
			t.Fatalf("nodes %+v, want one with a lease", nodes)
		}
		var node struct {
			Address string `json:"address"`
			Shards  int    `json:"shards"`
		}
		if err := json.Unmarshal(nodes[0].Value, &node); err != nil || node.Address != "127.0.0.1:47000" || node.Shards != shards {
			t.Errorf("node record %s: %v", nodes[0].Value, err)
		}
		incarnation := strings.TrimPrefix(nodes[0].Key, nodesPrefix)
		records, opened := r.records(), m.owner.opened()
		if len(records) != shards || len(opened) != shards {
			t.Fatalf("%d records, %d shards opened, want %d", len(records), len(opened), shards)
		}
		for shard, rec := range records {
			if rec.Owner != incarnation || rec.OwnerRev != nodes[0].CreateRev || rec.Epoch == 0 || rec.Epoch != opened[shard] {
				t.Errorf("shard %d: %+v, opened at %d; the node is %+v", shard, rec, opened[shard], nodes[0])
			}
		}
		for _, kv := range r.page(shardsPrefix) {
			if kv.Lease != coord.NoLease {
				t.Errorf("%s has a lease: it would be lost with its owner", kv.Key)
			}
		}
		r.leave(m)
	})
}

// Over restarts every shard's epoch grows, whatever became of the record in between.
func TestEpochsGrowOverRestarts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		last := make(map[uint32]uint64)
		names := make(map[string]bool)
		for restart := range 6 {
			m := r.join()
			for shard, epoch := range m.owner.opened() {
				if epoch <= last[shard] {
					t.Errorf("restart %d: shard %d at epoch %d after %d", restart, shard, epoch, last[shard])
				}
				last[shard] = epoch
			}
			for _, kv := range r.page(nodesPrefix) {
				names[kv.Key] = true
			}
			r.leave(m)
			switch restart {
			case 2: // the records are lost
				if _, err := r.link.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.DeletePrefix(shardsPrefix)}}); err != nil {
					t.Fatal(err)
				}
			case 3: // the store was, and counts its revisions anew: an epoch may be beyond them
				for shard := range uint32(shards) {
					last[shard] = 1 << 40
					r.put(fmt.Sprintf("%s%04d", shardsPrefix, shard), `{"owner":"somebody","owner_rev":7,"epoch":1099511627776}`)
				}
			}
		}
		if len(names) != 6 {
			t.Errorf("%d incarnations, want 6", len(names))
		}
	})
}

func TestSecondMemberIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		first := r.join()
		records := r.records()
		err := r.refused()
		for _, want := range []string{"living member", "more than one server in a cluster is not supported yet"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %s", err, want)
			}
		}
		if nodes := r.page(nodesPrefix); len(nodes) != 1 {
			t.Errorf("nodes %+v, want the first alone", nodes)
		}
		for shard, rec := range r.records() {
			if rec != records[shard] {
				t.Errorf("shard %d: %+v, before %+v", shard, rec, records[shard])
			}
		}
		pass(5 * ttl)
		if !first.lives() {
			t.Error("the first member ended")
		}
		other := r.join(func(c *cluster.Config) { c.Name = "another" }) // clusters do not meet
		r.leave(first)
		r.leave(r.join())
		r.leave(other)
	})
}

// A member that was killed blocks its shards for as long as its lease lives.
func TestDeadMembersShardsAreFreeWithItsLease(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		killed := r.join()
		killed.link.SetFaults(mem.Faults{Hang: true})
		killed.stop()
		<-killed.ended
		_ = r.refused()
		pass(ttl)
		r.leave(r.join())
	})
}

// The same name at another revision is another life: its shards are free.
func TestAnotherLifeOfAnOwner(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		r.put(nodesPrefix+"phoenix", "{}")
		kv, _, err := r.link.Get(t.Context(), nodesPrefix+"phoenix")
		if err != nil {
			t.Fatal(err)
		}
		r.put(shardsPrefix+"0003", fmt.Sprintf(`{"owner":"phoenix","owner_rev":%d,"epoch":5}`, kv.CreateRev-1))
		r.leave(r.join())
		r.put(shardsPrefix+"0003", fmt.Sprintf(`{"owner":"phoenix","owner_rev":%d,"epoch":5}`, kv.CreateRev))
		if err := r.refused(); !strings.Contains(err.Error(), "living member phoenix") {
			t.Errorf("%v", err)
		}
	})
}

func TestTwoMembersAtTheSameMoment(t *testing.T) {
	t.Parallel()
	for range 50 {
		inBubble(t, func(r *rig) {
			members := []*member{r.run(), r.run(), r.run()}
			synctest.Wait()
			living := 0
			for _, m := range members {
				if m.lives() {
					living++
					<-m.ready
					if got := len(m.owner.opened()); got != shards {
						t.Errorf("%d shards opened, want %d", got, shards)
					}
					r.leave(m)
				} else if err := <-m.ended; !strings.Contains(err.Error(), "not supported yet") {
					t.Errorf("run: %v", err)
				}
			}
			if living != 1 {
				t.Errorf("%d members live, want 1", living)
			}
		})
	}
}

// Somebody changes a record between the member's look and its claim.
func TestClaimRace(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		key := shardsPrefix + "0150"
		err := r.refused(before(3, func() { r.put(key, `{"owner":"rival","owner_rev":1,"epoch":9}`) }))
		if !strings.Contains(err.Error(), "claims shards at the same time") || !strings.Contains(err.Error(), "claim shards from 100") {
			t.Errorf("%v does not tell of the race", err)
		}
		if rec := r.records()[150]; rec.Owner != "rival" {
			t.Errorf("the rival's record was overwritten: %+v", rec)
		}
		if nodes := r.page(nodesPrefix); len(nodes) != 0 {
			t.Errorf("nodes %+v are left", nodes)
		}
	})
}

// A member whose lease is gone claims nothing, and does not blame a rival.
func TestLeaseLostWhileClaiming(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		err := r.refused(before(3, func() {
			if err := r.link.Revoke(t.Context(), r.page(nodesPrefix)[0].Lease); err != nil {
				t.Error(err)
			}
		}))
		if !errors.Is(err, coord.ErrLeaseNotFound) || !errors.Is(err, cluster.ErrLeaseLost) {
			t.Errorf("%v, want the lease lost", err)
		}
		if got := len(r.records()); got != 100 {
			t.Errorf("%d shards claimed, want the first 100 alone", got)
		}
	})
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "not JSON", `{"epoch":-1}`, `{"epoch":"1"}`, "[]"} {
		inBubble(t, func(r *rig) {
			r.put(shardsPrefix+"0203", value)
			err := r.refused()
			if !strings.Contains(err.Error(), "decode record "+shardsPrefix+"0203") {
				t.Errorf("%q: %v does not name the record", value, err)
			}
			if nodes := r.page(nodesPrefix); len(nodes) != 0 {
				t.Errorf("nodes %+v are left", nodes)
			}
		})
	}
}

func TestJoinFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		r.store.SetOutage(true)
		if err := r.refused(); !errors.Is(err, coord.ErrUnavailable) || !strings.Contains(err.Error(), "grant lease") {
			t.Errorf("no quorum: %v", err)
		}
		r.store.SetOutage(false)
		broken := errors.New("a broken fence")
		err := r.refused(func(c *cluster.Config) { c.Owner.(*owner).fail = broken })
		if !errors.Is(err, broken) || len(r.page(nodesPrefix)) != 0 {
			t.Errorf("an owner that cannot open shards: %v, nodes %+v", err, r.page(nodesPrefix))
		}
		for n := 1; n <= 4; n++ { // the link breaks before each transaction
			var link *mem.Client
			err := r.refused(func(c *cluster.Config) { link = c.Store.(*mem.Client) },
				before(n, func() { link.SetFaults(mem.Faults{Unavailable: true}) }))
			if !errors.Is(err, coord.ErrUnavailable) {
				t.Errorf("link broken before transaction %d: %v", n, err)
			}
			pass(ttl) // its lease could not be given back
		}
		r.leave(r.join())
	})
}

// Who stops a member while it claims does not wait for the rest.
func TestStopWhileClaiming(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		begun := time.Now()
		m := r.run(func(c *cluster.Config) { c.Store.(*mem.Client).SetFaults(mem.Faults{RequestDelay: time.Second}) })
		pass(4500 * time.Millisecond)
		m.stop()
		if err := <-m.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v, want it cancelled", err)
		}
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("it took until %v", took)
		}
	})
}
