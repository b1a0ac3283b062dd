package grpc_test

import (
	"strings"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport/grpc"
	pb "github.com/xiaonanln/goverse/proto"
)

// A connection carries one link at a time: what links hold in parts of large frames is bounded by the connections.
func TestOneLinkPerConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	first := w.greeted()
	another, err := pb.NewNodeServiceClient(first.cc).Link(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = another.Recv(); err == nil || !strings.Contains(err.Error(), "a link already") {
		t.Errorf("another link over the same connection: %v", err)
	}
	if err := first.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	w.soon("the first link to be gone", func() bool {
		s, err := pb.NewNodeServiceClient(first.cc).Link(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		next := &raw{w: w, stream: s, cc: first.cc}
		if s.Send(&pb.LinkRequest{Hello: w.hello()}) != nil {
			return false
		}
		answer, err := next.stream.Recv()
		return err == nil && answer.GetWelcome() != nil
	})
}
