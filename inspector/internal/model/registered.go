package model

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// typ is a type that nodes have registered, with the methods that any of them has.
type typ struct {
	client  bool
	methods map[string]*inspectpb.MethodInfo
}

// Registered takes over the types of a node; infos must not be changed any more. While a cluster is upgraded its nodes
// have not all the same methods: what any has is told, as it was told last.
func (m *Model) Registered(id string, infos []*inspectpb.TypeInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[id]
	if n == nil || n.gone != 0 {
		return
	}
	for _, other := range m.nodes { // most have the same, and share it
		if slices.EqualFunc(other.registered, infos, func(a, b *inspectpb.TypeInfo) bool { return proto.Equal(a, b) }) {
			infos = other.registered
			break
		}
	}
	n.registered, n.learnt = infos[:min(len(infos), maxTypes)], m.next()
	m.register()
}

// register puts together what the nodes have registered, and forgets the figures of types that none has any more;
// m.mu is held.
func (m *Model) register() {
	types := make(map[string]*typ)
	nodes := slices.SortedFunc(maps.Values(m.nodes), func(a, b *node) int { return cmp.Compare(a.learnt, b.learnt) })
	for _, n := range nodes {
		for _, info := range n.registered {
			t := types[info.GetName()]
			if t == nil {
				if len(types) >= maxTypes || len(info.GetName()) > 256 {
					continue
				}
				t = &typ{methods: make(map[string]*inspectpb.MethodInfo)}
				types[info.GetName()] = t
			}
			t.client = info.GetClient()
			for _, one := range info.GetMethods() {
				if name := clip(one.GetName(), 256); len(t.methods) < maxTypes || t.methods[name] != nil {
					t.methods[name] = one
				}
			}
		}
	}
	maps.DeleteFunc(m.methods, func(key methodKey, _ *method) bool { return m.types[key.typ] != nil && types[key.typ] == nil })
	m.types = types
	m.version.Types = m.next()
}

// MethodInfo is a registered method; nil: it is not.
func (m *Model) MethodInfo(typ, name string) *inspectpb.MethodInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.types[typ]; t != nil {
		return t.methods[name]
	}
	return nil
}
