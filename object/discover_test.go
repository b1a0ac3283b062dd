package object_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

func TestDiscoverMethods(t *testing.T) {
	typ := register(t, (*room)(nil))
	if got, want := typ.MethodNames(), []string{"Fail", "Join", "Leave"}; !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q: hooks, promoted base methods and those without a context are not callable", got, want)
	}
	if typ.Hooks != (object.Hooks{Create: true, Activate: true, Deactivate: true}) {
		t.Errorf("hooks %+v", typ.Hooks)
	}
	if typ.Name != "room" || typ.Client {
		t.Errorf("type %q, client %v", typ.Name, typ.Client)
	}
	for _, name := range []string{"", "join", "Nothing", "ID", "Logger", "AfterFunc", "Members", "OnActivate"} {
		if typ.Method(name) != nil {
			t.Errorf("%q is callable", name)
		}
	}
}

func TestDiscoverClientMethods(t *testing.T) {
	r := object.NewRegistry()
	if err := r.RegisterClientType((*chatter)(nil)); err != nil {
		t.Fatal(err)
	}
	typ := r.ClientType()
	if got, want := typ.MethodNames(), []string{"Say"}; !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q: Push of BaseClient is not callable", got, want)
	}
	if typ.Hooks != (object.Hooks{Connect: true, Disconnect: true}) || !typ.Client {
		t.Errorf("hooks %+v, client %v", typ.Hooks, typ.Client)
	}
}

// promoted gets its methods from what it embeds: by value, by pointer, from an
// interface, with a value receiver, and one of its own over an inherited one.
type promoted struct {
	room
	*byPointer
	lister
}

type byPointer struct{}

func (byPointer) Ask(_ context.Context, req *str) (*str, error) { return req, nil }

type lister interface {
	List(ctx context.Context, req *str) (*str, error)
}

func (p *promoted) Leave(_ context.Context, req *str) (*str, error) { return req, nil }

func TestDiscoverPromotedMethods(t *testing.T) {
	typ := register(t, (*promoted)(nil))
	if got, want := typ.MethodNames(), []string{"Ask", "Fail", "Join", "Leave", "List"}; !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q", got, want)
	}
	if got := typ.Method("Leave").ReplyName(); got != "google.protobuf.StringValue" {
		t.Errorf("Leave answers %s: the outer method must win", got)
	}
	if !typ.Hooks.Create {
		t.Error("a promoted hook is lost")
	}
}

// ledger is a Deduplicator: Lookup and Remember are the runtime's.
type ledger struct{ object.BaseObject }

func (*ledger) Lookup(context.Context, string) (proto.Message, bool)    { return nil, false }
func (*ledger) Remember(context.Context, string, proto.Message)         {}
func (*ledger) Book(_ context.Context, req *str) (*str, error)          { return req, nil }
func (*ledger) Push(_ context.Context, req *str) (*str, error)          { return req, nil }
func (*ledger) MethodNames(_ context.Context, req *str) (*str, error)   { return req, nil }
func (*ledger) ProtoReflect(_ context.Context, req *str) (*str, error)  { return req, nil }
func (*ledger) OnlyOnWeekends(_ context.Context, r *str) (*str, error)  { return r, nil }
func (*ledger) Onactivate(_ context.Context, req *str) (*str, error)    { return req, nil }
func (*ledger) XOnActivate(_ context.Context, req *str) (*str, error)   { return req, nil }
func (*ledger) OnCreateRoom(_ context.Context, req *str) (*str, error)  { return req, nil }
func (*ledger) OnDisconnected(_ context.Context, r *str) (*str, error)  { return r, nil }
func (*ledger) Größe(_ context.Context, req *str) (*str, error)         { return req, nil }
func (*ledger) NewRequest(ctx context.Context, req *num) (*num, error)  { return req, ctx.Err() }
func (*ledger) Lookups(ctx context.Context, request *num) (*num, error) { return request, ctx.Err() }

func TestDiscoverDeduplicator(t *testing.T) {
	typ := register(t, (*ledger)(nil))
	want := []string{"Book", "Größe", "Lookups", "MethodNames", "NewRequest", "OnCreateRoom", "OnDisconnected", "Onactivate", "OnlyOnWeekends", "ProtoReflect", "Push", "XOnActivate"}
	slices.Sort(want)
	if got := typ.MethodNames(); !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q", got, want)
	}
	if typ.Hooks != (object.Hooks{Deduplicate: true}) {
		t.Errorf("hooks %+v", typ.Hooks)
	}
}

// finder has methods of a Deduplicator's names and is none.
type finder struct{ object.BaseObject }

func (*finder) Lookup(_ context.Context, req *str) (*str, error) { return req, nil }

type halfLedger struct{ object.BaseObject }

func (*halfLedger) Lookup(context.Context, string) (proto.Message, bool) { return nil, false }

func TestDiscoverHalfDeduplicator(t *testing.T) {
	typ := register(t, (*finder)(nil))
	if typ.Method("Lookup") == nil || typ.Hooks.Deduplicate {
		t.Error("Lookup of a type that is no Deduplicator is not an ordinary method")
	}
	err := object.NewRegistry().RegisterObjectType((*halfLedger)(nil))
	wantError(t, err, object.CodeInvalidArgument, "method Lookup(context.Context, string) (protoreflect.ProtoMessage, bool)", "its second result is bool, not error")
}

func TestIsHookName(t *testing.T) {
	for _, name := range []string{"OnCreate", "OnActivate", "OnDeactivate", "OnConnect", "OnDisconnect"} {
		if !object.IsHookName(name) {
			t.Errorf("%s is no hook", name)
		}
	}
	for _, name := range []string{"", "On", "onCreate", "OnCreated", "Lookup", "Remember", "Push"} {
		if object.IsHookName(name) {
			t.Errorf("%s is a hook", name)
		}
	}
}

// shadowing has methods of its own under names of BaseObject's.
type shadowing struct{ object.BaseObject }

func (*shadowing) Logger(_ context.Context, req *str) (*str, error) { return req, nil }
func (*shadowing) Name() string                                     { return "own" }
func (*shadowing) Type(why string) string                           { return why }

type shadowingBadly struct{ object.BaseObject }

func (*shadowingBadly) Every(context.Context, *str) error { return nil }

func TestDiscoverShadowedBaseMethods(t *testing.T) {
	if got, want := register(t, (*shadowing)(nil)).MethodNames(), []string{"Logger"}; !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q: a method that fits is callable, whatever it hides", got, want)
	}
	err := object.NewRegistry().RegisterObjectType((*shadowingBadly)(nil))
	wantError(t, err, object.CodeInvalidArgument, "method Every(context.Context, *wrapperspb.StringValue) error: want")
}
