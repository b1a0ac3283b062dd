package inspection_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/xiaonanln/goverse/internal/inspection"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// Whatever breaks while something is asked is the asker's error: the process lives, the reason stays in the log, and what
// is asked next is answered.
func TestWhatBreaksIsTheAskersError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	drain := &inspectpb.ActRequest{Operator: "me", Action: &inspectpb.ActRequest_Drain_{Drain: &inspectpb.ActRequest_Drain{Incarnation: "n"}}}
	asks := map[string]func(ctx context.Context) error{
		"search": func(ctx context.Context) error {
			_, err := w.service.Search(ctx, &inspectpb.SearchRequest{})
			return err
		},
		"describe": func(ctx context.Context) error {
			_, err := w.service.Describe(ctx, &inspectpb.DescribeRequest{Id: "Box-1"})
			return err
		},
		"clients": func(ctx context.Context) error {
			_, err := w.service.Clients(ctx, &inspectpb.ClientsRequest{})
			return err
		},
		"types": func(ctx context.Context) error {
			_, err := inspection.New(inspection.Config{Clock: clock.Virtual(), Logger: slog.New(slog.NewTextHandler(w.log, nil))}).Types(ctx, nil)
			return err
		},
		"drain": func(ctx context.Context) error { _, err := w.service.Act(ctx, drain); return err },
		"watch": func(ctx context.Context) error {
			s := w.watch(ctx)
			s.in <- &inspectpb.WatchRequest{}
			return <-s.result
		},
		"a wish": func(ctx context.Context) error {
			s := w.watch(ctx)
			s.in <- nil // which gRPC never receives
			return <-s.result
		},
	}
	for name, ask := range asks {
		w.isBroken(true)
		w.log.Reset()
		if name == "a wish" {
			w.isBroken(false)
		}
		if err := ask(t.Context()); codeOf(err) != object.CodeInternal || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if said := w.log.String(); !strings.Contains(said, "inspection panicked") || !strings.Contains(said, "goroutine") {
			t.Errorf("%s: the log has %q", name, said)
		}
	}
	w.isBroken(false)
	for name, ask := range asks {
		if name == "types" || name == "watch" || name == "a wish" {
			continue
		}
		if err := ask(t.Context()); err != nil {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
	if w.looking() != 0 {
		t.Error("the stream that broke still looks")
	}
	if err := w.service.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if events, _ := w.journal.Since(0); len(events) != 2 || !strings.HasSuffix(events[0].GetText()+events[1].GetText(), ": done") {
		t.Errorf("written down: %v", events)
	}
}
