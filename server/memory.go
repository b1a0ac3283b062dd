package server

import (
	"sync"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/util/clock"
)

// Coordinators are the coordinators inside a process, one for each cluster that has
// servers which share it. The zero value has none. It is safe for concurrent use.
type Coordinators struct {
	mu   sync.Mutex
	open map[string]*coordinator // guarded by mu
}

// coordinator is one of them, and how many servers use it.
type coordinator struct {
	store *mem.Store
	users int
}

// join connects a server to the coordinator of its cluster, which is made for the first
// one and goes with the last.
func (c *Coordinators) join(cluster string, clk clock.Clock) (store coord.Store, leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[string]*coordinator)
	}
	own := c.open[cluster]
	if own == nil {
		own = &coordinator{store: mem.New(clk, mem.Options{})}
		c.open[cluster] = own
	}
	own.users++
	client := own.store.Connect()
	return client, func() {
		client.Close() // what is left of its server does nothing more there
		c.mu.Lock()
		defer c.mu.Unlock()
		if own.users--; own.users == 0 {
			own.store.Close()
			delete(c.open, cluster)
		}
	}
}
