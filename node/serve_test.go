package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

const strName = "google.protobuf.StringValue"

// serve makes an encoded call.
func (w *world) serve(id, method, message string, body []byte) (object.Reply, error) {
	return w.Serve(w.t.Context(), object.Request{ID: id, Method: method, Message: message, Body: body})
}

func encoded(t *testing.T, msg proto.Message) []byte {
	t.Helper()
	body, err := proto.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestServe(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		for _, method := range []string{"Write", "Read", "Free", "Loose"} {
			reply, err := w.serve("Plain-a", method, strName, encoded(w.t, wrapperspb.String("echo hello")))
			if err != nil || reply.Message != strName {
				w.t.Fatalf("%s: %v, %v", method, reply, err)
			}
			var out str
			if err := proto.Unmarshal(reply.Body, &out); err != nil || out.GetValue() != "hello" {
				w.t.Errorf("%s: %q, %v", method, out.GetValue(), err)
			}
			_, err = w.serve("Plain-a", method, strName, encoded(w.t, wrapperspb.String("fail with this")))
			wantErr(w.t, err, object.ErrAborted, object.ExecutedYes, "with this")
		}
		// Metadata and key arrive; a replay is encoded as well.
		w.on("meta", func(ctx context.Context, _ *actor, _ string) (string, error) {
			w.note("ran")
			return object.MetadataFrom(ctx)["a"] + object.IdempotencyKey(ctx), nil
		})
		for range 2 {
			reply, err := w.Serve(w.t.Context(), object.Request{
				ID: "Plain-a", Method: "Write", Message: strName, Body: encoded(w.t, wrapperspb.String("meta")),
				Metadata: map[string]string{"a": "1"}, Key: "k",
			})
			if err != nil || !strings.Contains(string(reply.Body), "1k") {
				w.t.Errorf("%q, %v", reply.Body, err)
			}
		}
		w.wantNotes("ran")
	})
}

// What a stranger sends is refused before anything runs or comes up.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	good := encoded(t, wrapperspb.String("note ran"))
	for name, c := range map[string]struct {
		id, method, message string
		body                []byte
		want                error
	}{
		"another message":  {"Hook-a", "Write", "google.protobuf.BoolValue", good, object.ErrInvalidArgument},
		"no message name":  {"Hook-a", "Write", "", good, object.ErrInvalidArgument},
		"prefix of a name": {"Hook-a", "Write", strName[:10], good, object.ErrInvalidArgument},
		"type URL":         {"Hook-a", "Write", "type.googleapis.com/" + strName, good, object.ErrInvalidArgument},
		"corrupt":          {"Hook-a", "Write", strName, []byte{0xff, 0xff, 0xff}, object.ErrInvalidArgument},
		"cut off":          {"Hook-a", "Write", strName, good[:len(good)-1], object.ErrInvalidArgument},
		"not UTF-8":        {"Hook-a", "Write", strName, []byte{0x0a, 2, 0xff, 0xfe}, object.ErrInvalidArgument},
		"no such method":   {"Hook-a", "Nothing", strName, good, object.ErrUnknownMethod},
		"no method":        {"Hook-a", "", strName, good, object.ErrUnknownMethod},
		"lower case":       {"Hook-a", "write", strName, good, object.ErrUnknownMethod},
		"hook":             {"Hook-a", "OnActivate", strName, good, object.ErrUnknownMethod},
		"end hook":         {"Hook-a", "OnDeactivate", strName, good, object.ErrUnknownMethod},
		"unexported":       {"Hook-a", "hidden", strName, good, object.ErrUnknownMethod},
		"inherited":        {"Hook-a", "Logger", strName, good, object.ErrUnknownMethod},
		"type's business":  {"Ledger-a", "Lookup", strName, good, object.ErrUnknownMethod},
		"bad ID":           {"Hook-", "Write", strName, good, object.ErrInvalidArgument},
		"no type":          {"Nobody-a", "Write", strName, good, object.ErrNotRegistered},
		"no client":        {"Guest-a", "Say", strName, good, object.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.hear("OnActivate")
				_, err := w.serve(c.id, c.method, c.message, c.body)
				wantErr(w.t, err, c.want, object.ExecutedNo)
				w.wantNotes()
				if n := w.Activations(); n != 0 {
					w.t.Errorf("%d activations", n)
				}
			}, typed((*ledger)(nil), "Ledger"))
		})
	}
}

