package node_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// among makes so many calls that only a few of them are picked.
func (w *world) among(o *node.Observation) {
	w.t.Helper()
	for range 5000 {
		w.must("Plain-busy", "Write", "echo x")
	}
	if r := o.Collect(); r.GetSampling() < 16 {
		w.t.Fatalf("one call in %d is picked", r.GetSampling())
	}
}

// Errors are seen, and counted one by one, however few of the calls are picked.
func TestRareErrorsAreSeenAmongManyCalls(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		o := w.Observe()
		defer o.Close()
		o.Aim(&inspectmsg.WatchRequest{Objects: true, Focus: "Plain-b"})
		w.among(o)
		for range 40 {
			_, _ = w.do("Hook-a", "Write", "call Plain-b.Read ! fail because")
		}
		_, _ = w.do("Hook-a", "Free", "panic dropped it")
		_, _ = w.do("Hook-a", "Free", "fail later")
		_, _ = w.do("Hook-a", "Free", "fail last")
		r := o.Collect()
		if m := methodOf(r, "Plain", "Read"); m.GetErrors() != 40 || m.GetCalls() != 40 || m.GetLastCode() != "Aborted" || !strings.Contains(m.GetLastError(), "because") || m.GetLastStack() != "" {
			t.Errorf("of Plain.Read: %v", m)
		}
		if m := methodOf(r, "Hook", "Free"); m.GetErrors() != 3 || m.GetCalls() != 3 || m.GetLastCode() != "Internal" || !strings.Contains(m.GetLastStack(), "goroutine") {
			t.Errorf("of Hook.Free: %v", m)
		}
		if e := edgeOf(r.GetTypeEdges(), "Hook", "Plain"); e.GetErrors() != 40 || e.GetCalls() != 40 {
			t.Errorf("from Hook to Plain: %v", e)
		}
		if e := edgeOf(r.GetObjectEdges(), "Hook-a", "Plain-b"); e.GetErrors() != 40 || e.GetCalls() != 40 {
			t.Errorf("from Hook-a to Plain-b: %v", e)
		}
		_, _ = w.do("Hook-a", "Free", "fail again")
		late := w.Observe()
		defer late.Close()
		if m := methodOf(o.Collect(), "Hook", "Free"); m.GetErrors() != 1 || !strings.Contains(m.GetLastError(), "again") || m.GetLastStack() != "" {
			t.Errorf("then of Hook.Free: %v", m)
		}
		for _, who := range []*node.Observation{o, late} {
			if m := methodOf(who.Collect(), "Hook", "Free"); m.GetErrors() != 0 || m.GetCalls() != 0 || m.GetLastCode() != "" {
				t.Errorf("told again, or to who came later: %v", m)
			}
		}
	})
}

// A storm of errors is counted exactly too; who had them with whom is estimated then.
func TestStormsOfErrorsAreBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		o := w.Observe()
		defer o.Close()
		const storm = 10_000
		for range storm {
			_, _ = w.do("Plain-a", "Free", "fail because")
		}
		if one := o.ErrorSampling(); one < 16 {
			w.t.Errorf("one in %d took the lens's mutex", one)
		}
		r := o.Collect()
		if m := methodOf(r, "Plain", "Free"); m.GetErrors() != storm || m.GetCalls() != storm {
			w.t.Errorf("of Plain.Free: %v", m)
		}
		if e := edgeOf(r.GetTypeEdges(), "", "Plain"); e.GetErrors() < storm/2 || e.GetErrors() > storm*2 || e.GetCalls() != e.GetErrors() {
			w.t.Errorf("from outside to Plain: %v", e)
		}
	})
}

// Turns that fail are counted by code while nobody looks too. Each counts once, whether it ran, was
// left, or never came to run.
func TestErrorsOfTurnsAreCountedByCode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		want := make(map[object.Code]uint64)
		counted := func(what string, codes ...object.Code) {
			w.t.Helper()
			for _, code := range codes {
				want[code]++
			}
			if got := w.CallErrors(); !maps.Equal(got, want) {
				w.t.Errorf("after %s: %v, want %v", what, got, want)
			}
		}
		w.must("Plain-a", "Write", "echo x")
		counted("a call that succeeds")
		_, _ = w.do("Plain-a", "Write", "fail because")
		counted("one that fails", object.CodeAborted)
		_, _ = w.do("Hook-a", "Write", "call Plain-a.Free ! fail because")
		counted("one within another", object.CodeAborted, object.CodeAborted)
		w.on("odd", func(context.Context, *actor, string) (string, error) { return "", object.NewError(4711, "odd") })
		_, _ = w.do("Plain-a", "Free", "odd")
		counted("one with a code of its own", object.CodeUnknown)
		_, _ = w.do("Plain-a", "Free", "panic badly")
		counted("a panic", object.CodeInternal)
		_, _ = w.do("Plain-a", "None", "echo x")
		_, _ = w.do("Nobody-a", "Write", "echo x")
		_, _ = w.Serve(w.t.Context(), object.Request{ID: "Plain-a", Method: "None"})
		counted("calls of nothing that there is", object.CodeUnimplemented, object.CodeNotFound, object.CodeUnimplemented)
		_, _ = w.Call(w.t.Context(), "Plain-a", "Write", &emptypb.Empty{})
		_, _ = w.Serve(w.t.Context(), object.Request{ID: "Plain-a", Method: "Write", Message: "google.protobuf.Empty"})
		over, cancel := context.WithCancel(w.t.Context())
		cancel()
		_, _ = w.try(over, "Plain-a", "Write", "echo x")
		counted("calls that cannot be", object.CodeInvalidArgument, object.CodeInvalidArgument, object.CodeCanceled)
		_, _ = w.do("Guest-elsewhere", "Say", "echo x")
		counted("a call of a client's object that is not here")
		w.on("OnActivate", func(context.Context, *actor, string) (string, error) {
			return "", object.NewError(object.CodeUnavailable, "not now")
		})
		_, _ = w.do("Hook-c", "Write", "echo x")
		counted("one whose object could not be activated", object.CodeUnavailable)
		held := w.begin("Plain-b", "Write", "hold g")
		hurried := w.begin("Plain-b", "Hurry", "echo x")
		sleep(2 * time.Second)
		_, _ = hurried.wait()
		counted("one whose time ran out in the queue", object.CodeDeadlineExceeded)
		loose := w.begin("Plain-c", "Loose", "hold g")
		w.open("g")
		held.ok("g")
		loose.ok("g")
		counted("those that waited")
		_, _ = w.do("Plain-a", "Write", "call Plain-a.Write ! echo x")
		w.ReleaseShard(w.ShardOf("Plain-a"), 1)
		_, _ = w.Serve(w.t.Context(), object.Request{ID: "Plain-a", Method: "Write", Message: "google.protobuf.StringValue"})
		_, _ = w.do("Plain-a", "Write", "echo x")
		_, _ = w.do("Plain-a", "None", "echo x")
		want[object.CodeUnimplemented]++
		counted("a deadlock, and one that goes on elsewhere", object.CodeFailedPrecondition, object.CodeFailedPrecondition)
	})
}
