package inspector_test

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/xiaonanln/goverse/inspector"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

type (
	object  = map[string]any
	nodeRow struct{ Incarnation, State, Error string }
	nodeSet struct{ Nodes []nodeRow }
)

// stateOf is what the inspector says of a node.
func (w *world) stateOf(id string) string {
	w.Helper()
	for _, n := range get[nodeSet](w, "/api/nodes").Nodes {
		if n.Incarnation == id {
			return n.State
		}
	}
	return ""
}

// live waits until nodes tell about themselves, and their calls are in the figures.
func (w *world) live(nodes ...*fake) {
	w.Helper()
	for _, n := range nodes {
		w.await("live "+n.id, func() bool { return w.stateOf(n.id) == "live" })
		w.await("calls of "+n.id, func() bool { return get[object](w, "/api/nodes/"+n.id)["calls"].(float64) > 0 })
	}
}

// Before there is a cluster every list is there and empty, and the inspector says that it waits.
func TestBeforeTheCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.await("word of the empty store", func() bool {
		return get[object](w, "/api/overview")["message"] == "Waiting for the cluster's first server."
	})
	for _, path := range []string{
		"meta", "overview", "nodes", "shards", "types", "objects", "clients", "graph", "graph?objects=1", "events",
	} {
		code, body, header := w.request(http.MethodGet, "/api/"+path, "")
		if code != http.StatusOK || header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %d %s", path, code, header)
		}
		var v object
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, list := range []string{"etcd", "history", "nodes", "shards", "types", "objects", "missing", "clients", "edges", "events"} {
			if value, there := v[list]; there && value == nil {
				t.Errorf("%s: %s is null", path, list)
			}
		}
	}
	if o := get[object](w, "/api/overview"); o["state"] != "waiting" {
		t.Errorf("overview %v", o)
	}
}

// Nodes and methods have a past, and what is estimated says from how much.
func TestPastAndSampling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newFake(t, "AAA")
	a.has("Room-r")
	w.cluster(a)
	w.live(a)
	type past struct {
		At      int64
		History []struct {
			T                       int64
			Calls, Errors, P99, CPU float64
			Shards                  int
		}
	}
	w.await("history of a method", func() bool {
		all := get[past](w, "/api/types/Room/methods/Say/history").History
		last := len(all) - 1
		return last > 0 && all[last].Calls > 400 && all[last].Calls < 600 && all[last].Errors > 0 && all[last].P99 > 0 && all[last].T > all[last-1].T
	})
	n := get[past](w, "/api/nodes/AAA")
	if last := n.History[len(n.History)-1]; last.T != n.At || last.Shards != shards || last.CPU == 0 {
		t.Errorf("node %+v", last)
	}
	for _, path := range []string{"nodes/AAA", "types", "graph", "objects", "objects/Room-r", "overview"} {
		if one := get[object](w, "/api/"+path)["sampling"]; one != 1.0 {
			t.Errorf("%s: sampling %v", path, one)
		}
	}
	if m := w.open("topics=types&changes=1").until("types", nil); !strings.HasSuffix(m.data, `],"sampling":1}`) {
		t.Errorf("types end with %s", m.data[max(len(m.data)-50, 0):])
	}
	if code, _, _ := w.request(http.MethodGet, "/api/types/Room/methods/No/history", ""); code != http.StatusNotFound {
		t.Errorf("a method that nobody has: %d", code)
	}
}

