package node

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// The bounds of an event's parts, in bytes.
const (
	maxStack = 8 << 10
	maxText  = 1 << 10
)

// tell makes an event of what a turn did. Of too many it leaves some out, and says how many
// with the next.
func (n *Node) tell(t *turn, kind, level, text, stack string) {
	n.tellOf(&inspectmsg.Event{Kind: kind, Level: level, Text: text, Object: t.id(), Method: t.what(), Shard: t.act.shardNumber(), Stack: stack})
}

func (n *Node) tellOf(e *inspectmsg.Event) {
	if n.cfg.Event == nil {
		return
	}
	leftOut, ok := n.pace.allows(n.elapsed())
	if !ok {
		return
	}
	if leftOut > 0 {
		e.Text = fmt.Sprintf("%s (%d events of turns before it were left out)", clip(e.GetText(), maxText-60), leftOut)
	}
	e.Text = clip(e.GetText(), maxText)
	n.cfg.Event(e)
}

// tellPanic makes an event of a panic, and keeps the stack for the lens, if there is one.
func (n *Node) tellPanic(t *turn, what string, reason any, stack []byte) {
	text := clip(string(stack), maxStack)
	if n.lens.Load() != nil {
		t.extra().stack = text
	}
	if reason != nil {
		what += ": " + fmt.Sprint(reason)
	}
	n.tell(t, "panic", "error", what, text)
}

// tellSlow makes an event of a turn that has run for long, once for a turn: at its end, or before where somebody looks.
func (n *Node) tellSlow(s *sample, now time.Duration) {
	ran := (now - s.began).Round(time.Millisecond)
	text := fmt.Sprintf("%s ran for %v", s.method.name(), ran)
	if !s.over {
		text = fmt.Sprintf("%s has run for %v, and has not ended", s.method.name(), ran)
	}
	n.tellOf(&inspectmsg.Event{Kind: "slow", Level: "warning", Text: text, Object: s.object, Method: s.method.name(), Shard: s.shard})
}

// tellOverload makes an event of a full queue, seldom for one object.
func (n *Node) tellOverload(t *turn, text string) {
	if n.cfg.Event != nil && n.overloads.allows(t.id(), n.elapsed()) {
		n.tell(t, "overloaded", "warning", text, "")
	}
}

// clip cuts a text to so many bytes, between runes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return strings.Clone(text[:most])
}

// seldom lets something through once in a while for each object.
type seldom struct {
	mu   sync.Mutex
	last map[string]time.Duration // guarded by mu
}

const (
	seldomEvery = 10 * time.Second
	seldomMost  = 1000 // objects; for more nothing is let through
)

func (s *seldom) allows(id string, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, there := s.last[id]; there && now-at < seldomEvery {
		return false
	}
	if len(s.last) >= seldomMost {
		for other, at := range s.last {
			if now-at >= seldomEvery {
				delete(s.last, other)
			}
		}
		if len(s.last) >= seldomMost {
			return false
		}
	}
	if s.last == nil {
		s.last = make(map[string]time.Duration)
	}
	s.last[id] = now
	return true
}

// codeName is a code's name as inspectors show it, "NotFound".
func codeName(c object.Code) string {
	var name strings.Builder
	for part := range strings.SplitSeq(c.String(), "_") {
		if part != "" {
			name.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return name.String()
}

// pace lets through so many events of turns, that they cannot push all others out of a
// journal: a burst, and then one each half second.
type pace struct {
	mu      sync.Mutex
	until   time.Duration // guarded by mu: what was let through is paid for until then
	leftOut int           // guarded by mu
}

const (
	paceBurst = 100
	paceEvery = 500 * time.Millisecond
)

// allows reports whether one may pass, and how many may not have since the last.
func (p *pace) allows(now time.Duration) (leftOut int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = max(p.until, now) + paceEvery
	if p.until > now+paceBurst*paceEvery {
		p.until -= paceEvery
		p.leftOut++
		return 0, false
	}
	leftOut, p.leftOut = p.leftOut, 0
	return leftOut, true
}
