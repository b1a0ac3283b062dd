package inspector_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/xiaonanln/goverse/inspector"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// A stream begins with who talks, tells each topic whole, and then what is new.
func TestStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newFake(t, "AAA")
	a.has("Room-r")
	w.cluster(a)
	w.live(a)
	tab := w.open("topics=overview,nodes,shards,types,graph,events,object&objects=1&focus=Room-r")
	if m := tab.next(); m.topic != "hello" || !strings.Contains(m.data, `"cluster":"test"`) {
		t.Fatalf("it begins with %+v", m)
	}
	first := map[string]message{}
	for len(first) < 7 {
		m := tab.next()
		if _, there := first[m.topic]; !there {
			first[m.topic] = m
		}
	}
	for topic, has := range map[string]string{
		"overview": `"history":[{`, "nodes": `{"nodes":[{`, "shards": `"count":16`, "types": `"name":"Say"`, "graph": `"level":"objects"`, "events": `"next":`, "object": `"shard":`,
	} {
		if !strings.Contains(first[topic].data, has) {
			t.Errorf("%s begins with %s", topic, first[topic].data)
		}
	}
	if m := tab.until("overview", nil); strings.Contains(m.data, "history") || !strings.HasPrefix(m.data, `{"t":`) {
		t.Errorf("a second is %s", m.data)
	}
	tab.until("graph", func(m message) bool { return strings.Contains(m.data, `"from":"User-u","to":"Room-r"`) })
	m := tab.until("object", func(m message) bool {
		return strings.Contains(m.data, `"ran":`) && strings.Contains(m.data, `"callers":[{`)
	})
	d := decode[struct {
		Owner   string
		Callers []struct{ From string }
		Callees []struct{ To string }
		History []struct{ What string }
	}](tab, m)
	if d.Owner != "AAA" || d.Callers[0].From != "User-u" || d.Callees[0].To != "List-l" || d.History[0].What != "seen" {
		t.Errorf("object %+v", d)
	}
	b := newFake(t, "BBB")
	rev := w.join(b)
	tab.until("events", func(m message) bool { return strings.Contains(m.data, "has joined") })
	w.give(5, "BBB", rev, 9)
	c := decode[struct {
		Changed [][5]int
		Nodes   []string
	}](tab, tab.until("shards", nil))
	if len(c.Changed) != 1 || c.Changed[0][0] != 5 || c.Changed[0][2] != 9 || c.Nodes[c.Changed[0][1]] != "BBB" {
		t.Errorf("shards %+v", c)
	}
	tab.until("events", func(m message) bool { return strings.Contains(m.data, "Shard 5 went from") })
}

// Nodes tell what is looked at, and no longer.
func TestNodesAreAskedForWhatIsWatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newFake(t, "AAA")
	w.cluster(a)
	w.live(a)
	watched := func(focus string) int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.watches[focus]
	}
	if n := watched(""); n != 1 {
		t.Errorf("%d streams with nobody watching", n)
	}
	x, y, z := w.open("topics=object&focus=Room-x"), w.open("topics=object&focus=Room-x"), w.open("topics=object&focus=Room-y")
	w.await("what is watched", func() bool { return watched("Room-x") == 1 && watched("Room-y") == 1 })
	for _, tab := range []*tab{x, y, z} {
		tab.close()
	}
	w.await("end of what nobody watches", func() bool { return watched("Room-x") == 0 && watched("Room-y") == 0 })
	if n := watched(""); n != 1 {
		t.Errorf("%d streams after all have gone", n)
	}
}