// Each route answers what the cluster's records and the nodes tell.
func TestRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := newFake(t, "AAA"), newFake(t, "BBB")
	a.has("Room-r", "Room-a")
	b.has("Room-b", "User-u")
	b.clients = []*inspectpb.ClientInfo{{Object: "User-u", ConnectedUs: 5000, Kind: "session", Calls: 3, Peer: "127.0.0.1:9"}}
	a.happen(&inspectpb.Event{Kind: "panic", Level: "error", Text: "it hurts", Object: "Room-r", Shard: 3, Stack: "stack"})
	w.cluster(a, b)
	w.live(a, b)

	if m := get[object](w, "/api/meta"); m["cluster"] != "test" || m["actions"] != false || m["auth"] != false || m["instance"] == "" {
		t.Errorf("meta %v", m)
	}
	o := get[struct {
		State     string
		Now       object
		History   []object
		Allocator string
		Skew      float64
	}](w, "/api/overview")
	if o.State != "live" || o.Allocator != "AAA" || o.Skew != 1 || len(o.History) == 0 || o.Now["nodes"] != 2.0 || o.Now["clients"] != 1.0 {
		t.Errorf("overview %+v", o)
	}
	if calls := o.Now["calls"].(float64); calls < 900 || calls > 1100 { // 2 nodes × 10 calls each 20 ms, by what they say
		t.Errorf("%v calls", calls)
	}
	if p50 := o.Now["p50"]; p50 != 2.2 { // the bucket from 2 to 2.38 µs
		t.Errorf("p50 %v", p50)
	}
	n := get[object](w, "/api/nodes/BBB")
	if n["state"] != "live" || n["shards"] != shards/2.0 || n["version"] != "v1" || n["history"] == nil || n["pid"] != 7.0 {
		t.Errorf("node %v", n)
	}
	s := get[struct {
		Count  int
		Nodes  []string
		Shards [][4]int
	}](w, "/api/shards")
	if s.Count != shards || s.Nodes[s.Shards[1][0]] != "BBB" || s.Shards[1][1] != 2 || s.Shards[1][2] != 0 || s.Shards[1][3] != -1 {
		t.Errorf("shards %+v", s)
	}
	types := get[struct {
		Types []struct {
			Name    string
			Client  bool
			Objects int
			Methods []struct {
				Name, Mode string
				Histogram  []int
				LastError  *struct{ Code, Message string } `json:"last_error"`
			}
		}
	}](w, "/api/types").Types
	if len(types) != 2 || types[0].Name != "Room" || types[0].Objects != 4 || !types[1].Client || len(types[0].Methods) != 1 {
		t.Fatalf("types %+v", types)
	}
	if say := types[0].Methods[0]; say.Name != "Say" || say.Mode != "sequential" || len(say.Histogram) != 5 || say.LastError == nil || say.LastError.Message != "no <b>room</b>" {
		t.Errorf("method %+v", say)
	}
	form := get[struct {
		Reply   string
		Request struct{ Fields []object }
	}](w, "/api/types/Room/methods/Say/form")
	if form.Reply != "google.protobuf.StringValue" || len(form.Request.Fields) != 1 || form.Request.Fields[0]["kind"] != "string" {
		t.Errorf("form %+v", form)
	}
	clients := get[struct {
		Clients []object
		Total   int
	}](w, "/api/clients")
	if clients.Total != 1 || clients.Clients[0]["object"] != "User-u" || clients.Clients[0]["node"] != "BBB" || clients.Clients[0]["connected"] != 5.0 {
		t.Errorf("clients %+v", clients)
	}
	graph := get[struct {
		Level string
		Nodes []object
		Edges []object
	}](w, "/api/graph?types=Room")
	if graph.Level != "types" || len(graph.Edges) != 1 || graph.Edges[0]["from"] != "User" || graph.Edges[0]["mean"] != 1.0 {
		t.Errorf("graph %+v", graph)
	}
	events := get[struct{ Events []object }](w, "/api/events?kind=slow,panic&level=error&text=HURT&node=AAA&before=999999").Events
	if len(events) != 1 || events[0]["text"] != "it hurts" || events[0]["node"] != "AAA" || events[0]["stack"] != "stack" || events[0]["shard"] != 3.0 {
		t.Errorf("events %+v", events)
	}
}

type page struct {
	Objects []struct{ ID, Node string }
	Total   int
	Missing []string
}

// A page of objects is cut from what all nodes have, in one order, and says who did not answer.
func TestObjectsOfAllNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := newFake(t, "AAA"), newFake(t, "BBB")
	a.has("Room-1", "Room-3", "Room-5")
	b.has("Room-2", "Room-4", "User-6")
	w.cluster(a, b)
	w.live(a, b)
	p := get[page](w, "/api/objects?type=Room&limit=2&offset=1")
	if p.Total != 5 || len(p.Objects) != 2 || p.Objects[0].ID != "Room-2" || p.Objects[0].Node != "BBB" || p.Objects[1].ID != "Room-3" || len(p.Missing) != 0 {
		t.Errorf("page %+v", p)
	}
	if p := get[page](w, "/api/objects?node=BBB&sort=calls"); p.Total != 3 || p.Objects[0].ID != "User-6" {
		t.Errorf("page of a node %+v", p)
	}
	if p := get[page](w, "/api/objects?limit=0"); p.Total != 6 || len(p.Objects) != 0 {
		t.Errorf("count %+v", p)
	}
	b.server.Stop()
	if p := get[page](w, "/api/objects"); p.Total != 3 || len(p.Missing) != 1 || p.Missing[0] != "BBB" {
		t.Errorf("page without a node %+v", p)
	}
	a.server.Stop()
	if code, body, _ := w.request(http.MethodGet, "/api/objects", ""); code != http.StatusServiceUnavailable || !strings.Contains(body, `"Unavailable"`) {
		t.Errorf("page of nobody: %d %s", code, body)
	}
}

