package object

import (
	"context"
	"reflect"
	"testing"
)

func TestCodeOfEqualsReflection(t *testing.T) {
	captured := 1
	for name, f := range map[string]any{
		"function":          TestCodeOfEqualsReflection,
		"method expression": (*BaseObject).ID,
		"method value":      new(BaseObject).ID,
		"closure":           func() int { return captured },
		"builtin shape":     func(context.Context) error { return nil },
	} {
		if got, want := codeOf(f), reflect.ValueOf(f).Pointer(); got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
	if got := codeOf((func())(nil)); got != 0 {
		t.Errorf("nil function: %#x", got)
	}
}
