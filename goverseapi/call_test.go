package goverseapi_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/goverseapi"
)

func TestCallWithTheWrongType(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := s.Context(t.Context())
	wrong, err := goverseapi.Call[*text](ctx, "Room-1", "Add", wrapperspb.Int64(3))
	wantError(t, "the wrong reply", err, goverseapi.ErrInternal, goverseapi.ExecutedYes)
	if wrong != nil || err == nil || !strings.Contains(err.Error(), "Int64Value") || !strings.Contains(err.Error(), "StringValue") {
		t.Errorf("%v, %v, want nil and an error that names both types", wrong, err)
	}
	if got := sum(ctx, t, "Room-1"); got != 3 {
		t.Errorf("the sum is %d: the call ran", got)
	}
	_, err = goverseapi.Call[*number](ctx, "Room-1", "Add", wrapperspb.String("3"))
	wantError(t, "the wrong request", err, goverseapi.ErrInvalidArgument, goverseapi.ExecutedNo)
	_, err = goverseapi.Call[*number](ctx, "Room-1", "Subtract", nil)
	wantError(t, "an unknown method", err, goverseapi.ErrUnknownMethod, goverseapi.ExecutedNo)
	_, err = goverseapi.Call[*number](ctx, "Hall-1", "Add", nil)
	wantError(t, "an unknown type", err, goverseapi.ErrNotRegistered, goverseapi.ExecutedNo)
	_, err = goverseapi.Call[*number](ctx, "Room", "Add", nil)
	wantError(t, "no ID", err, goverseapi.ErrInvalidArgument, goverseapi.ExecutedNo)
}

func TestNilRequests(t *testing.T) {
	t.Parallel()
	ctx := start(t).Context(t.Context())
	if _, err := goverseapi.Call[*number](ctx, "Room-1", "Add", wrapperspb.Int64(4)); err != nil {
		t.Fatal(err)
	}
	var typed *number
	for name, call := range map[string]func() (*number, error){
		"an untyped nil":           func() (*number, error) { return goverseapi.Call[*number](ctx, "Room-1", "Add", nil) },
		"a typed nil":              func() (*number, error) { return goverseapi.Call[*number](ctx, "Room-1", "Add", typed) },
		"a typed nil to Invoke":    func() (*number, error) { return goverseapi.Invoke(ctx, "Room-1", (*Room).Add, typed) },
		"an untyped nil to Invoke": func() (*number, error) { return goverseapi.Invoke(ctx, "Room-1", (*Room).Add, nil) },
	} {
		if n, err := call(); err != nil || n.GetValue() != 4 {
			t.Errorf("%s: %v, %v, want 4", name, n, err)
		}
	}
	out, err := goverseapi.CallObject(ctx, "Room-1", "Add", nil)
	if err != nil || !proto.Equal(out, wrapperspb.Int64(4)) {
		t.Errorf("CallObject: %v, %v, want 4", out, err)
	}
}

func TestInvokeOfAnotherType(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := s.Context(t.Context())
	_, err := goverseapi.Invoke(ctx, "Room-1", (*Guest).Relay, wrapperspb.String("Room-2"))
	wantError(t, "a method of another type", err, goverseapi.ErrInvalidArgument, goverseapi.ExecutedNo)
	if err == nil || !strings.Contains(err.Error(), "Guest") || !strings.Contains(err.Error(), "Room") {
		t.Errorf("%v does not name both types", err)
	}
	_, err = goverseapi.Invoke(ctx, "Room-1", func(r *Room, ctx context.Context, n *number) (*number, error) { return r.Add(ctx, n) }, nil)
	wantError(t, "a function that is no method", err, goverseapi.ErrUnknownMethod, goverseapi.ExecutedNo)
	var none func(*Room, context.Context, *number) (*number, error)
	_, err = goverseapi.Invoke(ctx, "Room-1", none, nil)
	wantError(t, "no method", err, goverseapi.ErrUnknownMethod, goverseapi.ExecutedNo)
	_, err = goverseapi.Invoke(ctx, "Hall-1", (*Room).Add, nil)
	wantError(t, "an unknown type", err, goverseapi.ErrNotRegistered, goverseapi.ExecutedNo)
	_, err = goverseapi.Invoke(ctx, "Room", (*Room).Add, nil)
	wantError(t, "no ID", err, goverseapi.ErrInvalidArgument, goverseapi.ExecutedNo)
	if got := sum(ctx, t, "Room-1"); got != 0 {
		t.Errorf("something ran: %d", got)
	}
}

