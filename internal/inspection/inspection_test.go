package inspection_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/xiaonanln/goverse/internal/inspection"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for asked, want := range map[uint32]uint32{0: inspection.DefaultObjects, 7: 7, 1 << 31: inspection.MaxObjects} {
		res, err := w.service.Search(t.Context(), &inspectpb.SearchRequest{Limit: asked, Type: "Box"})
		if err != nil || res.GetTotal() != 7 || w.search.GetLimit() != want || w.search.GetType() != "Box" {
			t.Errorf("limit %d: asked for %v, %v, %v", asked, w.search, res, err)
		}
	}
	for asked, want := range map[uint32]uint64{0: inspection.DefaultClients, 7: 7, 1 << 31: inspection.MaxClients} {
		if res, err := w.service.Clients(t.Context(), &inspectpb.ClientsRequest{Limit: asked}); err != nil || res.GetTotal() != want {
			t.Errorf("limit %d: %v, %v", asked, res, err)
		}
	}
	if _, err := w.service.Search(t.Context(), &inspectpb.SearchRequest{Sort: 99}); codeOf(err) != object.CodeInvalidArgument {
		t.Errorf("an order that there is not: %v", err)
	}
}

func TestDescribeChecksTheID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if res, err := w.service.Describe(t.Context(), &inspectpb.DescribeRequest{Id: "Box-1"}); err != nil || res.GetInfo().GetId() != "Box-1" {
		t.Errorf("%v, %v", res, err)
	}
	for _, id := range []string{"", "Box", "Box-\n", "Box-" + strings.Repeat("x", 300)} {
		if _, err := w.service.Describe(t.Context(), &inspectpb.DescribeRequest{Id: id}); codeOf(err) != object.CodeInvalidArgument {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A form for a call can be made of what Types tells, and of nothing else.
func TestTypesTellTheirMessages(t *testing.T) {
	t.Parallel()
	res, err := newWorld(t).service.Types(t.Context(), &inspectpb.TypesRequest{})
	if err != nil || len(res.GetTypes()) != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	box := res.GetTypes()[0]
	if box.GetName() != "Box" || box.GetClient() || len(box.GetMethods()) != 2 {
		t.Fatalf("%v", box)
	}
	m := box.GetMethods()[0]
	if m.GetName() != "Add" || m.GetMode() != "sequential" {
		t.Errorf("%v", m)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(res.GetDescriptors(), &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{m.GetRequest(), m.GetReply()} {
		if _, err := files.FindDescriptorByName("google.protobuf.Int64Value"); err != nil || name != "google.protobuf.Int64Value" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
