package server

import (
	"context"
	"sync"

	"google.golang.org/grpc/health"

	"github.com/xiaonanln/goverse/cluster"
)

// vitals tells who asks the server's ports for its health whether it serves: while it is
// a member of its cluster that is not fenced, and the objects that were asked for before
// the start exist. The zero value does not serve. It is safe for concurrent use.
type vitals struct {
	mu       sync.Mutex
	created  bool             // guarded by mu: the startup objects are
	member   bool             // guarded by mu
	fenced   bool             // guarded by mu
	stopping bool             // guarded by mu
	ports    []*health.Server // guarded by mu: those that have not begun to stop
}

// watch tells a port's health service from now on what it is; end tells it, when the
// port begins to stop, that the server does not serve, and then nothing more.
func (v *vitals) watch(port *health.Server) (end func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ports = append(v.ports, port)
	v.tellLocked(port)
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		for i, p := range v.ports {
			if p == port {
				v.ports = append(v.ports[:i:i], v.ports[i+1:]...)
				break
			}
		}
		port.Shutdown()
	}
}

// change sets one of the fields and tells all ports.
func (v *vitals) change(field *bool, to bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if *field == to {
		return
	}
	*field = to
	for _, p := range v.ports {
		v.tellLocked(p)
	}
}

// lacks is why a server that has been ready does not serve, in a word; empty: it does.
func (v *vitals) lacks() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.stopping:
		return "stopping"
	case v.fenced, !v.member: // it joins again
		return "fenced"
	}
	return ""
}

// joined says that the server is a member, and not fenced yet.
func (v *vitals) joined() {
	v.change(&v.fenced, false)
	v.change(&v.member, true)
}

func (v *vitals) tellLocked(port *health.Server) {
	if v.created && v.member && !v.fenced && !v.stopping {
		port.Resume() // all of its services serve
	} else {
		port.Shutdown() // none does
	}
}

// watchedHost is the host of a member, whose fences the server's health shows, and whose
// fences and shards are written down.
type watchedHost struct {
	cluster.Host

	vitals    *vitals
	valid     func() bool
	chronicle *chronicle
}

// OpenShard implements [cluster.Host].
func (h watchedHost) OpenShard(ctx context.Context, shard uint32, epoch uint64, handover int64) error {
	err := h.Host.OpenShard(ctx, shard, epoch, handover)
	if err == nil {
		h.chronicle.shard(shardsOpened, shard)
	}
	return err
}

// ReleaseShard implements [cluster.Host].
func (h watchedHost) ReleaseShard(shard uint32, epoch uint64, why cluster.ReleaseReason) {
	h.Host.ReleaseShard(shard, epoch, why)
	h.chronicle.released(shard, why)
}

// Suspend implements [cluster.Host].
func (h watchedHost) Suspend(cause error) {
	h.vitals.change(&h.vitals.fenced, true)
	h.chronicle.note("fenced", "error", cause.Error())
	h.Host.Suspend(cause)
}

// Resume implements [cluster.Host]. A member that ends resumes its host, and serves nobody.
func (h watchedHost) Resume() {
	h.Host.Resume()
	valid := h.valid()
	h.vitals.change(&h.vitals.fenced, !valid)
	if valid {
		h.chronicle.note("resumed", "info", "not fenced any more: the lease is valid, and nothing has changed meanwhile")
	}
}
