package mem

import "github.com/xiaonanln/goverse/internal/transport"

// Pending is how many calls of a link wait for a reply.
func Pending(l transport.Link) int {
	c := l.(*link).conn
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}
