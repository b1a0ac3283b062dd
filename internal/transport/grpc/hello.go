package grpc

import (
	"errors"
	"fmt"

	"github.com/xiaonanln/goverse/internal/transport"
	pb "github.com/xiaonanln/goverse/proto"
)

// roleNode is the role of whoever makes a link.
const roleNode = "node"

// hello is how a caller begins a link.
func hello(from, to transport.Peer) *pb.LinkRequest {
	return &pb.LinkRequest{Hello: &pb.Hello{
		MinVersion: version, MaxVersion: version, Role: []byte(roleNode), From: peerToWire(from), To: peerToWire(to),
	}}
}

// examine says who makes a link, or why it is refused.
func examine(self transport.Peer, h *pb.Hello) (from transport.Peer, refused *pb.Refusal) {
	from, to := peerFromWire(h.GetFrom()), peerFromWire(h.GetTo())
	switch {
	case h.GetMinVersion() > version || h.GetMaxVersion() < version:
		return from, refusal(pb.Refusal_WHY_VERSION, fmt.Sprintf("versions %d to %d were offered, and this node speaks %d",
			h.GetMinVersion(), h.GetMaxVersion(), version))
	case string(h.GetRole()) != roleNode:
		return from, refusal(pb.Refusal_WHY_ROLE, fmt.Sprintf("role %q was offered, and only nodes may make links", h.GetRole()))
	case valid(from) != nil:
		return from, refusal(pb.Refusal_WHY_WRONG_PEER, valid(from).Error())
	}
	if err := transport.Admit(self, from, to); err != nil {
		return from, refusal(pb.Refusal_WHY_WRONG_PEER, err.Error())
	}
	return from, nil
}

// maxPeerBytes bounds the names of a peer.
const maxPeerBytes = 1 << 10

// valid says what is wrong with who somebody says to be.
func valid(p transport.Peer) error {
	if n := len(p.Cluster) + len(p.Address) + len(p.Incarnation); n > maxPeerBytes {
		return fmt.Errorf("the peer's names have %d bytes, %d are allowed", n, maxPeerBytes)
	}
	return p.Validate()
}

// refusal cuts its text, in which the caller may be quoted.
func refusal(why pb.Refusal_Why, text string) *pb.Refusal {
	return &pb.Refusal{Why: why, Text: []byte(text[:min(len(text), 512)])}
}

// welcome is how a callee answers a hello that it accepts.
func welcome(self transport.Peer) *pb.LinkResponse {
	return &pb.LinkResponse{Welcome: &pb.Welcome{Version: version, Self: peerToWire(self)}}
}

// welcomed is the error of a callee's answer to a hello; nil if the link is made.
func welcomed(from, to transport.Peer, answer *pb.LinkResponse) error {
	if refused := answer.GetRefusal(); refused != nil {
		return refusedBecause(refused)
	}
	w := answer.GetWelcome()
	if w == nil {
		return because(transport.ErrUnreachable, garbage("a link without a welcome"))
	}
	if v := w.GetVersion(); v != version {
		return fmt.Errorf("%w: it chose version %d", transport.ErrUnreachable, v)
	}
	return transport.Admit(peerFromWire(w.GetSelf()), from, to)
}

// refusedBecause is a refusal as the error of a call.
func refusedBecause(r *pb.Refusal) error {
	why := transport.ErrUnreachable
	switch r.GetWhy() {
	case pb.Refusal_WHY_WRONG_PEER:
		why = transport.ErrWrongPeer
	case pb.Refusal_WHY_DRAINING:
		why = transport.ErrDraining
	case pb.Refusal_WHY_VERSION, pb.Refusal_WHY_ROLE, pb.Refusal_WHY_UNSPECIFIED:
	}
	return fmt.Errorf("%w: it says: %s", why, r.GetText())
}

// errRefused ends the callee's side of a link that it has refused.
var errRefused = errors.New("the link was refused")

func peerToWire(p transport.Peer) *pb.Peer {
	return &pb.Peer{Cluster: []byte(p.Cluster), Address: []byte(p.Address), Incarnation: []byte(p.Incarnation)}
}

func peerFromWire(p *pb.Peer) transport.Peer {
	return transport.Peer{Cluster: string(p.GetCluster()), Address: string(p.GetAddress()), Incarnation: string(p.GetIncarnation())}
}
