package etcd

import (
	"fmt"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/xiaonanln/goverse/internal/coord"
)

// past is what the store is known to have been. It is safe for concurrent use.
type past struct {
	cluster atomic.Uint64         // its ID; 0: nobody has asked yet
	seen    atomic.Int64          // the highest revision that a linearizable request has told
	broken  atomic.Pointer[error] // why it is not the store it was; once set it stays
}

// pin sets the cluster's ID if it is not known, and is the ID that is known.
func (p *past) pin(id uint64) uint64 {
	p.cluster.CompareAndSwap(0, id)
	return p.cluster.Load()
}

// restored is the error of every request once the store is not what it was.
func (p *past) restored() error {
	if err := p.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// same checks the answer to any request.
func (p *past) same(h *pb.ResponseHeader) error {
	if first := p.cluster.Load(); h.GetClusterId() != first {
		return p.breaks(fmt.Errorf("%w: cluster %x answers where cluster %x was", coord.ErrRestored, h.GetClusterId(), first))
	}
	return p.restored()
}

// later checks the answer to a linearizable request; floor is what seen was before it was sent. (It may be less than
// what others have seen meanwhile.)
func (p *past) later(h *pb.ResponseHeader, floor int64) error {
	if err := p.same(h); err != nil {
		return err
	}
	rev := h.GetRevision()
	if rev < floor {
		return p.breaks(fmt.Errorf("%w: it is at revision %d and was at %d", coord.ErrRestored, rev, floor))
	}
	for {
		seen := p.seen.Load()
		if rev <= seen || p.seen.CompareAndSwap(seen, rev) {
			return nil
		}
	}
}

// breaks is why the store is not what it was: err, unless another reason was found before.
func (p *past) breaks(err error) error {
	p.broken.CompareAndSwap(nil, &err)
	return p.restored()
}
