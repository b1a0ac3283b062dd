package inspector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

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
	b, kept := t.inspector.buffers.Get().(*bytes.Buffer)
	if !kept {
		b = new(bytes.Buffer)
	}
	defer t.inspector.buffers.Put(b)
	b.Reset()
	b.Grow(len(text) + 128) // all of it at once
	fmt.Fprintf(b, "event: %s\nid: %s-%d\ndata: ", topic, t.inspector.instance, t.seq())
	b.Write(text)
	b.WriteString("\n\n")
	if heavy(topic) && t.once[topic] {
		t.pace.told(b.Len(), t.inspector.cfg.Clock.Monotonic())
	}
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
