package journal_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/journal"
	inspectmsg "github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func event(text string) *inspectmsg.Event { return &inspectmsg.Event{Kind: "join", Text: text} }

func TestEventsAreNumberedTimedAndKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := journal.New(clock.Virtual())
		if events, next := j.Since(0); len(events) != 0 || next != 0 {
			t.Fatalf("an empty journal has %d events, next %d", len(events), next)
		}
		began := time.Now().UnixMicro()
		j.Add(nil)
		j.Add(event("one"))
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		j.Add(event("two"))
		j.Add(&inspectmsg.Event{AtUs: 7, Text: "long ago"})
		events, next := j.Since(0)
		if len(events) != 3 || next != 3 {
			t.Fatalf("%d events, next %d, want 3 and 3", len(events), next)
		}
		for i, want := range []int64{began, began + 1e6, 7} {
			if e := events[i]; e.GetSeq() != uint64(i+1) || e.GetAtUs() != want {
				t.Errorf("event %d has seq %d at %d, want at %d", i, e.GetSeq(), e.GetAtUs(), want)
			}
		}
		events[1].Text = "changed by its reader"
		if events, next := j.Since(1); len(events) != 2 || next != 3 || events[0].GetText() != "two" {
			t.Errorf("since 1: %v, next %d", events, next)
		}
		if events, _ := j.Since(3); len(events) != 0 {
			t.Errorf("since the last: %v", events)
		}
		if events, _ := j.Since(99); len(events) != 3 {
			t.Errorf("since one that was not given out: %d events, want all", len(events))
		}
	})
}

func TestOldEventsGo(t *testing.T) {
	t.Parallel()
	j := journal.New(clock.System())
	const all = 2*journal.Kept + 7
	for range all {
		j.Add(event("x"))
	}
	events, next := j.Since(0)
	if len(events) != journal.Kept || next != all {
		t.Fatalf("%d events, next %d, want %d and %d", len(events), next, journal.Kept, all)
	}
	for i, e := range events {
		if want := uint64(all - journal.Kept + i + 1); e.GetSeq() != want {
			t.Fatalf("event %d has seq %d, want %d", i, e.GetSeq(), want)
		}
	}
	if events, _ := j.Since(all - 3); len(events) != 3 || events[0].GetSeq() != all-2 {
		t.Errorf("the last three are %v", events)
	}
}

func TestTextsAreBoundedAndValid(t *testing.T) {
	t.Parallel()
	j := journal.New(clock.System())
	long := strings.Repeat("ü", journal.MaxStack)
	j.Add(&inspectmsg.Event{Text: "x" + long, Stack: long, Object: "\xff", Method: long})
	events, _ := j.Since(0)
	e := events[0]
	for what, s := range map[string]string{"text": e.GetText(), "stack": e.GetStack(), "object": e.GetObject(), "method": e.GetMethod()} {
		if !utf8.ValidString(s) || len(s) > journal.MaxStack+4 {
			t.Errorf("%s has %d bytes, valid: %v", what, len(s), utf8.ValidString(s))
		}
	}
	if len(e.GetText()) > journal.MaxText+4 || !strings.HasSuffix(e.GetText(), "…") {
		t.Errorf("the text has %d bytes and ends in %q", len(e.GetText()), e.GetText()[len(e.GetText())-4:])
	}
}

// A reader that waits as it is told misses nothing of what many add.
func TestReadersMissNothing(t *testing.T) {
	t.Parallel()
	j := journal.New(clock.System())
	const writers, each = 4, journal.Kept / 4
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				j.Add(event("x"))
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			var seen, next uint64
			for seen < writers*each {
				changed := j.Changed()
				var events []*inspectmsg.Event
				events, next = j.Since(next)
				for _, e := range events {
					if seen++; e.GetSeq() != seen {
						t.Errorf("event %d after %d", e.GetSeq(), seen-1)
						return
					}
				}
				if len(events) == 0 {
					<-changed
				}
			}
		})
	}
	wg.Wait()
}
