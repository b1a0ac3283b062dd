//go:build linux

package nemesis

import (
	"context"
	"time"
)

// scenario is a plan of faults.
type scenario struct {
	name, text string
	nodes      int
	shards     int  // 0: as configured
	short      bool // part of the short run
	planned    bool // no call may fail, none may run twice, no kept memory may be lost
	slow       bool // some turns are long, so that there are some in flight
	embedded   bool // etcd is in the first node's process
	torment    func(ctx context.Context, w *world) error
}

// scenarios are all plans there are: first what an operator does, then what happens to
// nodes, then to links and to etcd, then everything at once.
func scenarios() []scenario {
	return []scenario{
		{name: "rolling", text: "stop and start one node after the other", nodes: 3, short: true, planned: true, torment: rolling},
		{name: "scale", text: "nodes join and leave, overlapping", nodes: 3, shards: 128, planned: true, torment: scale},
		{name: "moves", text: "an operator moves shards and drains nodes, all at the same time", nodes: 3, shards: 128, planned: true, torment: moves},
		{name: "fourth", text: "a fourth node joins three that have 8192 shards", nodes: 3, shards: 8192, planned: true, torment: fourth},

		{name: "kill", text: "kill -9 a node that is not the allocator's; start it again", nodes: 3, short: true, torment: kill},
		{name: "kill-alloc", text: "kill -9 the allocator's node; start it again", nodes: 3, torment: killAllocator},
		{name: "restart", text: "kill -9 a node and start it at once: the proof of its death is its data directory", nodes: 3, short: true, torment: restart},
		{name: "crash-loop", text: "kill -9 a node again and again, at any moment of its start", nodes: 3, torment: crashLoop},
		{name: "majority", text: "kill -9 all nodes but one at the same time", nodes: 4, torment: majority},
		{name: "cold", text: "kill -9 all nodes, and start them again", nodes: 3, torment: cold},
		{name: "freeze", text: "SIGSTOP a node for longer than its lease, then SIGCONT", nodes: 3, slow: true, short: true, torment: freeze},
		{name: "sleepwalk", text: "the same, and when it wakes up it does not reach etcd, and nobody tells it what it has missed", nodes: 3, slow: true, short: true, torment: sleepwalk},
		{name: "freeze-alloc", text: "the same with the allocator's node, while shards move", nodes: 3, slow: true, torment: freezeAllocator},
		{name: "naps", text: "SIGSTOP a node for 0.8 of its lease, again and again", nodes: 3, slow: true, torment: naps},
		{name: "kill-drain", text: "SIGTERM a node, and kill -9 it while it drains", nodes: 3, slow: true, torment: killDrain},

		{name: "cut-etcd", text: "a node does not reach etcd, for longer than its lease", nodes: 3, slow: true, torment: cutEtcd},
		{name: "cut-peers", text: "nobody reaches a node, which reaches etcd", nodes: 3, slow: true, torment: cutPeers},
		{name: "cut-pair", text: "two nodes do not reach each other, and reach all others", nodes: 3, slow: true, torment: cutPair},
		{name: "cut-all", text: "a node reaches nobody and is reached by nobody, for longer than its lease", nodes: 3, slow: true, torment: cutAll},
		{name: "reset", text: "connections break, everywhere, again and again", nodes: 3, torment: reset},

		{name: "etcd-blip", text: "etcd stands still for less than half a lease", nodes: 3, planned: true, torment: etcdBlip},
		{name: "etcd-outage", text: "etcd stands still for longer than a lease", nodes: 3, slow: true, short: true, torment: etcdOutage},
		{name: "etcd-rolling", text: "kill -9 one member of etcd after the other, the leader included", nodes: 3, torment: etcdRolling},
		{name: "etcd-quorum", text: "kill -9 two members of etcd, for less and for more than a lease", nodes: 3, slow: true, torment: etcdQuorum},
		{name: "etcd-all", text: "kill -9 all members of etcd, and start them again", nodes: 3, slow: true, torment: etcdAll},
		{name: "etcd-compact", text: "history is compacted away under watches that lag, while shards move", nodes: 3, torment: etcdCompact},

		{name: "embedded", text: "kill -9 a node, then the one whose process has the cluster's only etcd", nodes: 3, slow: true, embedded: true, torment: embedded},

		{name: "wander", text: "any of these, one and two at a time, for half a minute", nodes: 4, slow: true, torment: wander},
	}
}

// some is a random duration between two.
func (w *world) some(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Int64N(int64(most-least)+1))
}