// The empty message may come without name and body.
func TestServeEmptyRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("", func(context.Context, *actor, string) (string, error) { return "empty", nil })
		for _, c := range []object.Request{
			{ID: "Plain-a", Method: "Write"},
			{ID: "Plain-a", Method: "Write", Message: strName},
			{ID: "Plain-a", Method: "Write", Message: strName, Body: []byte{}},
		} {
			if reply, err := w.Serve(w.t.Context(), c); err != nil || !strings.Contains(string(reply.Body), "empty") {
				w.t.Errorf("%+v: %q, %v", c, reply.Body, err)
			}
		}
		if reply, err := w.Call(w.t.Context(), "Plain-a", "Write", nil); err != nil || reply.(*str).GetValue() != "empty" {
			w.t.Errorf("a nil request: %v, %v", reply, err)
		}
		if reply, err := w.Call(w.t.Context(), "Plain-a", "Write", (*str)(nil)); err != nil || reply.(*str).GetValue() != "empty" {
			w.t.Errorf("a typed nil request: %v, %v", reply, err)
		}
	})
}

// nest takes any value.
type nest struct{ object.BaseObject }

func (*nest) Take(_ context.Context, req *structpb.Value) (*wrapperspb.Int64Value, error) {
	depth := int64(0)
	for v := req; v.GetListValue() != nil; v = v.GetListValue().GetValues()[0] {
		depth++
	}
	return wrapperspb.Int64(depth), nil
}

// Nothing answers with nothing, which is the empty reply.
func (*nest) Nothing(context.Context, *structpb.Value) (*wrapperspb.Int64Value, error) {
	return nil, nil
}

func TestServeDeepNesting(t *testing.T) {
	t.Parallel()
	nested := func(depth int) []byte { // Value{list_value: ListValue{values: [ … ]}}
		sizes := []int{2}
		for range 2 * depth {
			n := sizes[len(sizes)-1]
			sizes = append(sizes, 1+protowire.SizeBytes(n))
		}
		var body []byte
		for i := 2*depth - 1; i >= 0; i -= 2 {
			body = protowire.AppendVarint(append(body, 0x32), uint64(sizes[i]))
			body = protowire.AppendVarint(append(body, 0x0a), uint64(sizes[i-1]))
		}
		return append(body, 0x08, 0)
	}
	inBubble(t, func(w *world) {
		const name = "google.protobuf.Value"
		if reply, err := w.serve("nest-a", "Take", name, nested(50)); err != nil || len(reply.Body) != 2 || reply.Body[1] != 50 {
			w.t.Errorf("50 deep: %v, %v", reply, err)
		}
		_, err := w.serve("nest-a", "Take", name, nested(10_000))
		wantErr(w.t, err, object.ErrInvalidArgument, object.ExecutedNo)
		if reply, err := w.serve("nest-a", "Nothing", "", nil); err != nil || reply.Message != "google.protobuf.Int64Value" || len(reply.Body) != 0 {
			w.t.Errorf("a nil reply: %v, %v", reply, err)
		}
		if reply, err := w.Call(w.t.Context(), "nest-a", "Nothing", nil); err != nil || reply.(*wrapperspb.Int64Value) == nil {
			w.t.Errorf("a nil reply: %v, %v", reply, err)
		}
	}, func(r *object.Registry) error { return r.RegisterObjectType((*nest)(nil)) })
}

// A reply that cannot be encoded fails its call, which has run; the object goes on.
func TestServeReplyThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("bad", func(context.Context, *actor, string) (string, error) { return "\xff", nil })
		for i := range 2 {
			_, err := w.Serve(w.t.Context(), object.Request{
				ID: "Plain-a", Method: "Write", Message: strName, Body: encoded(w.t, wrapperspb.String("bad")), Key: fmt.Sprint("k"[:i]),
			})
			wantErr(w.t, err, object.ErrInternal, object.ExecutedYes, "encode", "Plain-a")
		}
		w.must("Plain-a", "Write", "who")
	})
}

func TestWrongRequests(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		_, err := w.Call(w.t.Context(), "Hook-a", "Write", wrapperspb.Bool(true))
		wantErr(w.t, err, object.ErrInvalidArgument, object.ExecutedNo, "BoolValue", strName)
		_, err = w.do("Hook-a", "Nothing", "x")
		wantErr(w.t, err, object.ErrUnknownMethod, object.ExecutedNo, "Nothing", "Write")
		wantErr(w.t, err, object.ErrUnimplemented, object.ExecutedNo)
		_, err = w.do("Hook-a", "OnActivate", "x")
		wantErr(w.t, err, object.ErrUnknownMethod, object.ExecutedNo, "hook")
		if n := w.Activations(); n != 0 {
			w.t.Errorf("%d activations", n)
		}
		w.must("Hook-a", "Write", "nothing") // and the same on a live object
		_, err = w.Call(w.t.Context(), "Hook-a", "Write", wrapperspb.Bool(true))
		wantErr(w.t, err, object.ErrInvalidArgument, object.ExecutedNo)
		_, err = w.do("Hook-a", "Nothing", "x")
		wantErr(w.t, err, object.ErrUnknownMethod, object.ExecutedNo)
	})
}
