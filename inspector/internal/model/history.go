package model

// methodSecond is a second of a method, as short as can be: each of up to 5000 methods keeps 300 of them, 18 MB in all.
type methodSecond struct {
	calls, errors float32 // a second
	p99           float32 // µs; 0: there were no calls
}

// keepMethods ends a second of the methods' histories. What nodes told in it need not be of a second's time, as they tell
// it every half: the point, whose rates are by the time that it was told of, says how much it is. m.mu is held.
func (m *Model) keepMethods(p Point, known bool) {
	at, before := m.seconds%methodPoints, (m.seconds+methodPoints-1)%methodPoints
	if m.past[at] = 0; known {
		m.past[at] = p.T
	}
	told, share := uint64(0), float32(1)
	for _, one := range m.methods {
		told += one.seconds[m.seconds%histogram].calls
	}
	if told > 0 && p.Calls > 0 {
		share = float32(p.Calls / float64(told))
	}
	for _, one := range m.methods {
		if told == 0 && p.Calls > 0 { // it comes late, and is as it was
			one.past[at] = one.past[before]
			continue
		}
		t := &one.seconds[m.seconds%histogram]
		one.past[at] = methodSecond{calls: float32(t.calls) * share, errors: float32(t.errors) * share}
		if p99 := t.latency.quantile(0.99); p99 != nil {
			one.past[at].p99 = float32(*p99)
		}
	}
}

// MethodHistory is what a method did in the last five minutes, second by second; false: there is no such method.
func (m *Model) MethodHistory(typ, name string) (MethodHistory, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.methods[methodKey{typ, name}]
	if t := m.types[typ]; one == nil && (t == nil || t.methods[name] == nil) {
		return MethodHistory{}, false
	}
	out := MethodHistory{History: []MethodPoint{}}
	for age := min(m.seconds, methodPoints); age > 0; age-- {
		i := (m.seconds - age) % methodPoints
		p := MethodPoint{T: m.past[i]}
		if p.T == 0 {
			continue
		}
		if one != nil {
			s := one.past[i]
			p.Calls, p.Errors = float64(s.calls), float64(s.errors)
			if p99 := float64(s.p99); p99 > 0 {
				p.P99 = &p99
			}
		}
		out.History = append(out.History, p)
	}
	return out, true
}