func TestOptionsOfCalls(t *testing.T) {
	t.Parallel()
	ctx := start(t).Context(t.Context())
	opts := []goverseapi.CallOption{
		goverseapi.WithIdempotencyKey("k1"), goverseapi.WithMetadata("who", "me"), goverseapi.AtMostOnce(), nil,
	}
	for range 3 { // one call and two retries of it
		out, err := goverseapi.Invoke(ctx, "Room-1", (*Room).Call, wrapperspb.Int64(1), opts...)
		if err != nil || out.GetValue() != "k1/me" {
			t.Errorf("invoke: %v, %v", out, err)
		}
		out, err = goverseapi.Call[*text](ctx, "Room-1", "Call", wrapperspb.Int64(1), opts...)
		if err != nil || out.GetValue() != "k1/me" {
			t.Errorf("call: %v, %v", out, err)
		}
	}
	if got := sum(ctx, t, "Room-1"); got != 1 {
		t.Errorf("the sum is %d, want 1: the key names one call", got)
	}
	_, err := goverseapi.Invoke(ctx, "Room-1", (*Room).Call, wrapperspb.Int64(2), opts...)
	wantError(t, "the key with another request", err, goverseapi.ErrKeyReused, goverseapi.ExecutedNo)

	for range 100 {
		n, err := goverseapi.Invoke(ctx, "Room-2", (*Room).Add, wrapperspb.Int64(1), goverseapi.OneWay())
		if n != nil || err != nil {
			t.Fatalf("one-way: %v, %v", n, err)
		}
	}
	if got := sum(ctx, t, "Room-2"); got != 100 {
		t.Errorf("the sum is %d, want 100: one-way calls come before the next call of their sender", got)
	}
	_, err = goverseapi.Invoke(ctx, "Room-2", (*Room).Call, nil, goverseapi.OneWay(), goverseapi.WithMetadata("a", "b"))
	if err != nil {
		t.Errorf("one-way with metadata: %v", err)
	}
	_, err = goverseapi.Call[*number](ctx, "Room-2", "Nothing", nil, goverseapi.OneWay())
	wantError(t, "one-way to an unknown method", err, goverseapi.ErrUnknownMethod, goverseapi.ExecutedNo)
}

func TestCreateAndDelete(t *testing.T) {
	t.Parallel()
	ctx := start(t).Context(t.Context())
	id, err := goverseapi.CreateObject(ctx, "Room", "", wrapperspb.String("init"))
	if err != nil || !strings.HasPrefix(id, "Room-") || len(id) < len("Room-")+20 {
		t.Fatalf("create: %q, %v", id, err)
	}
	if s, err := goverseapi.Invoke(ctx, id, (*Room).Created, nil); err != nil || s.GetValue() != "init" {
		t.Errorf("created with %v, %v", s, err)
	}
	_, err = goverseapi.CreateObject(ctx, "Room", id, nil)
	wantError(t, "create again", err, goverseapi.ErrAlreadyExists, goverseapi.ExecutedNo)
	sum(ctx, t, "Room-called")
	_, err = goverseapi.CreateObject(ctx, "Room", "Room-called", nil)
	wantError(t, "create what a call activated", err, goverseapi.ErrAlreadyExists, goverseapi.ExecutedNo)
	_, err = goverseapi.CreateObject(ctx, "Room", "Hall-1", nil)
	wantError(t, "create with another type's ID", err, goverseapi.ErrNotRegistered, goverseapi.ExecutedNo)
	_, err = goverseapi.CreateObject(ctx, "Guest", "Room-5", nil)
	wantError(t, "create with an ID of another type", err, goverseapi.ErrInvalidArgument, goverseapi.ExecutedNo)
	for range 2 {
		if err := goverseapi.DeleteObject(ctx, id); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if s, err := goverseapi.Invoke(ctx, id, (*Room).Created, nil); err != nil || s.GetValue() != "" {
		t.Errorf("after the deletion: %v, %v, want it afresh", s, err)
	}
	wantError(t, "delete no ID", goverseapi.DeleteObject(ctx, "Room"), goverseapi.ErrInvalidArgument, goverseapi.ExecutedNo)
	wantError(t, "delete an unknown type", goverseapi.DeleteObject(ctx, "Hall-1"), goverseapi.ErrNotRegistered, goverseapi.ExecutedNo)
}
