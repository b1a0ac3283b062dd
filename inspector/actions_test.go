package inspector_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/inspector"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// wishes are one of each action, and what they are about.
func wishes() map[string]string {
	return map[string]string{
		"drain": `{"node":"BBB","confirm":%q}`, "undrain": `{"node":"BBB","confirm":%q}`, "move": `{"shard":3,"to":"BBB","confirm":%q}`,
		"deactivate": `{"id":"Room-b","confirm":%q}`, "disconnect": `{"object":"User-u","confirm":%q}`,
		"call": `{"id":"Room-b","method":"Say","request":"hello","confirm":%q}`,
	}
}

func subject(action string) string {
	return map[string]string{"drain": "BBB", "undrain": "BBB", "move": "3", "deactivate": "Room-b", "disconnect": "User-u", "call": "Room-b"}[action]
}

func actors(t *testing.T, actions bool) (*world, *fake, *fake) {
	t.Helper()
	w := newWorld(t, func(c *inspector.Config) { c.Actions = actions })
	a, b := newFake(t, "AAA"), newFake(t, "BBB")
	b.has("Room-b", "User-u")
	w.cluster(a, b)
	w.live(a, b)
	return w, a, b
}

// Without the flag nothing is done, and with it nothing without the exact confirmation, nor by GET.
func TestNoActionByMistake(t *testing.T) {
	t.Parallel()
	off, a, b := actors(t, false)
	on, c, d := actors(t, true)
	for action, body := range wishes() {
		path := "/api/actions/" + action
		if code, text, _ := off.request(http.MethodPost, path, fmt.Sprintf(body, subject(action))); code != http.StatusForbidden || !strings.Contains(text, "PermissionDenied") {
			t.Errorf("%s without the flag: %d %s", action, code, text)
		}
		for _, wrong := range []string{"", "yes", subject(action) + " ", strings.ToLower(subject(action)) + "x"} {
			if code, text, _ := on.request(http.MethodPost, path, fmt.Sprintf(body, wrong)); code != http.StatusBadRequest {
				t.Errorf("%s confirmed by %q: %d %s", action, wrong, code, text)
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
			if code, text, _ := on.request(method, path, ""); code != http.StatusMethodNotAllowed {
				t.Errorf("%s by %s: %d %s", action, method, code, text)
			}
		}
	}
	for _, n := range []*fake{a, b, c, d} {
		if acts := n.acted(); len(acts) != 0 {
			t.Errorf("%s did %v", n.id, acts)
		}
	}
}

// What is confirmed is asked of the right node, once, with who asks.
func TestActions(t *testing.T) {
	t.Parallel()
	w, a, b := actors(t, true)
	for action, body := range wishes() {
		before := len(a.acted()) + len(b.acted())
		code, text, _ := w.request(http.MethodPost, "/api/actions/"+action, fmt.Sprintf(body, subject(action)))
		if code != http.StatusOK {
			t.Errorf("%s: %d %s", action, code, text)
			continue
		}
		if n := len(a.acted()) + len(b.acted()); n != before+1 {
			t.Errorf("%s was done %d times", action, n-before)
		}
		if action != "call" {
			continue
		}
		var reply struct{ Reply string }
		if err := json.Unmarshal([]byte(text), &reply); err != nil || reply.Reply != "hello" {
			t.Errorf("call: %s", text)
		}
	}
	at := map[string]bool{}
	for _, req := range b.acted() {
		at[fmt.Sprintf("%T", req.GetAction())] = true
		if !strings.Contains(req.GetOperator(), "127.0.0.1") && !strings.Contains(req.GetOperator(), "::1") {
			t.Errorf("operator %q", req.GetOperator())
		}
	}
	if len(at) != 5 || len(a.acted()) != 0 { // drain and undrain are one
		t.Errorf("the node that each is about was asked for %v, the other one for %v", at, a.acted())
	}
	if code, text, _ := w.request(http.MethodPost, "/api/actions/deactivate", `{"id":"Room-x","confirm":"Room-x"}`); code != http.StatusNotFound {
		t.Errorf("an object that is not there: %d %s", code, text)
	}
	if code, text, _ := w.request(http.MethodPost, "/api/actions/call", `{"id":"Room-b","method":"Say","request":{"no":1},"confirm":"Room-b"}`); code != http.StatusBadRequest {
		t.Errorf("a call with another message: %d %s", code, text)
	}
	long := fmt.Sprintf(`{"id":"Room-b","method":"Say","request":%q,"confirm":"Room-b"}`, strings.Repeat("x", 200<<10))
	if code, text, _ := w.request(http.MethodPost, "/api/actions/call", long); code != http.StatusBadRequest || !strings.Contains(text, "131072") {
		t.Errorf("a call with a long message: %d %s", code, text)
	}
	refused := func(*inspectpb.ActRequest) (*inspectpb.ActResponse, error) { return nil, refusal() }
	for _, n := range []*fake{a, b} {
		n.mu.Lock()
		n.reply = refused
		n.mu.Unlock()
	}
	if code, text, _ := w.request(http.MethodPost, "/api/actions/drain", `{"node":"BBB","confirm":"BBB"}`); code != http.StatusConflict || !strings.Contains(text, "it is not to be") {
		t.Errorf("a refusal by the node: %d %s", code, text)
	}
	if req := b.acted()[0]; proto.Size(req) == 0 {
		t.Error("an empty request")
	}
}

// A reply that cannot be shown is no failure: the call has been executed, and nobody is to repeat it.
func TestAReplyThatCannotBeShown(t *testing.T) {
	t.Parallel()
	w, _, b := actors(t, true)
	odd := []byte{0x0a, 0x00}
	b.mu.Lock()
	b.reply = func(*inspectpb.ActRequest) (*inspectpb.ActResponse, error) {
		return &inspectpb.ActResponse{Message: "nobody.Knows", Reply: odd}, nil
	}
	b.mu.Unlock()
	code, text, _ := w.request(http.MethodPost, "/api/actions/call", `{"id":"Room-b","method":"Say","request":"x","confirm":"Room-b"}`)
	var got struct {
		Reply   any
		Raw     []byte
		Problem string
	}
	if err := json.Unmarshal([]byte(text), &got); code != http.StatusOK || err != nil || got.Reply != nil || string(got.Raw) != string(odd) || !strings.Contains(got.Problem, "was executed") {
		t.Errorf("%d %s, %v", code, text, err)
	}
}

// The last live node is not drained by mistake.
func TestTheLastNodeIsNotDrained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *inspector.Config) { c.Actions = true })
	b := newFake(t, "BBB")
	w.cluster(b)
	w.live(b)
	code, text, _ := w.request(http.MethodPost, "/api/actions/drain", `{"node":"BBB","confirm":"BBB"}`)
	if code != http.StatusConflict || !strings.Contains(text, "no other node") || len(b.acted()) != 0 {
		t.Errorf("%d %s, the node was asked for %v", code, text, b.acted())
	}
	if code, text, _ := w.request(http.MethodPost, "/api/actions/undrain", `{"node":"BBB","confirm":"BBB"}`); code != http.StatusOK {
		t.Errorf("undrain: %d %s", code, text)
	}
}
