package node_test

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

// keeper keeps what it is given and what it gave, and changes both afterwards.
type keeper struct {
	object.BaseObject

	request *structpb.ListValue
	reply   *structpb.ListValue
}

func (k *keeper) Keep(_ context.Context, req *structpb.ListValue) (*structpb.ListValue, error) {
	if k.request != nil {
		k.request.Values[0] = structpb.NewStringValue("spoilt by the object")
		k.reply.Values[0] = structpb.NewStringValue("spoilt by the object")
	}
	k.request, k.reply = req, list("reply")
	return k.reply, nil
}

// Same answers with the very message it keeps.
func (k *keeper) Same(context.Context, *wrapperspb.StringValue) (*structpb.ListValue, error) {
	return k.request, nil
}

func text(l *structpb.ListValue) string { return l.GetValues()[0].GetStringValue() }

func list(s string) *structpb.ListValue {
	return &structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue(s)}}
}

func keepers() []registration {
	return []registration{
		func(r *object.Registry) error { return r.RegisterObjectType((*keeper)(nil), object.TypeName("Keeper")) },
		func(r *object.Registry) error {
			return r.RegisterObjectType((*keeper)(nil), object.TypeName("Sharer"), object.ShareMessages())
		},
	}
}

// Neither side sees what the other does to its messages.
func TestMessagesAreNotShared(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx := w.t.Context()
		call := func(method string, req proto.Message) *structpb.ListValue {
			out, err := w.Call(ctx, "Keeper-a", method, req)
			if err != nil {
				t.Fatal(err)
			}
			return out.(*structpb.ListValue)
		}
		first := list("first")
		reply := call("Keep", first)
		first.Values[0] = structpb.NewStringValue("spoilt by the caller")
		reply.Values[0] = structpb.NewStringValue("spoilt by the caller")
		if got := call("Same", nil); text(got) != "first" {
			t.Errorf("the object sees %v", got)
		}
		second := list("second")
		again := call("Keep", second) // changes the first messages
		third := call("Keep", list("third"))
		if text(first) != "spoilt by the caller" || text(reply) != "spoilt by the caller" {
			t.Errorf("the caller sees %v, %v", first, reply)
		}
		if text(second) != "second" || text(again) != "reply" || text(third) != "reply" {
			t.Errorf("the caller sees %v, %v, %v", second, again, third)
		}
		one, two := call("Same", nil), call("Same", nil)
		if one == two || one.GetValues()[0] == two.GetValues()[0] {
			t.Error("two callers share a reply")
		}
	}, keepers()...)
}

// The request is copied before the call waits.
func TestRequestOfAWaitingCallIsCopied(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		head := w.begin("Plain-a", "Write", "hold head")
		ways := []struct {
			method string
			opts   []object.CallOption
		}{{"Write", nil}, {"Loose", nil}, {"Write", []object.CallOption{object.OneWay()}}}
		for _, way := range ways {
			msg := wrapperspb.String("note good")
			go func() {
				if _, err := w.Call(w.t.Context(), "Plain-a", way.method, msg, way.opts...); err != nil {
					t.Error(err)
				}
			}()
			sleep(0)
			msg.Value = "note spoilt"
		}
		w.open("head")
		head.ok("head")
		sleep(0)
		w.wantNotes("head", "good", "good", "good")
	})
}

// ShareMessages saves the copies: both sides have the same messages.
func TestSharedMessages(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		req := list("shared")
		if _, err := w.Call(w.t.Context(), "Sharer-a", "Keep", req); err != nil {
			t.Fatal(err)
		}
		for _, opts := range [][]object.CallOption{nil, {object.WithIdempotencyKey("k")}, {object.WithIdempotencyKey("k")}} {
			reply, err := w.Call(w.t.Context(), "Sharer-a", "Same", nil, opts...)
			if err != nil || reply != proto.Message(req) {
				t.Errorf("%p, %v; want the request itself, %p", reply, err, req)
			}
		}
	}, keepers()...)
}

// What a key is answered with is what the object said, whatever it does to its message afterwards.
func TestKeptOutcomeIsNotTheObjects(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		call := func(opts ...object.CallOption) string {
			out, err := w.Call(w.t.Context(), "Keeper-a", "Keep", list("r"), opts...)
			if err != nil {
				t.Fatal(err)
			}
			return text(out.(*structpb.ListValue))
		}
		key := object.WithIdempotencyKey("k")
		call(key)
		call() // the object spoils the reply before
		if got := call(key); got != "reply" {
			t.Errorf("the key is answered %q", got)
		}
	}, keepers()...)
}
