package inspector

import (
	"bytes"
	"encoding/json"

	"github.com/xiaonanln/goverse/inspector/internal/model"
)

// hold takes what the stream is interested in, or takes note of why it cannot: the other topics are told all the same. What
// it returns lets it go.
func (t *tab) hold() (release func()) {
	t.again()
	return func() { t.release() }
}

// again takes what the stream is interested in, if it has it not: what others watched may have been let go.
func (t *tab) again() {
	if t.release != nil && t.refused == nil {
		return
	}
	release, err := t.inspector.model.Hold(t.interest)
	t.release, t.refused = release, nil
	if err != nil {
		f := asFault(err)
		t.refused = &model.Refusal{Code: f.code, Message: f.message}
	}
}

// closely tells a topic for which something is watched more closely, or why it is not.
func (t *tab) closely(topic, key string, version uint64, build func() any, refusal func(*model.Refusal) any) bool {
	if t.again(); t.refused == nil {
		return t.whole(topic, key, version, build)
	}
	text, err := json.Marshal(refusal(t.refused))
	if err != nil || bytes.Equal(text, t.last[topic]) {
		return err == nil
	}
	t.last[topic] = text
	return t.message(topic, text)
}
