package shard

// receiver returns where in the queue the next seat is that may get a shard from this
// one, or -1.
func (p *planner) receiver(from int32) int {
	best := -1
	if n := &p.seats[p.queue[0]]; n.load >= n.goal {
		return best
	}
	for k, i := range p.queue {
		if n := &p.seats[i]; n.load >= n.goal || p.pairs[hop{from, i}] >= p.limits.PerPair {
			continue
		}
		if k == 0 {
			return 0
		}
		if best < 0 || p.before(i, p.queue[best]) {
			best = k
		}
	}
	return best
}

// lineUp makes the queue.
func (p *planner) lineUp() {
	p.queue = make([]int32, 0, len(p.seats))
	for i := range p.seats {
		if p.seats[i].accepts {
			p.queue = append(p.queue, int32(i))
		}
	}
	for k := len(p.queue)/2 - 1; k >= 0; k-- {
		p.sink(k)
	}
}

// sink restores the order of the heap after the k-th of the queue got a shard.
func (p *planner) sink(k int) {
	for {
		next := k
		for c := 2*k + 1; c <= 2*k+2 && c < len(p.queue); c++ {
			if p.before(p.queue[c], p.queue[next]) {
				next = c
			}
		}
		if next == k {
			return
		}
		p.queue[k], p.queue[next] = p.queue[next], p.queue[k]
		k = next
	}
}

// before says that seat i gets a shard before seat j: it has room, and with one more it
// has less for its weight.
func (p *planner) before(i, j int32) bool {
	a, b := &p.seats[i], &p.seats[j]
	if room := a.load < a.goal; room != (b.load < b.goal) {
		return room
	}
	x, y := int64(a.load+1)*b.weight, int64(b.load+1)*a.weight
	return x < y || x == y && i < j
}
