package object_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// Types that cannot be object or client types.
type (
	byPointerBase  struct{ *object.BaseObject }
	byInterface    struct{ object.Object }
	byOuter        struct{ *room }
	fooled         struct{ object.BaseClient } // a client by its base, but not by its Push
	generic[T any] struct {
		object.BaseObject

		_ T
	}
)

func (*fooled) Push(_ context.Context, req *str) (*str, error) { return req, nil }

func TestRegisterRefusesTypes(t *testing.T) {
	anonymous := &struct{ object.BaseObject }{}
	tests := map[string]struct {
		prototype object.Object
		part      string
	}{
		"nil":                         {nil, "<nil> is not a pointer to a struct"},
		"struct value":                {byPointerBase{&object.BaseObject{}}, "object_test.byPointerBase is not a pointer to a struct"},
		"base by pointer":             {(*byPointerBase)(nil), "it does not embed its base by value"},
		"base behind an interface":    {(*byInterface)(nil), "it does not embed its base by value"},
		"embedded object by pointer":  {(*byOuter)(nil), "it does not embed its base by value"},
		"client as object":            {(*chatter)(nil), "embeds BaseClient: register it as a client type"},
		"client with another Push":    {(*fooled)(nil), "embeds BaseClient: register it as a client type"},
		"the base of clients itself":  {(*object.BaseClient)(nil), "embeds BaseClient"},
		"anonymous struct":            {anonymous, `type name "": `},
		"generic, '/' in its name":    {(*generic[strings.Builder])(nil), ""},
		"generic, '/' in its package": {(*generic[*object.Error])(nil), "'/' is not allowed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := object.NewRegistry()
			err := r.RegisterObjectType(tt.prototype)
			if tt.part == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantError(t, err, object.CodeInvalidArgument, "register: ", tt.part)
			if len(r.Types()) != 0 {
				t.Error("the refused type is registered")
			}
		})
	}
	wantError(t, object.NewRegistry().RegisterClientType(nil), object.CodeInvalidArgument, "not a pointer to a struct")
}

func TestTypeName(t *testing.T) {
	long := strings.Repeat("x", object.MaxIDBytes-2)
	tests := map[string]struct{ name, problem string }{
		"ordinary":          {"ChatRoom", ""},
		"unicode":           {"Zimmer日本", ""},
		"longest":           {long, ""},
		"empty":             {"", "is empty"},
		"dash":              {"Chat-Room", "contains '-'"},
		"only a dash":       {"-", "contains '-'"},
		"slash":             {"chat/Room", "'/' is not allowed"},
		"control character": {"Chat\nRoom", "control character U+000A"},
		"C1":                {"Chat\u0085", "control character U+0085"},
		"invalid UTF-8":     {"Chat\xff", "not valid UTF-8"},
		"too long":          {long + "x", "at most 256 are allowed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := object.NewRegistry()
			err := r.RegisterObjectType((*room)(nil), object.TypeName(tt.name))
			if tt.problem != "" {
				wantError(t, err, object.CodeInvalidArgument, "type name ", tt.problem)
				wantNot(t, err, "\n", "\u0085")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if typ := r.Lookup(tt.name); typ == nil || typ.Name != tt.name || r.Lookup("room") != nil {
				t.Errorf("Lookup(%q) = %+v", tt.name, typ)
			}
			if _, _, err := object.ParseID(tt.name + "-x"); err != nil {
				t.Errorf("no ID can name the type: %v", err)
			}
		})
	}
}

func TestRegistryAnswers(t *testing.T) {
	r := object.NewRegistry()
	if r.Lookup("room") != nil || r.ClientType() != nil || len(r.Types()) != 0 {
		t.Error("an empty registry answers something")
	}
	for _, register := range []error{
		r.RegisterObjectType((*room)(nil)),
		r.RegisterObjectType((*ledger)(nil), object.TypeName("Ledger")),
		r.RegisterClientType((*chatter)(nil)),
	} {
		if register != nil {
			t.Fatal(register)
		}
	}
	var names []string
	for _, typ := range r.Types() {
		names = append(names, typ.Name)
		if r.Lookup(typ.Name) != typ {
			t.Errorf("Lookup(%s) is another type", typ.Name)
		}
	}
	if want := []string{"Ledger", "chatter", "room"}; !slices.Equal(names, want) {
		t.Errorf("types %q, want %q", names, want)
	}
	if c := r.ClientType(); c == nil || c.Name != "chatter" || c.GoType() != reflect.TypeFor[*chatter]() {
		t.Errorf("client type %+v", c)
	}
	if o, isRoom := r.Lookup("room").New().(*room); !isRoom || o == nil || o.ID() != "" || r.Lookup("room").New() == object.Object(o) {
		t.Error("New does not make new, unbound rooms")
	}
	if object.NewRegistry().Lookup("room") != nil {
		t.Error("registries share types")
	}
}

// aRoom is another Go type that wants a name that is taken.
type aRoom struct{ object.BaseObject }

