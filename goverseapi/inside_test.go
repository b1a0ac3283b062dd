package goverseapi_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/goverseapi"
)

// Inside a method the functions act on the server that hosts the object.
func TestFunctionsInsideAMethod(t *testing.T) {
	t.Parallel()
	s := start(t)
	out, err := s.CallObject(t.Context(), "Room-1", "Found", wrapperspb.String("new"))
	if err != nil || out.(*number).GetValue() != 7 {
		t.Errorf("create, call, delete, call: %v, %v, want 7", out, err)
	}
	out, err = s.CallObject(t.Context(), "Room-1", "Detour", wrapperspb.String("Room-2"))
	if err != nil || out.(*number).GetValue() != 4 {
		t.Errorf("by other contexts: %v, %v, want 4", out, err)
	}
	c := dial(t, s)
	id, err := goverseclient.Call[*text](t.Context(), c, "Whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CallObject(t.Context(), "Room-1", "Greet", id); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, c.Pushes(), "the push").(*text).GetValue(); got != "hello from Room-1" {
		t.Errorf("pushed %q", got)
	}
}

// Servers of one process have the same types and the same IDs, and nothing in common.
func TestServersNeverMix(t *testing.T) {
	t.Parallel()
	const servers, calls, rooms = 3, 60, 5
	all := make([]*goverseapi.Server, servers)
	for i := range all {
		all[i] = start(t)
	}
	ids := []string{"Room-a", "Room-b", "Room-c", "Room-d", "Room-e"}
	clients := make([]*goverseclient.Client, 2*servers)
	for i := range clients {
		clients[i] = dial(t, all[i%servers])
	}
	together(len(clients), func(i int) {
		s, c := all[i%servers], clients[i]
		ctx := s.Context(t.Context())
		for j := range calls {
			id := wrapperspb.String(ids[j%rooms])
			// From outside, through another object and through a client's: one each.
			if _, err := goverseapi.Invoke(ctx, id.GetValue(), (*Room).Add, wrapperspb.Int64(1)); err != nil {
				t.Errorf("add: %v", err)
			}
			if _, err := goverseapi.Invoke(ctx, "Room-relay", (*Room).Relay, id); err != nil {
				t.Errorf("relay: %v", err)
			}
			if _, err := goverseclient.Call[*number](t.Context(), c, "Relay", id); err != nil {
				t.Errorf("relay of a client: %v", err)
			}
			if i%servers == 0 { // the first server gets one more
				if _, err := s.CallObject(t.Context(), id.GetValue(), "Add", wrapperspb.Int64(1)); err != nil {
					t.Errorf("add: %v", err)
				}
			}
		}
	})
	for i, s := range all {
		want := int64(2 * 3 * calls / rooms)
		if i == 0 {
			want = 2 * 4 * calls / rooms
		}
		for _, id := range ids {
			if got := sum(s.Context(t.Context()), t, id); got != want {
				t.Errorf("server %d: %s is %d, want %d", i, id, got, want)
			}
		}
	}
}

// A context of a method of one server that is pointed at another one acts there.
func TestContextOfAnotherServer(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	ctx := b.Context(a.Context(t.Context()))
	if _, err := goverseapi.Invoke(ctx, "Room-1", (*Room).Add, wrapperspb.Int64(1)); err != nil {
		t.Fatal(err)
	}
	if inA, inB := sum(a.Context(t.Context()), t, "Room-1"), sum(b.Context(t.Context()), t, "Room-1"); inA != 0 || inB != 1 {
		t.Errorf("%d in one server, %d in the other, want 0 and 1", inA, inB)
	}
	stop(t, b)
	_, err := goverseapi.Invoke(ctx, "Room-1", (*Room).Add, nil)
	wantError(t, "a context of a stopped server", err, goverseapi.ErrUnavailable, goverseapi.ExecutedNo)
}
