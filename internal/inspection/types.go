package inspection

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// Types implements the rpc.
func (s *Service) Types(ctx context.Context, _ *inspectpb.TypesRequest) (res *inspectpb.TypesResponse, err error) {
	defer s.rescue(ctx, "tell its types", &err)
	out := &inspectpb.TypesResponse{}
	files := fileSet{seen: make(map[string]bool)}
	for _, t := range s.cfg.Registry.Types() {
		info := &inspectpb.TypeInfo{Name: t.Name, Client: t.Client}
		for _, name := range t.MethodNames() {
			m := t.Method(name)
			info.Methods = append(info.Methods, &inspectpb.MethodInfo{
				Name: name, Request: m.RequestName(), Reply: m.ReplyName(), Mode: m.Mode.String(),
			})
			files.add(m.NewRequest().ProtoReflect().Descriptor().ParentFile())
			files.add(m.NewReply().ProtoReflect().Descriptor().ParentFile())
		}
		out.Types = append(out.Types, info)
	}
	if out.Descriptors, err = proto.Marshal(&files.set); err != nil {
		return nil, toStatus(object.NewError(object.CodeInternal, fmt.Sprintf("encode the messages' descriptors: %v", err)))
	}
	return out, nil
}

// fileSet is files with all that they import, each once and after what it imports.
type fileSet struct {
	set  descriptorpb.FileDescriptorSet
	seen map[string]bool
}

func (f *fileSet) add(file protoreflect.FileDescriptor) {
	if f.seen[file.Path()] {
		return
	}
	f.seen[file.Path()] = true
	for i := range file.Imports().Len() {
		if imported := file.Imports().Get(i).FileDescriptor; !imported.IsPlaceholder() { // whose file is not in the program
			f.add(imported)
		}
	}
	f.set.File = append(f.set.File, protodesc.ToFileDescriptorProto(file))
}
