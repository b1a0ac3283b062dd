package inspector

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/inspector/internal/model"
)

// The bounds of streams.
const (
	topicPause    = 400 * time.Millisecond // at least, between two messages of a topic: less than nodes take, to keep step with them
	swarmPause    = 50 * time.Millisecond  // changes come in swarms: all nodes tell theirs at the same time
	commentEvery  = 15 * time.Second
	answersWithin = 2 * time.Second  // a node that is asked for an object, or it is taken to hang
	takesWithin   = 10 * time.Second // a reader who does not is cut off
	graphLimit    = 200              // parties in a streamed graph
	resumePoints  = 300
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
	release   func()         // lets the interest go
	refused   *model.Refusal // why it has none; nil: it has
	types     string
	changes   bool // topic types tells only what has changed
	resumed   bool
	begun     time.Duration

	now     model.Versions // what there is to tell
	told    model.Versions
	objects uint64 // the version of the graph at which the object was last told
	pace    pace
	known   typesTold
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
	leave, err := i.streams.take(r.RemoteAddr)
	if err != nil {
		f := asFault(err)
		refuse(w, f.status, f.code, f.message)
		return
	}
	defer leave()
	defer t.hold()()
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
		known: make(typesTold), sent: make(map[string]time.Duration), once: make(map[string]bool), last: make(map[string][]byte),
	}
	known := topics()
	for _, name := range list(q.Get("topics")) {
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
	if t.changes, err = flag(q, "changes"); err != nil {
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
	t.begun = i.cfg.Clock.Monotonic()
	comment := t.begun + commentEvery
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
		if !t.pause(r, changed, wait) {
			return
		}
	}
}

// pause waits for a change and for what comes with it, at most for so long. False: the stream is over.
func (t *tab) pause(r *http.Request, changed <-chan struct{}, wait time.Duration) bool {
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