// Who connects again is told what it has missed, and all by another inspector.
func TestResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newFake(t, "AAA")
	w.cluster(a)
	w.live(a)
	a.happen(&inspectpb.Event{Kind: "slow", Level: "warning", Text: "the first"})
	tab := w.open("topics=overview,events")
	tab.until("events", func(m message) bool { return strings.Contains(m.data, "the first") })
	last := tab.until("overview", func(m message) bool { return strings.HasPrefix(m.data, `{"t":`) })
	tab.close()
	a.happen(&inspectpb.Event{Kind: "slow", Level: "warning", Text: "the missed one"})
	w.await("the missed one", func() bool {
		_, body, _ := w.request(http.MethodGet, "/api/events", "")
		return strings.Contains(body, "the missed one")
	})
	if hello := w.open("topics=overview,events", "Last-Event-ID", last.id).next(); hello.topic != "hello" || hello.id != last.id {
		t.Errorf("who is cut off at once goes on at %s, not at %s", hello.id, last.id)
	}
	again := w.open("topics=overview,events", "Last-Event-ID", last.id)
	var m, first message
	for m.topic == "" || first.topic == "" { // in either order
		switch next := again.next(); {
		case next.topic == "events" && m.topic == "":
			m = next
		case strings.HasPrefix(next.data, `{"t":`):
			first = next
		}
	}
	type point struct{ T int64 }
	if p, q := decode[point](tab, last), decode[point](again, first); q.T <= p.T || q.T > p.T+3000 {
		t.Errorf("after the point of %d comes that of %d", p.T, q.T)
	}
	if !strings.Contains(m.data, "the missed one") || strings.Contains(m.data, "the first") {
		t.Errorf("events %s", m.data)
	}
	other := w.open("topics=overview,events", "Last-Event-ID", "ANOTHER-"+strings.Split(last.id, "-")[1])
	if m := other.until("overview", nil); !strings.Contains(m.data, "history") {
		t.Errorf("another inspector's reader is told %s", m.data)
	}
	if m := other.until("events", nil); !strings.Contains(m.data, "the first") {
		t.Errorf("events %s", m.data)
	}
}

// Two hundred readers that stop reading cost bounded memory and hold up nobody; too many are refused.
func TestManyTabs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newFake(t, "AAA")
	a.filler = strings.Repeat("x", 200)
	w.cluster(a)
	w.live(a)
	_, port, _ := strings.Cut(strings.TrimPrefix(w.url, "http://"), ":")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	dialer := &net.Dialer{}
	for range 200 {
		conn, err := dialer.DialContext(t.Context(), "tcp", w.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "GET /api/stream?topics=overview,nodes,shards,types,graph,events HTTP/1.1\r\nHost: localhost:"+port+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	tab := w.open("topics=overview")
	for range 5 {
		tab.until("overview", func(m message) bool { return strings.HasPrefix(m.data, `{"t":`) })
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("200 tabs cost %d MiB", grown>>20)
	}
	for range 224 - 201 {
		w.open("topics=nodes")
	}
	code, body, _ := w.request(http.MethodGet, "/api/stream?topics=nodes", "")
	if code != http.StatusTooManyRequests || !strings.Contains(body, "ResourceExhausted") {
		t.Errorf("one more: %d %s", code, body)
	}
	tab.close()
	w.await("room after one has gone", func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/stream?topics=nodes", nil)
		resp, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// Nodes come, are silent and go, and the store is away for a while: the inspector says so, and goes on.
func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := newFake(t, "AAA"), newFake(t, "BBB")
	w.cluster(a, b)
	w.live(a, b)
	tab := w.open("topics=events,overview,nodes")
	b.server.Stop()
	tab.until("nodes", func(m message) bool { return strings.Contains(m.data, `"state":"unreachable"`) })
	w.del("nodes/BBB")
	tab.until("events", func(m message) bool { return strings.Contains(m.data, "gone without a farewell") })
	w.await("gone", func() bool { return w.stateOf("BBB") == "gone" })
	c := newFake(t, "CCC")
	w.join(c)
	w.live(c)
	w.store.SetOutage(true)
	tab.until("overview", func(m message) bool { return strings.Contains(m.data, `"state":"stale"`) })
	w.store.SetOutage(false)
	tab.until("overview", func(m message) bool { return strings.Contains(m.data, `"state":"live"`) })
	if s := w.stateOf("CCC"); s != "live" {
		t.Errorf("CCC is %s", s)
	}
	w.stop()
	if _, err := io.ReadAll(tab.in); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("the stream ended with %v", err)
	}
}

// Who cannot listen says where.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(w.url, "http://"), ":")
	err := inspector.New(inspector.Config{Address: w.address, Clock: clock.System()}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), port) {
		t.Errorf("it ended with %v", err)
	}
}