// What makes no sense is refused by its kind, as JSON.
func TestErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *inspector.Config) { c.Actions = true })
	for _, c := range []struct {
		method, path, body string
		code               int
		kind               string
	}{
		{"GET", "/api/nodes/nobody", "", 404, "NotFound"},
		{"GET", "/api/nothing", "", 404, "NotFound"},
		{"GET", "/api/types/No/methods/Say/form", "", 404, "NotFound"},
		{"GET", "/api/objects?limit=1001", "", 400, "InvalidArgument"},
		{"GET", "/api/objects?limit=x", "", 400, "InvalidArgument"},
		{"GET", "/api/objects?offset=-1", "", 400, "InvalidArgument"},
		{"GET", "/api/objects?sort=beauty", "", 400, "InvalidArgument"},
		{"GET", "/api/objects?busy=perhaps", "", 400, "InvalidArgument"},
		{"GET", "/api/objects?prefix=" + strings.Repeat("x", 257), "", 400, "InvalidArgument"},
		{"GET", "/api/objects?prefix=%ff", "", 400, "InvalidArgument"},
		{"GET", "/api/objects?type=%ff", "", 400, "InvalidArgument"},
		{"GET", "/api/graph?objects=1&types=%ff", "", 400, "InvalidArgument"},
		{"GET", "/api/stream?topics=graph&objects=1&types=A" + strings.Repeat(",A", 1000), "", 400, "InvalidArgument"},
		{"GET", "/api/objects/noname", "", 400, "InvalidArgument"},
		{"GET", "/api/objects/Room-a%2Fb", "", 400, "InvalidArgument"},
		{"GET", "/api/objects/Room-%00", "", 400, "InvalidArgument"},
		{"GET", "/api/clients?limit=1e3", "", 400, "InvalidArgument"},
		{"GET", "/api/events?since=-1", "", 400, "InvalidArgument"},
		{"GET", "/api/events?before=x", "", 400, "InvalidArgument"},
		{"GET", "/api/graph?focus=none", "", 400, "InvalidArgument"},
		{"GET", "/api/stream?topics=gossip", "", 400, "InvalidArgument"},
		{"GET", "/api/stream?topics=object", "", 400, "InvalidArgument"},
		{"POST", "/api/nodes", "{}", 405, "Unimplemented"},
		{"DELETE", "/api/objects/Room-r", "", 405, "Unimplemented"},
		{"GET", "/api/actions/drain", "", 405, "Unimplemented"},
		{"GET", "/api/login", "", 405, "Unimplemented"},
		{"POST", "/api/actions/explode", "{}", 404, "NotFound"},
		{"POST", "/api/actions/drain", "{", 400, "InvalidArgument"},
		{"POST", "/api/actions/drain", `{"node":"nobody","confirm":"nobody"}`, 404, "NotFound"},
		{"POST", "/api/actions/move", `{"shard":99999,"to":"x","confirm":"99999"}`, 400, "InvalidArgument"},
		{"POST", "/api/actions/call", `{"id":"Room-r","method":"Sing","confirm":"Room-r"}`, 404, "NotFound"},
		{"GET", "/missing.js", "", 404, "NotFound"},
		{"POST", "/", "{}", 405, "Unimplemented"},
	} {
		code, body, header := w.request(c.method, c.path, c.body)
		var v struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal([]byte(body), &v); err != nil || code != c.code || v.Error.Code != c.kind || v.Error.Message == "" {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, code, body, c.code, c.kind)
		}
		if kind := header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
			t.Errorf("%s %s: %s", c.method, c.path, kind)
		}
	}
}

// hostile are ids that objects may have and pages must survive.
func hostile() []string {
	return []string{
		`Room-<img src=x onerror=alert(1)>`, `Room-"quoted'&amp;`, "Room-\u202egnp.exe", "Room-😀🏴‍☠️", "Room-" + strings.Repeat("x", 245), "Room- blank ?#%&=+",
		"Room-..", "Room-\\..\\", "Room-{{7*7}}${7*7}", "Room-\u2028line",
	}
}

// Ids are text, whatever is in them.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newFake(t, "AAA")
	a.has(hostile()...)
	w.cluster(a)
	w.live(a)
	if p := get[page](w, "/api/objects"); p.Total != len(hostile()) {
		t.Errorf("page %+v", p)
	}
	for _, id := range hostile() {
		if d := get[struct{ Object struct{ ID string } }](w, "/api/objects/"+url.PathEscape(id)); d.Object.ID != id {
			t.Errorf("%q came back as %q", id, d.Object.ID)
		}
		tab := w.open("topics=object&focus=" + url.QueryEscape(id))
		m := tab.until("object", func(m message) bool { return strings.Contains(m.data, `"phase":"live"`) })
		if d := decode[struct{ Object struct{ ID string } }](tab, m); d.Object.ID != id {
			t.Errorf("%q came over the stream as %q", id, d.Object.ID)
		}
		if strings.ContainsAny(m.data, "<>\u2028") {
			t.Errorf("markup in %s", m.data)
		}
		tab.close()
	}
}

// The page comes with its policy, compressed, and files that are named by their content may be kept.
func TestAssets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/", "/objects", "/graph/x"} {
		code, body, header := w.request(http.MethodGet, path, "")
		if code != http.StatusOK || !strings.Contains(body, "the page") || header.Get("Content-Type") != "text/html; charset=utf-8" || header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %s %v", path, code, body, header)
		}
	}
	code, body, header := w.request(http.MethodGet, "/assets/app-1a2b.js", "", "Accept-Encoding", "gzip")
	if code != http.StatusOK || header.Get("Content-Encoding") != "gzip" || !strings.Contains(header.Get("Cache-Control"), "immutable") || len(body) > 1000 {
		t.Errorf("%d, %d bytes, %v", code, len(body), header)
	}
	if _, err := gzip.NewReader(strings.NewReader(body)); err != nil {
		t.Error(err)
	}
}
