package inspector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/inspector/internal/model"
)

// The bounds of streams.
const (
	maxStreams   = 256
	topicPause   = 400 * time.Millisecond // at least, between two messages of a topic: less than nodes take, to keep step with them
	swarmPause   = 50 * time.Millisecond  // changes come in swarms: all nodes tell theirs at the same time
	commentEvery = 15 * time.Second
	takesWithin  = 10 * time.Second // a reader who does not is cut off
	graphLimit   = 200              // parties in a streamed graph
	resumePoints = 300
)

// topics are what a stream can tell.
func topics() []string {
	return []string{"overview", "nodes", "shards", "types", "graph", "events", "object"}
}

// tab is one stream. All that it remembers is what it has told: what is new is made when
// it can be sent, so that a slow reader misses states and costs no memory.
type tab struct {
	inspector *Inspector
	out       *http.ResponseController
	w         http.ResponseWriter
	topics    []string
	interest  model.Interest
	types     string
	resumed   bool

	now     model.Versions // what there is to tell
	told    model.Versions
	objects uint64                   // the version of the graph at which the object was last told
	sent    map[string]time.Duration // when a topic was last told
	once    map[string]bool          // topics that were told whole
	last    map[string][]byte        // what was told of topics that are told when they changed, by their sums
}

// stream serves one stream of events.
func (i *Inspector) stream(w http.ResponseWriter, r *http.Request) {
	t, err := i.newTab(w, r)
	if err != nil {
		f := asFault(err)
		refuse(w, f.status, f.code, f.message)
		return
	}
	if i.streams.Add(1) > maxStreams {
		i.streams.Add(-1)
		refuse(w, http.StatusTooManyRequests, "ResourceExhausted", fmt.Sprintf("%d streams are open, as many as there may be", maxStreams))
		return
	}
	defer i.streams.Add(-1)
	release, err := i.model.Hold(t.interest)
	if err != nil {
		f := asFault(err)
		refuse(w, f.status, f.code, f.message)
		return
	}
	defer release()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	t.run(r)
}

// newTab reads what a stream is to tell.
func (i *Inspector) newTab(w http.ResponseWriter, r *http.Request) (*tab, error) {
	q := r.URL.Query()
	t := &tab{
		inspector: i, w: w, out: http.NewResponseController(w), types: q.Get("types"),
		sent: make(map[string]time.Duration), once: make(map[string]bool), last: make(map[string][]byte),
	}
	known := topics()
	for _, name := range strings.FieldsFunc(q.Get("topics"), func(r rune) bool { return r == ',' }) {
		if !slices.Contains(known, name) {
			return nil, invalid("there is no such topic")
		}
		if !slices.Contains(t.topics, name) {
			t.topics = append(t.topics, name)
		}
	}
	if len(t.topics) == 0 {
		t.topics = []string{"overview"}
	}
	var err error
	if t.interest, err = interestOf(q); err != nil {
		return nil, err
	}
	if slices.Contains(t.topics, "object") && t.interest.Focus == "" {
		return nil, invalid("topic object needs focus")
	}
	instance, seq, _ := strings.Cut(r.Header.Get("Last-Event-ID"), "-")
	if n, err := strconv.ParseUint(seq, 10, 64); err == nil && instance == i.instance && n <= i.model.Versions().Newest() {
		t.resumed, t.told.Points, t.told.Events = true, n, n
	}
	t.now = i.model.Versions()
	return t, nil
}

// run tells what happens until the reader has gone.
func (t *tab) run(r *http.Request) {
	i := t.inspector
	if !t.send("hello", i.meta()) {
		return
	}
	comment := i.cfg.Clock.Monotonic() + commentEvery
	for {
		changed := i.model.Changed()
		due, ok := t.tell()
		if !ok {
			return
		}
		now := i.cfg.Clock.Monotonic()
		if now >= comment {
			if !t.write([]byte(": still here\n\n")) {
				return
			}
			comment = now + commentEvery
		}
		wait := comment - now
		if due > 0 {
			wait, changed = min(wait, due), nil
		}
		if !t.rest(r, changed, wait) {
			return
		}
	}
}

// rest waits for a change and for what comes with it, at most for so long. False: the stream is over.
func (t *tab) rest(r *http.Request, changed <-chan struct{}, wait time.Duration) bool {
	timer := t.inspector.cfg.Clock.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-changed:
			changed = nil
			timer.Reset(swarmPause)
		case <-timer.C:
			return true
		case <-t.inspector.stopping:
			return false
		case <-r.Context().Done():
			return false
		}
	}
}

// tell tells what is new of each topic. due is after how long some topic may be told again
// that has something new; 0: none has.
func (t *tab) tell() (due time.Duration, ok bool) {
	v := t.inspector.model.Versions()
	t.now = v
	for _, topic := range t.topics {
		if !t.news(topic, v) {
			continue
		}
		now := t.inspector.cfg.Clock.Monotonic()
		if at, before := t.sent[topic]; before && now-at < topicPause {
			rest := topicPause - (now - at)
			if due == 0 || rest < due {
				due = rest
			}
			continue
		}
		if !t.topic(topic, v) {
			return 0, false
		}
		t.sent[topic], t.once[topic] = now, true
	}
	return due, true
}

