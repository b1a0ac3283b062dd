package inspection_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func drain(id string, undo bool) *inspectpb.ActRequest {
	return &inspectpb.ActRequest{Action: &inspectpb.ActRequest_Drain_{Drain: &inspectpb.ActRequest_Drain{Incarnation: id, Undo: undo}}}
}

func move(n uint32, to string) *inspectpb.ActRequest {
	return &inspectpb.ActRequest{Action: &inspectpb.ActRequest_Move_{Move: &inspectpb.ActRequest_Move{Shard: n, To: to}}}
}

func deactivate(id string) *inspectpb.ActRequest {
	return &inspectpb.ActRequest{Action: &inspectpb.ActRequest_Deactivate_{Deactivate: &inspectpb.ActRequest_Deactivate{Id: id}}}
}

func call(id, method string, req []byte) *inspectpb.ActRequest {
	return &inspectpb.ActRequest{Action: &inspectpb.ActRequest_Call_{Call: &inspectpb.ActRequest_Call{Id: id, Method: method, Request: req}}}
}

func disconnect(id string) *inspectpb.ActRequest {
	return &inspectpb.ActRequest{Action: &inspectpb.ActRequest_Disconnect_{Disconnect: &inspectpb.ActRequest_Disconnect{Object: id}}}
}

// Each action is done once, and leaves a line in the log and an event, also when it fails.
func TestActionsAreDoneAndWrittenDown(t *testing.T) {
	t.Parallel()
	number := marshal(t, wrapperspb.Int64(987654321))
	for _, c := range []struct {
		want  string
		req   *inspectpb.ActRequest
		event string // begins so
	}{
		{"drain n1", drain("n1", false), "drain node n1 by "},
		{"undrain n1", drain("n1", true), "undrain node n1 by "},
		{"move to n2", move(5, "n2"), "move node n2 shard 5 by "},
		{"deactivate Box-1", deactivate("Box-1"), "deactivate object Box-1 by "},
		{"call Box-1.Add", call("Box-1", "Add", number), "call object Box-1 method Add by "},
		{"kick User-1", disconnect("User-1"), "disconnect object User-1 by "},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.req.Operator = "anna\nlevel=ERROR"
			res, err := w.service.Act(t.Context(), c.req)
			if err != nil {
				t.Fatalf("act: %v", err)
			}
			if !slices.Equal(w.asked, []string{c.want}) {
				t.Errorf("done: %q, want %q", w.asked, c.want)
			}
			if strings.HasPrefix(c.want, "call") {
				n := &wrapperspb.Int64Value{}
				if err := proto.Unmarshal(res.GetReply(), n); err != nil || n.GetValue() != 2*987654321 || res.GetMessage() != "google.protobuf.Int64Value" {
					t.Errorf("reply %v, %v", res, err)
				}
			}
			w.err = object.NewError(object.CodeAborted, "secret-words")
			if _, err := w.service.Act(t.Context(), c.req); codeOf(err) != object.CodeAborted {
				t.Errorf("a failure: %v", err)
			}
			lines := strings.Split(strings.TrimSpace(w.log.String()), "\n")
			if len(lines) != 2 || !strings.Contains(lines[0], "level=INFO msg=\"operator action\"") || !strings.Contains(lines[0], "anna") ||
				!strings.Contains(lines[0], "outcome=done") || !strings.Contains(lines[1], "outcome=aborted") {
				t.Errorf("the log says\n%s", w.log)
			}
			events, _ := w.journal.Since(0)
			if len(events) != 2 {
				t.Fatalf("%d events", len(events))
			}
			for i, level := range []string{"info", "warning"} {
				if e := events[i]; e.GetKind() != "action" || e.GetLevel() != level || !strings.HasPrefix(e.GetText(), c.event) || !strings.Contains(e.GetText(), "anna") {
					t.Errorf("event %v", e)
				}
			}
			if all := w.log.String() + events[0].String() + events[1].String(); strings.Contains(all, "987654321") || strings.HasPrefix(c.want, "call") && strings.Contains(all, "secret-words") {
				t.Errorf("bodies are written down:\n%s", all)
			}
		})
	}
}

// Garbage is refused before anything is done, and written down too.
func TestActionsThatCannotBe(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	for name, c := range map[string]struct {
		req  *inspectpb.ActRequest
		code object.Code
	}{
		"nothing":       {&inspectpb.ActRequest{Operator: long}, object.CodeInvalidArgument},
		"no node":       {drain("", false), object.CodeInvalidArgument},
		"long node":     {drain(long, true), object.CodeInvalidArgument},
		"no shard":      {move(1<<16, "n1"), object.CodeInvalidArgument},
		"largest shard": {move(1<<32-1, "n1"), object.CodeInvalidArgument},
		"to nobody":     {move(1, ""), object.CodeInvalidArgument},
		"no id":         {deactivate("x"), object.CodeInvalidArgument},
		"long id":       {deactivate("Box-" + long), object.CodeInvalidArgument},
		"call of no id": {call("", "Add", nil), object.CodeInvalidArgument},
		"no type":       {call("Nothing-1", "Add", nil), object.CodeNotFound},
		"no method":     {call("Box-1", long, nil), object.CodeUnimplemented},
		"no message":    {call("Box-1", "Add", []byte("\xff\xff\xff")), object.CodeInvalidArgument},
		"no client":     {disconnect("\x00"), object.CodeInvalidArgument},
		"nil drain":     {&inspectpb.ActRequest{Action: &inspectpb.ActRequest_Drain_{}}, object.CodeInvalidArgument},
		"nil call":      {&inspectpb.ActRequest{Action: &inspectpb.ActRequest_Call_{}}, object.CodeInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.service.Act(t.Context(), c.req); codeOf(err) != c.code {
				t.Errorf("%v, want %v", err, c.code)
			}
			if len(w.asked) != 0 {
				t.Errorf("done: %q", w.asked)
			}
			if events, _ := w.journal.Since(0); len(events) != 1 || w.log.Len() == 0 || w.log.Len() > 2000 {
				t.Errorf("%d events, the log says %d bytes", len(events), w.log.Len())
			}
		})
	}
}
