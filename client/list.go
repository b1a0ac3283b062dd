package client

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/grpc/peer"

	inspectmsg "github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// The pages of [Service.List].
const (
	usualPage = 100
	mostPage  = 1000
)

// The kinds of clients in a list.
const (
	kindRegister = "register"
	kindSession  = "session"
	kindAway     = "session, away"
)

// List tells who is connected, the longest first: a page, and how many there are in all.
// It never tells a secret client_id, which the service does not keep. It holds the
// service's lock while it takes note of all clients, and a client's own while it looks at
// that one.
func (s *Service) List(req *inspectmsg.ClientsRequest) *inspectmsg.ClientsResponse {
	type place struct {
		since int64
		sess  *session
	}
	s.mu.Lock()
	all := make([]place, 0, len(s.byID))
	for _, sess := range s.byID {
		all = append(all, place{sess.since, sess})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.sess.id, b.sess.id))
	})
	out := &inspectmsg.ClientsResponse{Total: uint64(len(all))}
	limit := int(req.GetLimit())
	if limit == 0 {
		limit = usualPage
	}
	from := min(int(req.GetOffset()), len(all))
	for _, p := range all[from:min(from+min(limit, mostPage), len(all))] {
		info := p.sess.info()
		info.ConnectedUs = p.since
		out.Clients = append(out.Clients, info)
	}
	return out
}

// Pushes is how many messages were pushed to clients that are or were connected here,
// those included that did not fit.
func (s *Service) Pushes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushes
}

// info is what there is to know of a client but for the time of its coming.
func (s *session) info() *inspectmsg.ClientInfo {
	if s.talk != nil {
		return s.talk.info()
	}
	info := &inspectmsg.ClientInfo{Object: s.id, Kind: kindRegister, Peer: peerOf(s.str.Context())}
	s.mu.Lock()
	info.Calls = s.made
	s.mu.Unlock()
	q := s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	info.Queued, info.QueuedBytes, info.Pushes = uint32(len(q.items)), uint64(q.bytes), q.accepted //nolint:gosec // G115: what is in memory
	return info
}

func (t *resumable) info() *inspectmsg.ClientInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	info := &inspectmsg.ClientInfo{
		Object: t.id, Kind: kindSession, Calls: t.received, Pushes: t.pushes.appended,
		Queued: uint32(t.pushes.waiting()), QueuedBytes: uint64(t.pushes.bytes), //nolint:gosec // G115: what is in memory
	}
	if t.away {
		info.Kind = kindAway
	}
	if t.leg != nil {
		info.Peer = peerOf(t.leg.str.Context())
	}
	return info
}

// peerOf is the network address of a stream's client; empty where it is not known.
func peerOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}
