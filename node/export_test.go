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
