package inspector_test

import (
	"testing"

	"github.com/xiaonanln/goverse/internal/shard"
)

// What operators want and what a server does are told apart, from the records alone.
func TestDrainAndStopAreToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := newFake(t, "AAA"), newFake(t, "BBB")
	w.cluster(a, b)
	w.live(a, b)
	becomes := func(state string, drain, stopping bool) {
		t.Helper()
		w.await(state, func() bool { return w.stateOf("BBB") == state })
		if n := get[object](w, "/api/nodes/BBB"); n["drain"] != drain || n["stopping"] != stopping {
			t.Errorf("%s: drain %v, stopping %v", state, n["drain"], n["stopping"])
		}
	}
	becomes("live", false, false)
	w.put("drains/BBB", nil)
	becomes("draining", true, false)
	w.put("nodes/BBB", shard.NodeRecord{
		Address: b.address, Shards: shards, Hash: shard.HashName, Weight: 1, MinProtocol: 1, MaxProtocol: 1, Cluster: "a-cluster", Draining: true,
	}.Encode())
	becomes("stopping", true, true)
	w.del("drains/BBB")
	w.await("end of the drain", func() bool { return get[object](w, "/api/nodes/BBB")["drain"] == false })
	becomes("stopping", false, true)
	w.del("nodes/BBB")
	becomes("gone", false, false)
	leaves := get[struct {
		Events []struct{ Level, Text string }
	}](w, "/api/events?kind=leave").Events
	if len(leaves) != 2 || leaves[0].Text != b.address+" is being stopped, and leaves." || leaves[1].Level != "info" {
		t.Errorf("told %+v", leaves)
	}
}