func TestRegisterTwice(t *testing.T) {
	options := func() []object.RegisterOption {
		return []object.RegisterOption{
			object.Concurrency(object.ReadOnly, "Join", "Leave"), object.IdleTimeout(time.Minute), object.MailboxLimit(7),
			object.CallTimeout(time.Second), object.CallTimeout(time.Hour, "Fail"), object.Detached("Fail"), object.Reentrant(), object.ShareMessages(),
			object.Methods(object.Method((*room).Join)),
		}
	}
	r := object.NewRegistry()
	for range 2 {
		if err := r.RegisterObjectType((*room)(nil), options()...); err != nil {
			t.Fatalf("alike: %v", err)
		}
		if err := r.RegisterObjectType(&room{members: []string{"x"}}, append(options(), nil)...); err != nil {
			t.Fatalf("alike, by a value: %v", err)
		}
		if err := r.RegisterClientType((*chatter)(nil)); err != nil {
			t.Fatalf("client alike: %v", err)
		}
	}
	before := r.Lookup("room")
	with := func(more ...object.RegisterOption) []object.RegisterOption { return append(options(), more...) }
	tests := map[string][]object.RegisterOption{
		"no options":           nil,
		"one option less":      options()[1:],
		"other idle timeout":   with(object.IdleTimeout(time.Hour)),
		"other mailbox limit":  with(object.MailboxLimit(8)),
		"other mode":           with(object.Concurrency(object.Concurrent, "Join")),
		"mode of the type":     with(object.Concurrency(object.Concurrent)),
		"other call timeout":   with(object.CallTimeout(time.Minute, "Fail")),
		"other type's timeout": with(object.CallTimeout(time.Minute)),
		"detached more":        with(object.Detached("Join")),
		"one more thunk":       with(object.Methods(object.Method((*room).Fail))),
		"not reentrant":        slices.Delete(options(), 6, 7),
		"not shared":           slices.Delete(options(), 7, 8),
	}
	for name, opts := range tests {
		t.Run(name, func(t *testing.T) {
			wantError(t, r.RegisterObjectType((*room)(nil), opts...), object.CodeAlreadyExists, "type room is registered already")
		})
	}
	wantError(t, r.RegisterObjectType((*aRoom)(nil), object.TypeName("room")), object.CodeAlreadyExists, "as *object_test.room")
	wantError(t, r.RegisterObjectType((*aRoom)(nil), object.TypeName("chatter")), object.CodeAlreadyExists, "type chatter")
	if r.Lookup("room") != before || len(r.Types()) != 2 {
		t.Error("a refused registration changed the registry")
	}
}

type secondChatter struct{ object.BaseClient }

func TestOneClientType(t *testing.T) {
	r := object.NewRegistry()
	if err := r.RegisterClientType((*chatter)(nil)); err != nil {
		t.Fatal(err)
	}
	wantError(t, r.RegisterClientType((*secondChatter)(nil)), object.CodeAlreadyExists, "client type secondChatter", "chatter is the client type already")
	wantError(t, r.RegisterClientType((*chatter)(nil), object.TypeName("Other")), object.CodeAlreadyExists, "client type Other")
	if r.ClientType().Name != "chatter" || len(r.Types()) != 1 {
		t.Error("a refused client type changed the registry")
	}
}

func TestFreeze(t *testing.T) {
	r := object.NewRegistry()
	if err := r.RegisterObjectType((*room)(nil)); err != nil {
		t.Fatal(err)
	}
	one, two := r.Freeze(), r.Freeze()
	frozen := func() {
		t.Helper()
		wantError(t, r.RegisterObjectType((*ledger)(nil)), object.CodeFailedPrecondition, "a server is running on this registry")
		wantError(t, r.RegisterClientType((*chatter)(nil)), object.CodeFailedPrecondition, "a server is running on this registry")
		if err := r.RegisterObjectType((*room)(nil)); err != nil {
			t.Errorf("registering alike while frozen: %v", err)
		}
		if r.Lookup("ledger") != nil || r.ClientType() != nil {
			t.Error("a frozen registry took a type")
		}
	}
	frozen()
	one()
	one() // again: it must not release the other server's hold
	frozen()
	two()
	if err := r.RegisterObjectType((*ledger)(nil)); err != nil {
		t.Errorf("after release: %v", err)
	}
}

// TestRegistryConcurrently is for the race detector, and wants check and entry to be
// one step: of two client types exactly one wins, each time it is registered.
func TestRegistryConcurrently(t *testing.T) {
	r := object.NewRegistry()
	var wg sync.WaitGroup
	clients := make(chan error, 40)
	for i := range cap(clients) {
		wg.Go(func() {
			if err := r.RegisterObjectType((*room)(nil)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { clients <- r.RegisterClientType((*chatter)(nil), object.TypeName([]string{"A", "B"}[i%2])) })
		wg.Go(func() {
			for _, typ := range r.Types() {
				if r.Lookup(typ.Name) != typ || typ.New() == nil || typ.Client && r.ClientType() != typ {
					t.Errorf("type %s changed", typ.Name)
				}
			}
		})
	}
	wg.Wait()
	close(clients)
	accepted := 0
	for err := range clients {
		if err == nil {
			accepted++
		} else if object.CodeOf(err) != object.CodeAlreadyExists {
			t.Error(err)
		}
	}
	if accepted != cap(clients)/2 || len(r.Types()) != 2 {
		t.Errorf("%d registrations of client types accepted, want %d, of one type; types: %d", accepted, cap(clients)/2, len(r.Types()))
	}
	for range cap(clients) {
		wg.Go(r.Freeze())
	}
	wg.Wait()
	if err := r.RegisterObjectType((*ledger)(nil)); err != nil {
		t.Errorf("after all releases: %v", err)
	}
}
