package grpc

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/internal/transport"
	pb "github.com/xiaonanln/goverse/proto"
)

// marshal is a message's bytes.
func marshal(f *testing.F, m proto.Message) []byte {
	f.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// nested is a field that is nested so often in itself.
func nested(field protowire.Number, depth int) (b []byte) {
	for range depth {
		b = append(protowire.AppendTag(nil, field, protowire.BytesType), protowire.AppendBytes(nil, b)...)
	}
	return b
}

// grouped is groups in each other, none of which is known.
func grouped(depth int) (b []byte) {
	for range depth {
		b = protowire.AppendTag(b, 99, protowire.StartGroupType)
	}
	for range depth {
		b = protowire.AppendTag(b, 99, protowire.EndGroupType)
	}
	return b
}

// FuzzHello: nobody gets in but who is of the cluster, wants this incarnation, is a node and speaks our version; and a
// hello of ours is always understood.
func FuzzHello(f *testing.F) {
	self := transport.Peer{Cluster: "c", Address: "a:1", Incarnation: "i"}
	good := hello(transport.Peer{Cluster: "c", Address: "b:1", Incarnation: "j"}, self)
	f.Add(marshal(f, good), "c", "j", "c", "i")
	for _, change := range []func(h *pb.Hello){
		func(h *pb.Hello) { h.Role = []byte("client") },
		func(h *pb.Hello) { h.MinVersion = version + 1 },
		func(h *pb.Hello) { h.MaxVersion = version - 1 },
		func(h *pb.Hello) { h.From.Incarnation = nil },
		func(h *pb.Hello) { h.From.Cluster = []byte("d") },
		func(h *pb.Hello) { h.To.Incarnation = []byte("j") },
	} {
		bad := proto.CloneOf(good)
		change(bad.GetHello())
		f.Add(marshal(f, bad), "c", "j", "d", "i")
	}
	f.Add([]byte(nil), "", "", "", "")
	f.Add(nested(1, 5), "c", "\xff", "c", "i\x00")
	f.Add(append(marshal(f, good), grouped(20)...), "d", "j", "c", "k")
	f.Fuzz(func(t *testing.T, message []byte, cluster, incarnation, toCluster, toIncarnation string) {
		var m pb.LinkRequest
		if proto.Unmarshal(message, &m) == nil {
			check(t, self, m.GetHello())
		}
		from := transport.Peer{Cluster: cluster, Address: "b:1", Incarnation: incarnation}
		to := transport.Peer{Cluster: toCluster, Address: "a:1", Incarnation: toIncarnation}
		b, err := proto.Marshal(hello(from, to))
		if err != nil {
			t.Fatal(err)
		}
		m.Reset()
		if err := proto.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		check(t, self, m.GetHello())
		got, refused := examine(self, m.GetHello())
		if got != from || (refused == nil) != (valid(from) == nil && transport.Admit(self, from, to) == nil) {
			t.Errorf("%+v to %+v is %+v, refused: %v", from, to, got, refused)
		}
	})
}

// check examines a hello.
func check(t *testing.T, self transport.Peer, h *pb.Hello) {
	t.Helper()
	from, refused := examine(self, h)
	if refused != nil {
		if len(refused.GetText()) > 512 || refused.GetWhy() == pb.Refusal_WHY_UNSPECIFIED {
			t.Errorf("the refusal is %v, with %d bytes", refused.GetWhy(), len(refused.GetText()))
		}
		return
	}
	ok := from.Cluster == self.Cluster && from.Incarnation != "" && string(h.GetTo().GetIncarnation()) == self.Incarnation &&
		string(h.GetTo().GetCluster()) == self.Cluster && string(h.GetRole()) == roleNode &&
		h.GetMinVersion() <= version && h.GetMaxVersion() >= version
	if !ok {
		t.Errorf("%v is let in", h)
	}
}

// FuzzWelcome: no answer makes a link but the welcome of whoever was called, and each other one says what it is.
func FuzzWelcome(f *testing.F) {
	from := transport.Peer{Cluster: "c", Address: "b:1", Incarnation: "j"}
	to := transport.Peer{Cluster: "c", Address: "a:1", Incarnation: "i"}
	for _, why := range []pb.Refusal_Why{pb.Refusal_WHY_WRONG_PEER, pb.Refusal_WHY_DRAINING, pb.Refusal_WHY_VERSION, pb.Refusal_WHY_ROLE, 99} {
		f.Add(marshal(f, &pb.LinkResponse{Refusal: refusal(why, "no")}))
	}
	f.Add(marshal(f, welcome(to)))
	f.Add(marshal(f, welcome(from)))
	for _, v := range []uint32{0, version + 1, 1 << 31} {
		f.Add(marshal(f, &pb.LinkResponse{Welcome: &pb.Welcome{Version: v, Self: peerToWire(to)}}))
	}
	f.Add([]byte(nil))
	f.Add(nested(4, 9))
	f.Add(append(marshal(f, welcome(to)), grouped(20)...))
	f.Fuzz(func(t *testing.T, message []byte) {
		var m pb.LinkResponse
		if proto.Unmarshal(message, &m) != nil {
			return
		}
		err := welcomed(from, to, &m)
		w := m.GetWelcome()
		self := peerFromWire(w.GetSelf())
		ok := m.GetRefusal() == nil && w.GetVersion() == version && self.Cluster == "c" && self.Incarnation == "i"
		known := errors.Is(err, transport.ErrUnreachable) || errors.Is(err, transport.ErrWrongPeer) || errors.Is(err, transport.ErrDraining)
		if (err == nil) != ok || err != nil && !known {
			t.Errorf("%v is taken as %v", &m, err)
		}
	})
}
