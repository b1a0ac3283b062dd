package node

// Away returns how many calls are on their way to other nodes.
func (n *Node) Away() int {
	n.away.mu.Lock()
	defer n.away.mu.Unlock()
	return len(n.away.known)
}

// Lines returns how many lines of one-way calls to other nodes there are.
func (n *Node) Lines() int {
	n.lines.mu.Lock()
	defer n.lines.mu.Unlock()
	return int(n.lines.count.Load()) + len(n.lines.waiting)
}

// Observed reports whether calls are captured.
func (n *Node) Observed() bool { return n.lens.Load() != nil }

// Queues returns how many activations are known to have a queue.
func (n *Node) Queues() int {
	n.queues.mu.Lock()
	defer n.queues.mu.Unlock()
	return len(n.queues.set)
}

// Open returns how many turns the observation has told to run and not to have ended.
func (o *Observation) Open() int {
	o.lens.mu.Lock()
	defer o.lens.mu.Unlock()
	return len(o.open)
}

// ErrorSampling returns how many turns that failed one stands for that takes the lens's mutex.
func (o *Observation) ErrorSampling() uint32 {
	o.lens.mu.Lock()
	defer o.lens.mu.Unlock()
	return o.lens.failing.oneIn()
}

// Landed returns how many turns have ended that are in no figure yet.
func (o *Observation) Landed() int {
	o.lens.mu.Lock()
	defer o.lens.mu.Unlock()
	return len(o.lens.landed)
}

// Adopted returns how many turns the lens has taken over that have not ended.
func (o *Observation) Adopted() int {
	o.lens.mu.Lock()
	defer o.lens.mu.Unlock()
	return len(o.lens.adopted)
}
