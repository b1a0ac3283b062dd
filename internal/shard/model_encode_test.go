package shard

import "time"

// encode is the state in bytes, all of it that may make a difference.
func (w *world) encode(p params, b []byte) []byte {
	l := &w.left
	b = append(b, byte(w.now/time.Second), byte(w.rev), byte(w.leader), byte(w.term), byte(w.logged),
		byte(l.writes), byte(l.campaigns), byte(l.losses), byte(l.turns), byte(l.crashes), byte(l.evictions),
		byte(l.renewals), byte(l.timeouts), byte(l.deletions))
	for s := range p.shards {
		b = w.records[s].encode(b)
		b = append(b, flag(w.deleted[s]), byte(w.top[s]))
	}
	for _, c := range w.log[:w.logged] {
		b = c.record.encode(append(b, byte(c.shard), byte(c.node), byte(c.rev)))
	}
	for i := range w.writes {
		f := &w.writes[i]
		o := &w.members[f.node].shards[f.shard].rules
		b = append(f.encode(b), flag(o.waits && byte(o.number) == byte(f.number)))
	}
	for n := range p.nodes {
		k := w.keys[n]
		b = append(b, byte(k.rev), flag(k.leased), byte(k.expires/time.Second))
		b = w.members[n].encode(p, b)
	}
	return b
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func (s stored) encode(b []byte) []byte { return append(s.record.encode(b), byte(s.rev)) }

func (r small) encode(b []byte) []byte {
	return append(b, byte(r.owner), byte(r.ownerRev), byte(r.epoch), byte(r.target), byte(r.targetRev), byte(r.handover))
}

func (f *flight) encode(b []byte) []byte {
	if !f.used {
		return append(b, 0)
	}
	b = f.record.encode(append(b, 1, byte(f.shard), byte(f.rev), byte(f.count), byte(f.term), byte(f.leads), byte(f.node)))
	for _, g := range f.guards {
		b = append(b, byte(g.node), byte(g.rev))
	}
	return b
}

func (m *member) encode(p params, b []byte) []byte {
	if m.down {
		return append(b, 0)
	}
	b = append(b, 1+flag(m.dead), byte(m.asked/time.Second), byte(m.done), flag(m.verify), byte(m.reading), byte(m.until/(250*time.Millisecond)), byte(m.term), byte(m.told))
	b = m.lease.encode(b)
	for s := range p.shards {
		b = m.shards[s].encode(b)
	}
	return b
}

// Numbers of actions only say whether an answer is still waited for.
//
// encode leaves out SuspectAt, which decides about nothing here.
func (l *Lease) encode(b []byte) []byte {
	return append(b, byte(l.State), byte(l.ValidUntil/(250*time.Millisecond)), byte(l.pending/(250*time.Millisecond)))
}

func (h *hosted) encode(b []byte) []byte {
	o := &h.rules
	b = append(b, byte(o.Phase), byte(o.Epoch), byte(o.Rev), flag(o.waits), byte(o.refused), byte(o.unsure), flag(o.quit))
	b = shrink(o.Record).encode(b)
	b = h.view.encode(append(b, byte(h.queued), flag(h.sent), flag(h.open), flag(h.running), byte(h.epoch), flag(h.gone), byte(h.last.node), byte(h.last.rev), byte(h.lastEpoch)))
	for _, t := range h.queue[:h.queued] {
		b = t.record.encode(append(b, byte(t.kind), flag(byte(o.number) == byte(t.number)), byte(t.epoch), byte(t.handover), byte(t.rev)))
	}
	return b
}
