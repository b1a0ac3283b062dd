package object_test

import (
	"context"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xiaonanln/goverse/object"
)

func TestResolve(t *testing.T) {
	tests := map[string]struct {
		opts []object.CallOption
		want object.CallSettings
	}{
		"none":         {nil, object.CallSettings{}},
		"nil option":   {[]object.CallOption{nil, object.OneWay(), nil}, object.CallSettings{OneWay: true}},
		"key":          {[]object.CallOption{object.WithIdempotencyKey("k")}, object.CallSettings{Key: "k"}},
		"last key":     {[]object.CallOption{object.WithIdempotencyKey("k"), object.WithIdempotencyKey("l")}, object.CallSettings{Key: "l"}},
		"at most once": {[]object.CallOption{object.AtMostOnce()}, object.CallSettings{AtMostOnce: true}},
		"metadata": {
			[]object.CallOption{object.WithMetadata("a", "1"), object.WithMetadata("b", "2"), object.WithMetadata("a", "3")},
			object.CallSettings{Metadata: map[string]string{"a": "3", "b": "2"}},
		},
		"all": {
			[]object.CallOption{object.OneWay(), object.AtMostOnce(), object.WithMetadata("", ""), object.WithIdempotencyKey("k")},
			object.CallSettings{OneWay: true, AtMostOnce: true, Key: "k", Metadata: map[string]string{"": ""}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the same option values again
				if diff := cmp.Diff(tt.want, object.Resolve(tt.opts)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

// TestResolveDoesNotAlias: two calls with the same options have nothing in common.
func TestResolveDoesNotAlias(t *testing.T) {
	opts := []object.CallOption{object.WithMetadata("a", "1")}
	one, two := object.Resolve(opts), object.Resolve(opts)
	one.Metadata["b"] = "2"
	one.Metadata["a"] = "changed"
	if want := (map[string]string{"a": "1"}); !maps.Equal(two.Metadata, want) || !maps.Equal(object.Resolve(opts).Metadata, want) {
		t.Errorf("metadata of another call %v, want %v", two.Metadata, want)
	}
}

func TestMergeMetadata(t *testing.T) {
	type m = map[string]string
	tests := map[string]struct{ base, added, want m }{
		"nothing":       {nil, nil, nil},
		"only base":     {m{"a": "1"}, nil, m{"a": "1"}},
		"only added":    {nil, m{"a": "1"}, m{"a": "1"}},
		"empty base":    {m{}, m{"a": "1"}, m{"a": "1"}},
		"both":          {m{"a": "1", "b": "2"}, m{"b": "3", "c": "4"}, m{"a": "1", "b": "3", "c": "4"}},
		"empty strings": {m{"": "1"}, m{"a": ""}, m{"": "1", "a": ""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			base, added := maps.Clone(tt.base), maps.Clone(tt.added)
			got := object.MergeMetadata(tt.base, tt.added)
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !maps.Equal(tt.base, base) || !maps.Equal(tt.added, added) {
				t.Errorf("arguments became %v and %v", tt.base, tt.added)
			}
			if len(base) > 0 && len(added) > 0 {
				got["x"] = "y"
				if tt.base["x"] != "" || tt.added["x"] != "" {
					t.Error("the merged map is one of the arguments")
				}
			}
		})
	}
}

// call is a CallInfo.
type call struct {
	key      string
	metadata map[string]string
}

func (c call) IdempotencyKey() string      { return c.key }
func (c call) Metadata() map[string]string { return c.metadata }

func TestContextValues(t *testing.T) {
	ctx := t.Context()
	if rt, ok := object.FromContext(ctx); ok || rt != nil {
		t.Errorf("runtime %v without one", rt)
	}
	if key, md := object.IdempotencyKey(ctx), object.MetadataFrom(ctx); key != "" || md != nil {
		t.Errorf("key %q and metadata %v outside of a call", key, md)
	}
	outer, inner := &pushes{}, &pushes{}
	ctx = object.NewContext(object.NewContext(ctx, outer), inner)
	if rt, ok := object.FromContext(ctx); !ok || rt != object.Runtime(inner) {
		t.Errorf("runtime %v, want the one set last", rt)
	}
	md := map[string]string{"a": "1"}
	ctx = context.WithValue(ctx, object.CallKey, object.CallInfo(call{"k", md}))
	if got := object.IdempotencyKey(ctx); got != "k" {
		t.Errorf("key %q, want k", got)
	}
	got := object.MetadataFrom(ctx)
	if !maps.Equal(got, md) {
		t.Errorf("metadata %v, want %v", got, md)
	}
	got["b"] = "2"
	if len(md) != 1 {
		t.Error("MetadataFrom returned the call's own map")
	}
	if md := object.MetadataFrom(context.WithValue(ctx, object.CallKey, call{})); md != nil {
		t.Errorf("metadata %v of a call without any", md)
	}
	if rt, ok := object.FromContext(ctx); !ok || rt != object.Runtime(inner) {
		t.Errorf("runtime %v lost beside a call", rt)
	}
}
