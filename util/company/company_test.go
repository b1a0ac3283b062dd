package company_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
)

// sender notes how it was told to look.
type sender struct{ looks []bool }

func (s *sender) Look(late bool) { s.looks = append(s.looks, late) }

func (s *sender) want(t *testing.T, what string, looks ...bool) {
	t.Helper()
	if !slices.Equal(s.looks, looks) {
		t.Errorf("%s: it was told to look %v, want %v", what, s.looks, looks)
	}
	s.looks = nil
}

// pass lets time pass.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in a synctest bubble

// Senders wait for the last of those who are expected, and for nobody else.
func TestSendersWaitForTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := company.New(clock.System())
		var one, other sender
		if c.Wait(&one) {
			t.Error("it waits for nobody")
		}
		for range 3 {
			c.Expect(3)
			c.Came()
			if !c.Wait(&one) || !c.Wait(&other) || c.Expected() != 2 {
				t.Errorf("a sender does not wait for the %d who are expected, want 2", c.Expected())
			}
			c.Came()
			one.want(t, "one has come", []bool{}...)
			c.Came()
			one.want(t, "all have come", false)
			other.want(t, "all have come", false)
			if c.Wait(&one) {
				t.Error("it waits for those who have come")
			}
		}
		c.Expect(1)
		c.Came()
		one.want(t, "nobody waited", []bool{}...)
	})
}

// Who comes late tells all who wait that they have waited for long enough, as does who is expected late.
func TestNobodyWaitsForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := company.New(clock.System())
		var one, other sender
		pass(1) // at 0 nobody waits
		for _, late := range []func(){c.Came, func() { c.Expect(1) }} {
			c.Expect(3)
			c.Wait(&one)
			pass(company.Patience - 1)
			c.Came()
			c.Wait(&other)
			one.want(t, "too early", []bool{}...)
			pass(1)
			late()
			one.want(t, "late", true)
			other.want(t, "late", true)
			for c.Expected() > 0 {
				c.Came()
			}
			one.want(t, "waiting no more", []bool{}...)
		}
	})
}

// Who has been expected for long is waited for no more, until others are.
func TestWhoDoesNotComeIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := company.New(clock.System())
		var one sender
		pass(1)
		for range 2 {
			c.Expect(1)
			pass(company.Patience - 1)
			if !c.Wait(&one) {
				t.Error("it does not wait for who was expected just now")
			}
			pass(1)
			if c.Expect(0); c.Wait(&one) {
				t.Error("it waits for who has been expected for long")
			}
		}
		c.Came()
		one.want(t, "one has come, who is late", true, true)
	})
}

// However many have something to send, those that one has to tell are few. The others do not wait.
func TestFewSendersWait(t *testing.T) {
	t.Parallel()
	c := company.New(clock.System())
	c.Expect(1)
	senders, waiting := make([]sender, 1000), 0
	for i := range senders {
		if c.Wait(&senders[i]) {
			waiting++
		}
	}
	c.Came()
	told := 0
	for i := range senders {
		told += len(senders[i].looks)
	}
	if waiting < 10 || waiting > 100 || told != waiting {
		t.Errorf("%d wait, %d were told", waiting, told)
	}
}

// queue is a sender that waits for its Look, as long as that takes.
type queue struct{ wake chan bool }

func (q *queue) Look(late bool) { q.wake <- late }

// Whoever waits is told, however those who come and those who wait meet.
func TestNoSenderIsForgotten(t *testing.T) {
	t.Parallel()
	for range 20_000 {
		c := company.New(clock.System())
		c.Expect(2)
		var all sync.WaitGroup
		for range 2 {
			all.Go(c.Came)
		}
		for range 2 {
			all.Go(func() {
				q := &queue{make(chan bool, 1)}
				if !c.Wait(q) {
					return
				}
				select {
				case <-q.wake:
				case <-time.After(30 * time.Second):
					t.Error("nobody tells a sender")
				}
			})
		}
		if all.Wait(); t.Failed() {
			return
		}
	}
}
