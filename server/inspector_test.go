package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/server"
)

// A server with an inspector shows itself, its objects included, and lets nobody act who is not to.
func TestInspectorInside(t *testing.T) {
	t.Parallel()
	for _, actions := range []bool{false, true} {
		t.Run(fmt.Sprint(actions), func(t *testing.T) {
			t.Parallel()
			inspectorInside(t, actions)
		})
	}
}

func inspectorInside(t *testing.T, actions bool) {
	t.Helper()
	f := start(t, func(c *server.Config) { c.InspectorAddress, c.InspectorActions = "localhost:0", actions })
	f.add(t, "Box-seen", 1)
	url := "http://" + f.InspectorAddr()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func(method, path string, v any) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if v != nil {
			if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
				t.Fatal(err)
			}
		}
		return resp.StatusCode
	}
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for range 400 {
		var nodes struct {
			Nodes []struct{ Incarnation, State string }
		}
		ask(http.MethodGet, "/api/nodes", &nodes)
		var found struct{ Objects []struct{ ID, Node string } }
		ask(http.MethodGet, "/api/objects?type=Box", &found)
		if len(nodes.Nodes) == 1 && nodes.Nodes[0].State == "live" && len(found.Objects) == 1 {
			if id := f.Member().Incarnation(); nodes.Nodes[0].Incarnation != id || found.Objects[0].ID != "Box-seen" || found.Objects[0].Node != id {
				t.Errorf("%+v %+v", nodes, found)
			}
			want := http.StatusForbidden
			if actions {
				want = http.StatusBadRequest // there is no body
			}
			if code := ask(http.MethodPost, "/api/actions/drain", nil); code != want {
				t.Errorf("an action: %d, want %d", code, want)
			}
			if code := ask(http.MethodGet, "/", nil); code != http.StatusOK || !strings.HasPrefix(url, "http://localhost:") {
				t.Errorf("the page at %s: %d", url, code)
			}
			return
		}
		<-every.C
	}
	t.Error("the inspector does not find its own server")
}

func TestInspectorAddr(t *testing.T) {
	t.Parallel()
	f := create(t, func(c *server.Config) { c.InspectorAddress = "localhost:0" })
	if got := f.InspectorAddr(); got != "" {
		t.Errorf("before the start: %q", got)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.InspectorAddr(); !strings.HasPrefix(got, "localhost:") || !strings.Contains(f.log.String(), "url=http://"+got+" ") {
		t.Errorf("the log does not tell %q:\n%s", got, f.log.String())
	}
	if got := start(t).InspectorAddr(); got != "" {
		t.Errorf("without one: %q", got)
	}
}
