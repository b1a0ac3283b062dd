package goverseclient

import (
	"testing"
	"testing/synctest"
	"time"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/util/company"
)

// Calls wait for the callers who have just been told their replies, but not in a crowd, nor for long, nor over a new
// stream, nor where the client closes.
func TestCallsWaitForCompany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s session
		s.init(0)
		s.id = "id"
		l := new(leg)
		connect := func() {
			t.Helper()
			if err := s.connect(l, &client_pb.SessionWelcome{Resumed: true, ClientId: "id", CallsReceived: s.last}); err != nil {
				t.Fatal(err)
			}
		}
		connect()
		messages := make(chan int, 100) // how many calls each has
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for before := uint64(0); ; {
				to, _, last := s.next()
				if to == nil {
					return
				}
				s.mu.Lock()
				messages <- int(s.last - before)
				before = s.last
				s.mu.Unlock()
				if last {
					return
				}
			}
		}()
		want := func(what string, calls ...int) {
			t.Helper()
			synctest.Wait()
			for _, n := range calls {
				select {
				case got := <-messages:
					if got != n {
						t.Errorf("%s: a message of %d calls, want %d", what, got, n)
					}
				default:
					t.Errorf("%s: no message, want one of %d calls", what, n)
				}
			}
			if len(messages) > 0 {
				t.Errorf("%s: a message of %d calls, want none", what, <-messages)
			}
		}
		ask := func(n int) (one *call) {
			t.Helper()
			for range n {
				one = &call{done: make(chan struct{}, 1)}
				if err := s.ask(one); err != nil {
					t.Fatal(err)
				}
			}
			return one
		}
		ask(1)
		want("nobody is expected", 1)
		for range 3 {
			s.company.Expect(2)
			ask(1)
			want("two are expected")
			s.company.Came()
			ask(1)
			want("one is expected")
			s.company.Came()
			want("all have come", 2)
		}

		s.company.Expect(1)
		ask(company.Crowd - 1)
		want("less than a crowd")
		ask(1)
		want("a crowd", company.Crowd)
		s.company.Came()

		s.company.Expect(2)
		ask(1)
		want("two are expected again")
		time.Sleep(company.Patience + 1) //nolint:forbidigo // in a synctest bubble
		s.company.Came()
		want("late", 1)
		s.company.Came()

		for _, comes := range []func(){s.company.Came, func() {}} {
			s.company.Expect(1)
			one := ask(1)
			want("one is expected, who leaves")
			s.leave(one)
			comes()
			want("who was expected has left")
			ask(1)
			if s.company.Expected() == 0 {
				want("after one that left", 1)
			}
		}
		s.company.Came()
		want("after another one that left", 1)

		for range 500 { // it leaves while the writer looks, or is sent
			s.company.Expect(1)
			one := ask(1)
			synctest.Wait()
			s.company.Came()
			s.leave(one)
			synctest.Wait()
			for len(messages) > 0 {
				<-messages
			}
			ask(1)
			want("after one that left at the last moment", 1)
		}

		s.company.Expect(1)
		ask(1)
		want("one is expected again")
		s.disconnect(l)
		s.company.Came()
		want("there is no stream")
		connect()
		want("there is another stream", 1)

		s.company.Expect(1)
		ask(1)
		want("one is expected for the last time")
		s.close()
		want("the client closes", 0) // its calls have failed
		<-ended
		s.company.Came()
	})
}

// Whoever has got a reply is expected until it runs; who left before is not.
func TestWhoHasAReplyIsExpected(t *testing.T) {
	t.Parallel()
	var s session
	s.init(0)
	if err := s.connect(new(leg), &client_pb.SessionWelcome{ClientId: "id"}); err != nil {
		t.Fatal(err)
	}
	calls := []*call{{done: make(chan struct{}, 1)}, {done: make(chan struct{}, 1)}}
	for _, c := range calls {
		if err := s.ask(c); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	s.message()
	s.mu.Unlock()
	s.leave(calls[0])
	if err := s.take(&response{replies: []reply{{call: 1, ok: true}, {call: 2, ok: true}, {call: 7}}}); err == nil {
		t.Error("the answer to a call that was not made is none")
	}
	if n := s.company.Expected(); n != 1 || calls[0].expected || !calls[1].expected || len(calls[1].done) != 1 {
		t.Errorf("%d are expected, who has left: %v, who has not: %v", n, calls[0].expected, calls[1].expected)
	}
}
