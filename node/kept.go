package node

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/xiaonanln/goverse/object"
)

// Kept is what an object that is not active wants to have when it is again; see
// [object.Snapshotter].
type Kept struct {
	ID      string
	Message string // full protobuf name
	Body    []byte // encoded
}

// kept is a Kept in the memory of a shard, for as long as an idle object would be.
type kept struct {
	Kept

	until int64 // in ns since the node was made
}

// keptOf returns the state of an object that is not active; nil without any.
func (s *shardState) keptOf(id string) *kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[id]
}

// used drops state that an object has taken back, which may be nil, unless there is
// newer one by now.
func (s *shardState) used(k *kept) {
	if k == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[k.ID] == k {
		delete(s.kept, k.ID)
	}
}

// forget drops what the shard keeps of an object.
func (s *shardState) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, id)
}

// keep puts state into the shard's memory. The lock is held.
func (n *Node) keep(s *shardState, all []Kept) {
	now := int64(n.elapsed())
	for _, k := range all {
		typ, err := n.typeOf("restore", k.ID)
		if err != nil {
			n.cfg.Logger.Warn("state that came with a shard is dropped", "object", k.ID, "error", err.Error())
			continue
		}
		if s.kept == nil {
			s.kept = make(map[string]*kept)
		}
		until := now + int64(n.idleTimeout(typ))
		s.kept[k.ID] = &kept{k, until}
		s.due = min(s.due, until)
	}
}

// takeKept takes all state out of the shard's memory. The lock is held.
func (s *shardState) takeKept() (all []Kept) {
	for _, id := range slices.Sorted(maps.Keys(s.kept)) {
		all = append(all, s.kept[id].Kept)
	}
	s.kept = nil
	return all
}

// expireKept drops the state that nobody has asked for in an idle time. The lock is
// held.
func (s *shardState) expireKept(now int64) {
	for id, k := range s.kept {
		if k.until <= now {
			delete(s.kept, id)
		} else {
			s.due = min(s.due, k.until)
		}
	}
}

// deleteKept deletes an object that is not active; false: it is by now.
func (n *Node) deleteKept(t *turn) (over bool, err error) {
	seg, hash := n.objects.of(t.id())
	seg.mu.Lock()
	defer seg.mu.Unlock()
	s := t.act.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case seg.find(hash, t.id()) != nil:
		return false, nil
	case !s.admits(t):
		return true, t.refuse(object.CodeUnavailable, "", movingMessage)
	}
	delete(s.kept, t.id())
	return true, nil
}

// snapshot asks an object that admits nobody any more for what it wants to keep. The
// hook's context ends with ctx too.
func (n *Node) snapshot(ctx context.Context, a *activation) (k Kept, failure *object.Error) {
	if a.obj == nil || !a.typ.Hooks.Snapshot {
		return Kept{}, nil
	}
	s, _ := a.obj.(object.Snapshotter)
	failure = n.runHook(a, nil, onSnapshot, func(hook context.Context) error {
		limited, cancel := context.WithCancelCause(hook)
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		state, err := s.OnSnapshot(limited)
		if err != nil || state == nil || !state.ProtoReflect().IsValid() {
			return err
		}
		body, err := proto.Marshal(state)
		if err != nil {
			return fmt.Errorf("encode snapshot: %w", err)
		}
		k = Kept{a.id, string(state.ProtoReflect().Descriptor().FullName()), body}
		return nil
	})
	return k, failure
}

// restore gives a new object what was kept of it.
func (n *Node) restore(a *activation, k *kept) *object.Error {
	if k == nil || !a.typ.Hooks.Snapshot {
		return nil
	}
	s, _ := a.obj.(object.Snapshotter)
	return n.runHook(a, nil, onRestore, func(ctx context.Context) error {
		typ, err := protoregistry.GlobalTypes.FindMessageByURL(k.Message)
		if err != nil {
			return fmt.Errorf("decode %s: %w", k.Message, err)
		}
		state := typ.New().Interface()
		if err := (proto.UnmarshalOptions{RecursionLimit: decodeDepth}).Unmarshal(k.Body, state); err != nil {
			return fmt.Errorf("decode %s: %w", k.Message, err)
		}
		return s.OnRestore(ctx, state)
	})
}
