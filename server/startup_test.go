package server_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// record asks for a Box before the start.
func (f *fixture) record(t *testing.T, id, init string) string {
	t.Helper()
	var got string
	var err error
	if init == "" {
		got, err = f.CreateObject(t.Context(), "Box", id, nil)
	} else {
		got, err = f.CreateObject(t.Context(), "Box", id, wrapperspb.String(init))
	}
	if err != nil {
		t.Fatalf("record %s: %v", id, err)
	}
	return got
}

func TestCreationsBeforeTheStart(t *testing.T) {
	t.Parallel()
	f := create(t)
	init := wrapperspb.String("first")
	if _, err := f.CreateObject(t.Context(), "Box", "Box-1", init); err != nil {
		t.Fatal(err)
	}
	init.Value = "changed after the call"
	f.record(t, "Box-2", "")
	f.record(t, "Box-1", "again") // it will exist: no error
	generated := f.record(t, "", "")
	if other := f.record(t, "", ""); other == generated || !strings.HasPrefix(generated, "Box-") {
		t.Errorf("generated %q and %q", generated, other)
	}
	if got := f.probe.noted(); len(got) != 0 {
		t.Errorf("before the start: %q", got)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"create Box-1 first", "create Box-2 ", "create " + generated + " "}
	if got := f.probe.noted(); len(got) != 4 || !slices.Equal(got[:3], want) {
		t.Errorf("created %q, want %q and one more", got, want)
	}
	for _, id := range []string{"Box-1", "Box-2", generated} {
		_, err := f.CreateObject(t.Context(), "Box", id, nil)
		wantError(t, "create "+id+" once more", err, object.ErrAlreadyExists, object.ExecutedNo)
	}
	if id, err := f.CreateObject(t.Context(), "Box", "", nil); err != nil || f.add(t, id, 7) != 7 {
		t.Errorf("created %q: %v", id, err)
	}
}

// What is wrong with an object that was asked for before the start is the start's error.
func TestStartFailsWithItsCreations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ, id, init string
		want          *object.Error
		executed      object.Execution
		says          string
	}{
		{"Box", "Box-1", "fail", object.ErrOutOfRange, object.ExecutedNo, "no room for Box-1"},
		{"Box", "Box-1", "panic", object.ErrInternal, object.ExecutedNo, "OnCreate panicked"},
		{"Nothing", "Nothing-1", "", object.ErrNotRegistered, object.ExecutedNo, "no type Nothing is registered"},
		{"Box", "Other-1", "", object.ErrNotRegistered, object.ExecutedNo, "Other"},
		{"User", "User-1", "", object.ErrInvalidArgument, object.ExecutedNo, "client objects come with their connection"},
		{"Box", "Box", "", object.ErrInvalidArgument, object.ExecutedNo, "no '-'"},
		{"", "", "", object.ErrInvalidArgument, object.ExecutedNo, "the type before the first '-' is empty"},
	} {
		f := create(t)
		f.record(t, "Box-0", "")
		var err error
		if c.init == "" {
			_, err = f.CreateObject(t.Context(), c.typ, c.id, nil)
		} else {
			_, err = f.CreateObject(t.Context(), c.typ, c.id, wrapperspb.String(c.init))
		}
		if err != nil {
			t.Errorf("record %s %q: %v, want that to be the start's error", c.typ, c.id, err)
			continue
		}
		err = f.Start(t.Context())
		wantError(t, "start with "+c.id, err, c.want, c.executed)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("start with %s: %v, want it to say %s", c.id, err, c.says)
		}
		if got := f.probe.noted(); !slices.Equal(got, []string{"create Box-0 ", "deactivate Box-0 stopping"}) {
			t.Errorf("start with %s: %q", c.id, got)
		}
	}
}

// A start that hangs in an object's OnCreate ends with its context.
func TestStartGivenUp(t *testing.T) {
	t.Parallel()
	f := create(t, func(c *server.Config) { c.DrainTimeout, c.CallTimeout = time.Hour, -1 })
	f.record(t, "Box-1", "block")
	f.record(t, "Box-2", "")
	ctx, cancel := context.WithCancel(t.Context())
	begun := started(func() error { return f.Start(ctx) })
	f.probe.awaitEntered(t)
	cancel()
	err := receive(t, begun, "Start to return")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("start: %v, want it cancelled and nothing else", err)
	}
	receive(t, f.Done(), "Done")
	if got := f.probe.noted(); len(got) != 0 {
		t.Errorf("created after all: %q", got)
	}
}

// Neither does it hang in one that ignores its context: the error names the object.
func TestStartGivenUpBesideADeafHook(t *testing.T) {
	t.Parallel()
	f := create(t, func(c *server.Config) { c.DrainTimeout = 50 * time.Millisecond })
	f.record(t, "Box-1", "deaf")
	begun := started(func() error { return f.Start(t.Context()) })
	f.probe.awaitEntered(t)
	err := receive(t, started(func() error { return f.Stop(context.Background()) }), "Stop to return")
	if err == nil || !strings.Contains(err.Error(), "Box-1") || !errors.Is(err, object.ErrDeadlineExceeded) {
		t.Errorf("stop: %v, want it to name Box-1", err)
	}
	if err := receive(t, begun, "Start to return"); err == nil || !strings.Contains(err.Error(), "Box-1") {
		t.Errorf("start: %v, want it to name Box-1", err)
	}
	close(f.probe.release)
}
