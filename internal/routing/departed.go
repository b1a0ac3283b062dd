package routing

import (
	"sync"
	"sync/atomic"
)

// mostDeparted is how many clients a generation of departed holds.
const mostDeparted = 4096

// departed is clients of other nodes that are known to be gone, the last some thousands. A client never returns under its
// ID, so who is among them is gone, and who is not may be.
type departed struct {
	any atomic.Bool // there are some

	mu            sync.Mutex // guards the fields below
	newer, before map[string]struct{}
}

func (d *departed) has(id string) bool {
	if !d.any.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, gone := d.newer[id]
	if !gone {
		_, gone = d.before[id]
	}
	return gone
}

func (d *departed) add(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.newer) >= mostDeparted {
		d.before, d.newer = d.newer, nil
	}
	if d.newer == nil {
		d.newer = make(map[string]struct{})
	}
	d.newer[id] = struct{}{}
	d.any.Store(true)
}
