package object_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

type snapshotter struct{ object.BaseObject }

func (*snapshotter) OnSnapshot(context.Context) (proto.Message, error) { return nil, nil } //nolint:nilnil // nothing to keep
func (*snapshotter) OnRestore(context.Context, proto.Message) error    { return nil }

type onlyTakes struct{ object.BaseObject }

func (*onlyTakes) OnSnapshot(context.Context) (proto.Message, error) { return nil, nil } //nolint:nilnil // nothing to keep

type onlyGives struct{ object.BaseObject }

func (*onlyGives) OnRestore(context.Context, proto.Message) error { return nil }

type takesTyped struct{ snapshotter }

func (*takesTyped) OnSnapshot(context.Context) (*str, error) { return nil, nil } //nolint:nilnil // another signature

type givesTyped struct{ snapshotter }

func (*givesTyped) OnRestore(context.Context, *str) error { return nil }

type withoutContext struct{ snapshotter }

func (*withoutContext) OnSnapshot() (proto.Message, error) { return nil, nil } //nolint:nilnil // another signature

// An object says both what to keep and how to take it back, in exactly these words, or
// it is told when it is registered.
func TestSnapshotterIsWholeOrRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prototype object.Object
		says      string // empty: it is accepted
	}{
		"whole":           {(*snapshotter)(nil), ""},
		"only takes":      {(*onlyTakes)(nil), "OnSnapshot and no OnRestore"},
		"only gives":      {(*onlyGives)(nil), "OnRestore and no OnSnapshot"},
		"typed snapshot":  {(*takesTyped)(nil), "OnSnapshot"},
		"typed restore":   {(*givesTyped)(nil), "OnRestore"},
		"without context": {(*withoutContext)(nil), "OnSnapshot"},
	} {
		r := object.NewRegistry()
		err := r.RegisterObjectType(c.prototype, object.TypeName("T"))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if err != nil {
			continue
		}
		typ := r.Lookup("T")
		if !typ.Hooks.Snapshot || len(typ.MethodNames()) != 0 {
			t.Errorf("%s: %+v, methods %v", name, typ.Hooks, typ.MethodNames())
		}
	}
	r := object.NewRegistry()
	if err := r.RegisterObjectType((*nearMisses)(nil)); err == nil && r.Lookup("nearMisses").Hooks.Snapshot {
		t.Error("an object without the hooks has them")
	}
}
