package model

import (
	"cmp"
	"maps"
	"slices"
	"time"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

type methodKey struct{ typ, name string }

// method is what calls of a method did.
type method struct {
	seconds       [histogram]tally // by second
	calls, errors uint64
	last          *LastError
	past          [methodPoints]methodSecond // by second
}

// Types lists the types, by name.
func (m *Model) Types() Types {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make(map[string]bool)
	objects := make(map[string]uint64)
	for name := range m.types {
		names[name] = true
	}
	now := m.clock.Monotonic()
	for _, n := range m.nodes {
		if !m.tells(n, now) {
			continue
		}
		for name, count := range n.types {
			objects[name] += count
			names[name] = true
		}
	}
	byType := make(map[string][]methodKey)
	for key := range m.methods {
		byType[key.typ] = append(byType[key.typ], key)
		names[key.typ] = true
	}
	out := Types{Types: make([]Type, 0, len(names)), Sampling: m.state.Sampling}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		t := Type{Name: name, Objects: objects[name], Methods: m.methodsOf(name, byType[name])}
		t.Client = m.types[name] != nil && m.types[name].client
		for _, one := range t.Methods {
			t.Calls += one.Calls
			t.Errors += one.Errors
		}
		out.Types = append(out.Types, t)
	}
	return out
}

// methodsOf lists the methods of a type; m.mu is held.
func (m *Model) methodsOf(name string, called []methodKey) []Method {
	out := []Method{}
	known := map[string]*inspectpb.MethodInfo{}
	if t := m.types[name]; t != nil {
		known = t.methods
	}
	for _, info := range known {
		out = append(out, m.shapeMethod(methodKey{name, info.GetName()}, info))
	}
	for _, key := range called {
		if known[key.name] == nil { // a hook
			out = append(out, m.shapeMethod(key, nil))
		}
	}
	slices.SortFunc(out, func(a, b Method) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (m *Model) shapeMethod(key methodKey, info *inspectpb.MethodInfo) Method {
	out := Method{
		Name: key.name, Request: clip(info.GetRequest(), 512), Reply: clip(info.GetReply(), 512), Mode: clip(info.GetMode(), 64), Histogram: []uint64{},
	}
	now := m.clock.Monotonic()
	for _, n := range m.nodes {
		if m.tells(n, now) {
			out.Running += n.running[key]
		}
	}
	s := m.methods[key]
	if s == nil {
		return out
	}
	var minute, recent latency
	var calls, errors uint64
	for i := range s.seconds {
		t := &s.seconds[i]
		minute = minute.plus(t.latency)
		if age := (m.seconds + histogram - uint64(i)) % histogram; age <= windowOf {
			recent = recent.plus(t.latency)
			calls += t.calls
			errors += t.errors
		}
	}
	over := m.window(0, windowOf)
	out.Calls, out.Errors = float64(calls)/over, float64(errors)/over
	out.P50, out.P95, out.P99 = recent.percentiles()
	out.TotalCalls, out.TotalErrors, out.LastError = s.calls, s.errors, s.last
	out.Histogram = append(out.Histogram, minute...)
	return out
}

// window is how many seconds the present one and so many before it are that are counted, of those that are looked at
// from some time on; m.mu is held.
func (m *Model) window(from time.Duration, most uint64) float64 {
	oldest := m.seconds - min(m.seconds, most)
	from = max(from, m.began[oldest%uint64(len(m.began))])
	return max((m.ticked - from + min(m.clock.Monotonic()-m.ticked, time.Second)).Seconds(), 1)
}

// takeMethods takes over what calls did until a time in Unix ms; m.mu is held.
func (m *Model) takeMethods(n *node, stats []*inspectpb.MethodStats, at int64) {
	n.running = make(map[methodKey]uint64)
	for _, s := range stats[:min(len(stats), maxMethods)] {
		key := methodKey{clip(s.GetType(), 256), clip(s.GetMethod(), 256)}
		n.current.calls += s.GetCalls()
		n.current.errors += s.GetErrors()
		n.current.latency = n.current.latency.plus(s.GetLatency())
		if s.GetRunning() > 0 {
			n.running[key] += s.GetRunning()
		}
		all := m.methods[key]
		if all == nil {
			if len(m.methods) >= maxMethods {
				continue
			}
			all = &method{}
			m.methods[key] = all
		}
		all.calls += s.GetCalls()
		all.errors += s.GetErrors()
		t := &all.seconds[m.seconds%histogram]
		t.calls += s.GetCalls()
		t.errors += s.GetErrors()
		t.latency = t.latency.plus(s.GetLatency())
		if s.GetLastCode() != "" {
			all.last = &LastError{
				At: at, Code: clip(s.GetLastCode(), 64), Message: clip(s.GetLastError(), maxText), Stack: clip(s.GetLastStack(), maxStack), Node: n.id,
			}
		}
	}
}
