//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/role"
	"github.com/xiaonanln/goverse/internal/chaos/workload"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// picture is what the store says about the cluster.
type picture struct {
	rev       int64
	names     map[string]string // incarnation to node
	kvs       map[string]coord.KV
	allocator string // the node
	owner     []string
	moving    int
	orphans   int
}

// look reads the store.
func (w *world) look(ctx context.Context) (*picture, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	page, err := w.store.Range(ctx, prefix, coord.RangeOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	p := &picture{rev: page.Rev, names: map[string]string{}, kvs: map[string]coord.KV{}, owner: make([]string, w.shards)}
	for _, kv := range page.KVs {
		if id, ok := strings.CutPrefix(kv.Key, prefix+"nodes/"); ok {
			p.kvs[id] = kv
			p.names[id] = w.nodeAt(kv)
		}
	}
	owned := 0
	for _, kv := range page.KVs {
		text, ok := strings.CutPrefix(kv.Key, prefix+"shards/")
		if kv.Key == prefix+"allocator" {
			p.allocator = p.names[string(kv.Value)]
		}
		n, err := strconv.Atoi(text)
		if !ok || err != nil || n >= w.shards {
			continue
		}
		r, err := shard.DecodeShard(kv.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kv.Key, err)
		}
		if p.kvs[r.Owner].CreateRev == r.OwnerRev && p.kvs[r.Owner].Exists() {
			p.owner[n] = p.names[r.Owner]
			owned++
		}
		if r.Moving() {
			p.moving++
		}
	}
	p.orphans = w.shards - owned
	return p, nil
}

func (w *world) nodeAt(kv coord.KV) string {
	r, err := shard.DecodeNode(kv.Value)
	if err != nil {
		return ""
	}
	for _, n := range w.nodes {
		if n.Address() == r.Address {
			return n.Name
		}
	}
	return ""
}

// shardsOf are the shards of a node.
func (p *picture) shardsOf(name string) []uint32 {
	var all []uint32
	for n, owner := range p.owner {
		if owner == name {
			all = append(all, uint32(n))
		}
	}
	return all
}

// heal waits until everything is in order again, at most healLimit (I9): each shard has an
// owner that lives, none moves, and each answers a canary from every node.
func (w *world) heal(ctx context.Context) error {
	began := w.now()
	limit, cancel := context.WithTimeoutCause(ctx, healLimit, fmt.Errorf("I9: not within %v", healLimit))
	defer cancel()
	p, err := w.settled(limit, healLimit)
	if err != nil {
		return err
	}
	after := w.now()
	for _, n := range w.alive() {
		a, err := n.Do(limit, role.Command{Objects: w.canaries, Method: workload.Add, A: 1, Timeout: max(began+healLimit-w.now(), time.Second)})
		if err != nil {
			return fmt.Errorf("canaries: %w", err)
		}
		if len(a.Failed) > 0 {
			return fmt.Errorf("I9: %d of %d shards do not answer %s, such as that of %s", len(a.Failed), w.shards, n.Name, a.Failed[0])
		}
	}
	until := w.now()
	again, err := w.look(ctx)
	if err != nil {
		return err
	}
	for n, owner := range p.owner {
		if again.owner[n] == owner && again.moving == 0 {
			w.expect = append(w.expect, expectation{w.canaries[n], after, until, owner})
		}
	}
	w.note("healed in %v", until-began)
	return nil
}

// settled waits until no shard moves and each has an owner that lives, twice in a row.
func (w *world) settled(ctx context.Context, limit time.Duration) (*picture, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("I9: not settled within %v", limit))
	defer cancel()
	var last *picture
	for quiet := 0; ; {
		p, err := w.look(ctx)
		if err == nil {
			last = p
		}
		before := w.observer.seen()
		if w.sleep(ctx, 200*time.Millisecond) != nil {
			if last == nil {
				return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
			}
			return nil, fmt.Errorf("%w: %d shards without a living owner, %d moving", context.Cause(ctx), last.orphans, last.moving)
		}
		if err == nil && p.orphans == 0 && p.moving == 0 && before == w.observer.seen() {
			if quiet++; quiet >= 2 {
				return p, nil
			}
		} else {
			quiet = 0
		}
	}
}