// news says whether a topic has something new.
func (t *tab) news(topic string, v model.Versions) bool {
	if !t.once[topic] {
		return true
	}
	switch topic {
	case "overview":
		return v.Points > t.told.Points || v.State > t.told.State
	case "nodes":
		return v.Nodes > t.told.Nodes
	case "shards":
		return v.Shards > t.told.Shards
	case "types":
		return v.Types > t.told.Types
	case "events":
		return v.Events > t.told.Events
	case "graph":
		return v.Graph > t.told.Graph
	default: // "object"
		return v.Graph > t.objects
	}
}

// topic tells what is new of a topic; false: the reader has gone.
func (t *tab) topic(topic string, v model.Versions) bool {
	m := t.inspector.model
	switch topic {
	case "overview":
		return t.overview(v)
	case "nodes":
		t.told.Nodes = v.Nodes
		return t.whole(topic, "nodes", v.Nodes, func() any { return m.Nodes() })
	case "types":
		t.told.Types = v.Types
		return t.whole(topic, "types", v.Types, func() any { return m.Types() })
	case "shards":
		since := t.told.Shards
		t.told.Shards = v.Shards
		if !t.once[topic] {
			return t.whole(topic, "shards", v.Shards, func() any { return m.Shards() })
		}
		return t.send(topic, m.ShardsSince(since))
	case "events":
		list := m.Events(model.EventFilter{Since: t.told.Events, Limit: maxPage})
		t.told.Events = max(list.Next, v.Events)
		return t.send(topic, list)
	case "graph":
		t.told.Graph = v.Graph
		key := fmt.Sprintf("graph %q %q %t %q", t.types, t.interest.Types, t.interest.Objects, t.interest.Focus)
		return t.whole(topic, key, v.Graph, func() any { return m.Graph(t.interest, t.types, graphLimit) })
	default: // "object"
		t.objects = v.Graph
		return t.whole(topic, "object "+t.interest.Focus, v.Graph, func() any {
			detail, _ := m.Focused(t.interest.Focus)
			return detail
		})
	}
}

// overview tells the whole at first, then the points; where the state has changed, that too.
func (t *tab) overview(v model.Versions) bool {
	m := t.inspector.model
	first, resumed := !t.once["overview"], t.resumed
	state := first || v.State > t.told.State
	since := t.told.Points
	t.told.State = v.State
	switch {
	case first && !resumed:
		t.told.Points = v.Points
		return t.whole("overview", "overview", max(v.Points, v.State), func() any { return m.Overview(true) })
	case state && !t.send("overview", m.Overview(false)):
		return false
	}
	points := m.Points(since)
	for _, p := range points[max(len(points)-resumePoints, 0):] {
		t.told.Points = p.Rev
		if !t.send("overview", p) {
			return false
		}
	}
	t.told.Points = max(t.told.Points, v.Points)
	return true
}

// whole tells all of a topic, if it is not what was told last. Who else tells the same
// shares it.
func (t *tab) whole(topic, key string, version uint64, build func() any) bool {
	text := t.inspector.frames.get(key, version, build)
	if text == nil || bytes.Equal(text, t.last[topic]) {
		return true
	}
	t.last[topic] = text
	return t.message(topic, text)
}

// send tells something as JSON.
func (t *tab) send(topic string, v any) bool {
	text, err := json.Marshal(v)
	return err == nil && t.message(topic, text)
}

// message sends an event; its id says up to where points and events have been told.
func (t *tab) message(topic string, text []byte) bool {
	var b bytes.Buffer
	b.Grow(len(text) + 64)
	fmt.Fprintf(&b, "event: %s\nid: %s-%d\ndata: ", topic, t.inspector.instance, t.seq())
	b.Write(text)
	b.WriteString("\n\n")
	return t.write(b.Bytes())
}

// seq is up to where all points and events have been told, as far as the stream tells them.
func (t *tab) seq() uint64 {
	all := t.now.Newest()
	if slices.Contains(t.topics, "overview") && t.told.Points < t.now.Points {
		all = min(all, t.told.Points)
	}
	if slices.Contains(t.topics, "events") && t.told.Events < t.now.Events {
		all = min(all, t.told.Events)
	}
	return all
}

func (t *tab) write(b []byte) bool {
	if err := t.out.SetWriteDeadline(time.Now().Add(takesWithin)); err != nil { //nolint:forbidigo // the connection's clock is the real one
		return false
	}
	if _, err := t.w.Write(b); err != nil {
		return false
	}
	return t.out.Flush() == nil
}

// frames keeps what was last made of each topic, for all streams that tell it.
type frames struct {
	mu   sync.Mutex // guards the field below, and is held while one is made
	made map[string]frame
}

type frame struct {
	version uint64
	text    []byte
}

// maxFrames bounds what is kept.
const maxFrames = 64

// get is the JSON of what build makes at a version, or of a later one.
func (f *frames) get(key string, version uint64, build func() any) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.made[key]; ok && old.version >= version {
		return old.text
	}
	text, err := json.Marshal(build())
	if err != nil {
		return nil
	}
	if f.made == nil || len(f.made) >= maxFrames {
		f.made = make(map[string]frame)
	}
	f.made[key] = frame{version, text}
	return text
}
