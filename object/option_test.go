package object_test

import (
	"slices"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
)

func TestOptionDefaults(t *testing.T) {
	typ := register(t, (*room)(nil))
	if typ.Reentrant || typ.Share || typ.IdleTimeout != 0 || typ.CallTimeout != 0 || typ.MailboxLimit != object.DefaultMailboxLimit {
		t.Errorf("type %+v: want the defaults, and zero where the server has one", typ)
	}
	for _, name := range typ.MethodNames() {
		if m := typ.Method(name); m.Mode != object.Sequential || m.CallTimeout != 0 || m.Detached || m.Name != name {
			t.Errorf("method %+v, want the defaults", m)
		}
	}
	if object.DefaultMailboxLimit != 10_000 || object.DefaultIdleTimeout != 15*time.Minute || object.DefaultCallTimeout != 30*time.Second {
		t.Error("the defaults are not the contract's")
	}
}

func TestOptionsPerType(t *testing.T) {
	typ := register(t, (*room)(nil),
		object.Concurrency(object.Concurrent), object.Reentrant(), object.IdleTimeout(-1), object.MailboxLimit(-1),
		object.CallTimeout(-1), object.Detached(), object.ShareMessages(), nil)
	if !typ.Reentrant || !typ.Share || typ.IdleTimeout != -1 || typ.CallTimeout != -1 || typ.MailboxLimit != -1 {
		t.Errorf("type %+v", typ)
	}
	for _, name := range typ.MethodNames() {
		if m := typ.Method(name); m.Mode != object.Concurrent || m.CallTimeout != -1 || !m.Detached {
			t.Errorf("method %+v does not have the type's options", m)
		}
	}
	if typ := register(t, (*room)(nil), object.MailboxLimit(0)); typ.MailboxLimit != object.DefaultMailboxLimit {
		t.Errorf("MailboxLimit(0) is %d, want the default", typ.MailboxLimit)
	}
}

// TestOptionsPerMethod: a method's own option wins over the type's, whatever the
// order, and the later of two of the same kind wins.
func TestOptionsPerMethod(t *testing.T) {
	typ := register(t, (*room)(nil),
		object.Concurrency(object.Concurrent, "Join"), object.Concurrency(object.ReadOnly),
		object.CallTimeout(time.Hour), object.CallTimeout(time.Second, "Join"), object.CallTimeout(time.Minute, "Join", "Leave"),
		object.Detached("Fail"))
	tests := map[string]struct {
		mode     object.Mode
		timeout  time.Duration
		detached bool
	}{
		"Join":  {object.Concurrent, time.Minute, false},
		"Leave": {object.ReadOnly, time.Minute, false},
		"Fail":  {object.ReadOnly, time.Hour, true},
	}
	for name, want := range tests {
		if m := typ.Method(name); m.Mode != want.mode || m.CallTimeout != want.timeout || m.Detached != want.detached {
			t.Errorf("%s: %v, %v, detached %v; want %+v", name, m.Mode, m.CallTimeout, m.Detached, want)
		}
	}
	if typ.CallTimeout != time.Hour {
		t.Errorf("the type's call timeout is %v, want that of no method", typ.CallTimeout)
	}
	sequential := register(t, (*room)(nil), object.Concurrency(object.ReadOnly), object.Concurrency(object.Sequential, "Join"))
	if sequential.Method("Join").Mode != object.Sequential || sequential.Method("Leave").Mode != object.ReadOnly {
		t.Error("Sequential for one method does not win over the type's mode")
	}
}

// TestOptionsReported: options for what the type does not have are mistakes, and all
// are reported at once, together with the type's own.
func TestOptionsReported(t *testing.T) {
	r := object.NewRegistry()
	wantError(t, r.RegisterObjectType((*room)(nil),
		object.Concurrency(object.ReadOnly, "Joins", "Join"), object.CallTimeout(time.Second, "join"), object.Detached("Members"),
		object.Detached("Logger"), object.Concurrency(object.Concurrent, "OnActivate"), object.Concurrency(object.Mode(3)), object.TypeName("a-b"),
	), object.CodeInvalidArgument,
		"option for method Joins: no such callable method", "option for method join: no such", "option for method Members: no such",
		"option for method Logger: no such", "option for method OnActivate: no such", "unknown concurrency mode", `type name "a-b" contains '-'`)
	for name, opt := range map[string]object.RegisterOption{
		"concurrency": object.Concurrency(object.ReadOnly, ""), "timeout": object.CallTimeout(time.Second, "Join", ""), "detached": object.Detached(""),
	} {
		t.Run("empty name/"+name, func(t *testing.T) {
			wantError(t, r.RegisterObjectType((*room)(nil), opt), object.CodeInvalidArgument, `option for method "": no such callable method`)
		})
	}
	wantError(t, r.RegisterObjectType((*nearMisses)(nil), object.TypeName("a/b"), object.Detached("Nothing")), object.CodeInvalidArgument,
		"method Variadic", "method ChanReply", `type name "a/b"`, "option for method Nothing")
	if len(r.Types()) != 0 {
		t.Error("a refused type is registered")
	}
}

// TestOptionsAreFresh: one option value serves several registrations without one
// seeing what another added.
func TestOptionsAreFresh(t *testing.T) {
	names := []string{"Join"}
	shared := []object.RegisterOption{object.Concurrency(object.ReadOnly, names...), object.CallTimeout(time.Second, "Join"), object.Detached("Join")}
	more := slices.Concat(shared, []object.RegisterOption{object.Concurrency(object.Concurrent, "Fail"), object.CallTimeout(time.Hour), object.Detached()})
	a, b, c := register(t, (*room)(nil), shared...), register(t, (*room)(nil), more...), register(t, (*room)(nil), shared...)
	for _, typ := range []*object.Type{a, c} {
		if m := typ.Method("Fail"); m.Mode != object.Sequential || m.CallTimeout != 0 || m.Detached {
			t.Errorf("another registration's options arrived: %+v", m)
		}
	}
	if m := b.Method("Fail"); m.Mode != object.Concurrent || m.CallTimeout != time.Hour || !m.Detached {
		t.Errorf("options lost: %+v", m)
	}
}
