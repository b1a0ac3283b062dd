package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
)

// A writer waits for those who are expected on any connection of the process, but not with a crowd, nor for long, nor
// where the session ends.
func TestRepliesWaitForCompany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		others := company.New(clock.System())
		s := NewService(Config{Clock: clock.System(), Company: others})
		talk := s.newResumable()
		l := &leg{service: s, talk: talk}
		talk.leg = l
		l.users.Store(1)
		reply := func() {
			talk.mu.Lock()
			defer talk.mu.Unlock()
			appendAnswer(&talk.replies, talk.replies.appended+1, object.Reply{}, 100)
			if talk.writerLocked() != nil && l.writing {
				l.users.Add(-1)
			}
		}
		var waited time.Duration
		waits := func() func() bool {
			over := make(chan struct{})
			begun := time.Now()
			go func() {
				defer close(over)
				l.awaitCompany()
				waited = time.Since(begun)
			}()
			return func() bool {
				synctest.Wait()
				select {
				case <-over:
					return false
				default:
					return true
				}
			}
		}
		sent := func() {
			talk.mu.Lock()
			defer talk.mu.Unlock()
			for talk.replies.take() != nil {
			}
			talk.replies.ack(talk.replies.appended)
		}
		others.Expect(1)
		if waits()() {
			t.Error("nothing waits")
		}
		others.Came()
		reply()
		if waits()() {
			t.Error("a reply waits for nobody")
		}
		for range 3 {
			others.Expect(2)
			still := waits()
			others.Came()
			if !still() {
				t.Error("a reply does not wait for the second who is expected")
			}
			if others.Came(); still() {
				t.Error("a reply waits when all have come")
			}
		}

		others.Expect(1)
		still := waits()
		for range company.Crowd - 1 {
			if !still() {
				t.Fatal("less than a crowd does not wait")
			}
			reply()
		}
		if still() {
			t.Error("a crowd waits")
		}
		if waits()() {
			t.Error("a crowd begins to wait")
		}
		others.Came()
		sent()
		reply()

		others.Expect(1)
		still = waits()
		for range 5 { // others are expected whenever some have come
			time.Sleep(company.Patience / 4) //nolint:forbidigo // in a synctest bubble
			others.Came()
			others.Expect(1)
		}
		if still() || waited > company.Patience {
			t.Errorf("a reply waits for %v", waited)
		}

		talk.session.end(ending{object.DisconnectStopping, nil, true})
		if waits()() {
			t.Error("a reply waits where the session ends")
		}
		others.Came()
	})
}
