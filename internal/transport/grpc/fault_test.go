package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
)

func TestCutConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	p := newProxy(t, w.callee.Peer().Address)
	link := w.through(p)
	w.works("before", link)
	for range 3 {
		blocked := w.begin(w.ctx, link, call("Block"))
		comes(w, "the call", w.ran.began)
		p.cut()
		w.fails("a call under way", comes(w, "its end", blocked), transport.ErrBroken, object.ExecutedUnknown)
		if err := comes(w, "the end of its context", w.ran.ended); !errors.Is(err, transport.ErrBroken) {
			t.Errorf("the cause of its context's end is %v, want ErrBroken", err)
		}
		w.soon("the link to work again", func() bool {
			_, err := link.Call(w.ctx, call("Echo"))
			return err == nil
		})
	}
	w.works("the other link", w.link)
}

// A link on which nothing comes, though the connection stands, is broken by both sides, whichever way is dead.
func TestHalfOpenConnection(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]struct{ there, back bool }{
		"both": {true, true}, "requests": {true, false}, "replies": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, grpc.Config{Keepalive: brief}, grpc.Config{Keepalive: brief})
			p := newProxy(t, w.callee.Peer().Address)
			link := w.through(p)
			blocked := w.begin(w.ctx, link, call("Block"))
			comes(w, "the call", w.ran.began)
			p.stall(way.there, way.back)
			w.fails("a call under way", comes(w, "its end", blocked), transport.ErrBroken, object.ExecutedUnknown)
			if err := comes(w, "the end of its context", w.ran.ended); !errors.Is(err, transport.ErrBroken) {
				t.Errorf("the cause of its context's end is %v, want ErrBroken", err)
			}
			if way.there && way.back {
				_, err := link.Call(w.ctx, call("Echo"))
				w.fails("a call into silence", err, transport.ErrUnreachable, object.ExecutedNo)
			}
			p.stall(false, false)
			w.soon("the link to work again", func() bool {
				_, err := link.Call(w.ctx, call("Echo"))
				return err == nil
			})
			w.works("the other link", w.link)
		})
	}
}

// Pings keep an idle link, whatever its two sides think of silence, and a busy one that gets no answers.
func TestPingsKeepALink(t *testing.T) {
	t.Parallel()
	const silence = 5 * brief // so long no side of a busy machine's stands still
	for name, keepalive := range map[string][2]time.Duration{
		"alike": {silence, silence}, "patient callee": {silence, time.Hour}, "patient caller": {time.Hour, silence},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, grpc.Config{Keepalive: keepalive[0]}, grpc.Config{Keepalive: keepalive[1]})
			ctx, cancel := context.WithTimeout(w.ctx, 4*silence)
			defer cancel()
			leaving, leave := context.WithCancel(w.ctx)
			defer leave()
			blocked := w.begin(leaving, w.link, call("Block"))
			for err := error(nil); err == nil; {
				err = w.link.Send(ctx, call("Echo"))
				select {
				case <-time.After(brief / 20):
				case <-ctx.Done():
				}
			}
			leave()
			w.fails("a call on a link without replies", comes(w, "its end", blocked), context.Canceled, object.ExecutedUnknown)
			w.works("afterwards", w.link)
		})
	}
}

// Whoever is told that a call has not run is told the truth, though the bytes went on to wait in queues everywhere.
func TestCallsThatWereNotSent(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 2000, "large": 3 * grpc.Alone} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, grpc.Config{}, grpc.Config{})
			p := newProxy(t, w.callee.Peer().Address)
			link := w.through(p)
			w.works("before", link)
			p.stall(true, false)
			const calls = 3000
			told := w.flood(link, calls, size)
			p.stall(false, false)
			w.works("afterwards", link)
			no, unknown := 0, 0
			for id, executed := range told {
				switch executed {
				case object.ExecutedNo:
					no++
					if w.ran.count(id) != 0 {
						t.Errorf("call %s has run: its caller was told that it had not", id)
					}
				case object.ExecutedUnknown:
					unknown++
				case object.ExecutedYes:
					t.Errorf("call %s has got a reply", id)
				}
				if n := w.ran.count(id); n > 1 {
					t.Errorf("call %s has run %d times", id, n)
				}
			}
			if no == 0 || unknown == 0 {
				t.Errorf("the test has proved nothing: %d calls not executed, %d unknown", no, unknown)
			}
			if s := grpc.StateOf(link); s.Queued != 0 || s.Flights != 0 {
				t.Errorf("the link holds on to %+v", s)
			}
		})
	}
}

// full waits until a stalled link can take no more, and has sent something after its first message.
func (w *world) full(link transport.Link) {
	w.t.Helper()
	w.soon("the queue to be full", func() bool {
		s := grpc.StateOf(link)
		return (s.Full || s.Queued >= 1<<20) && s.Handed > 1
	})
}

// flood makes calls that are all cancelled when those of them that fit into the queues have been sent.
func (w *world) flood(link transport.Link, calls, size int) map[transport.CallID]object.Execution {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var mu sync.Mutex
	told := map[transport.CallID]object.Execution{}
	var working sync.WaitGroup
	for range calls {
		working.Go(func() {
			c := call("Echo", make([]byte, size)...)
			_, err := link.Call(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			told[c.CallID] = object.Executed(err)
		})
	}
	w.full(link)
	cancel()
	working.Wait()
	return told
}

// When a connection breaks, the calls that were never handed over are known not to have run.
func TestCallsQueuedOnABrokenLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{QueueBytes: 64 << 20}, grpc.Config{})
	p := newProxy(t, w.callee.Peer().Address)
	link := w.through(p)
	w.works("before", link)
	p.stall(true, false)
	const calls = 3000 // of which gRPC and the kernel cannot take all
	ends := make(chan error, calls)
	for range calls {
		go func() {
			_, err := link.Call(w.ctx, call("Block", make([]byte, 4000)...))
			ends <- err
		}()
	}
	w.full(link)
	w.soon("all calls to be under way", func() bool { return grpc.StateOf(link).Flights == calls })
	link.Close()
	no, unknown := 0, 0
	for range calls {
		err := comes(w, "the end of a call", ends)
		w.fails("a queued call", err, transport.ErrClosed, object.Executed(err))
		switch object.Executed(err) {
		case object.ExecutedNo:
			no++
		case object.ExecutedUnknown:
			unknown++
		default:
			t.Errorf("a call has ended with %v", err)
		}
	}
	if no == 0 || unknown == 0 {
		t.Errorf("%d calls not executed, %d unknown, want some of each", no, unknown)
	}
}

// A full queue lets go of those who have no more time.
func TestWaitingForRoomEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{QueueBytes: 64 << 10}, grpc.Config{})
	p := newProxy(t, w.callee.Peer().Address)
	link := w.through(p)
	w.works("before", link)
	p.stall(true, false)
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var working sync.WaitGroup
	for range 40 {
		working.Go(func() {
			for ctx.Err() == nil {
				_ = link.Send(ctx, call("Echo", make([]byte, 15000)...))
			}
		})
	}
	w.soon("the queue to be full", func() bool { return grpc.Full(link) })
	short, stop := context.WithTimeout(w.ctx, 20*time.Millisecond)
	defer stop()
	_, err := link.Call(short, call("Echo"))
	for errors.Is(err, context.DeadlineExceeded) && object.Executed(err) == object.ExecutedUnknown { // got in between
		_, err = link.Call(short, call("Echo"))
	}
	w.fails("Call without room", err, context.DeadlineExceeded, object.ExecutedNo)
	w.fails("Send without room", link.Send(short, call("Echo")), context.DeadlineExceeded, object.ExecutedNo)
	if n := grpc.StateOf(link).Queued; n > 128<<10 {
		t.Errorf("%d bytes are queued, want not much more than 64 KiB", n)
	}
	cancel()
	working.Wait()
	p.stall(false, false)
	w.works("afterwards", link)
}

// clog sends over a stalled link until it takes no more, which a machine with too much to do may seem to do sooner.
func (w *world) clog(link transport.Link) {
	w.t.Helper()
	for stuck, handed := 0, 0; stuck < 5 && w.ctx.Err() == nil; {
		short, stop := context.WithTimeout(w.ctx, 20*time.Millisecond)
		err := link.Send(short, call("Echo", make([]byte, 15000)...))
		stop()
		s := grpc.StateOf(link)
		if err == nil || !s.Full || s.Handed != handed {
			stuck, handed = 0, s.Handed
			continue
		}
		stuck++
	}
}

// Those who wait for room when the connection breaks have sent nothing, so they go on over the next one.
func TestWaitingForRoomOutlivesAConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{QueueBytes: 64 << 10}, grpc.Config{})
	p := newProxy(t, w.callee.Peer().Address)
	link := w.through(p)
	w.works("before", link)
	p.stall(true, false)
	w.clog(link)
	var waiting []<-chan error
	for range 20 {
		waiting = append(waiting, w.begin(w.ctx, link, call("Echo")))
	}
	runtime.Gosched()
	p.cut()
	p.stall(false, false)
	for _, c := range waiting {
		if err := comes(w, "the end of a call", c); err != nil {
			t.Errorf("a call that waited for room: %v, executed=%v", err, object.Executed(err))
		}
	}
}

func TestBoundOfCallsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{MaxCalls: 3}, grpc.Config{})
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var blocked []<-chan error
	for range 3 {
		blocked = append(blocked, w.begin(ctx, w.link, call("Block")))
		comes(w, "the call", w.ran.began)
	}
	short, stop := context.WithTimeout(w.ctx, 10*time.Millisecond)
	defer stop()
	late := call("Echo")
	_, err := w.link.Call(short, late)
	w.fails("one call too many", err, context.DeadlineExceeded, object.ExecutedNo)
	if err := w.link.Send(w.ctx, call("Echo")); err != nil {
		t.Errorf("a one-way call needs no room for a reply: %v", err)
	}
	waiting := w.begin(w.ctx, w.link, call("Echo"))
	cancel()
	for _, b := range blocked {
		w.fails("a cancelled call", comes(w, "its end", b), context.Canceled, object.ExecutedUnknown)
	}
	if err := comes(w, "the end of a call that waited", waiting); err != nil {
		t.Errorf("a call that has waited for room: %v", err)
	}
	if w.ran.count(late.CallID) != 0 {
		t.Error("a call that did not find room has run")
	}
}

// Nobody waits for gRPC's own idea of when to connect again.
func TestUnreachablePeer(t *testing.T) {
	t.Parallel()
	dials := 0
	w := newWorld(t, grpc.Config{Dial: func(ctx context.Context, address string) (net.Conn, error) {
		dials++
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}}, grpc.Config{})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lis.Close()
	to := peer(lis.Addr().String())
	link := w.caller.Dial(to)
	calls := 0
	w.soon("some attempts", func() bool {
		calls++
		_, err := link.Call(w.ctx, call("Echo"))
		w.fails("nobody listens", err, transport.ErrUnreachable, object.ExecutedNo)
		if wait := grpc.Backoff(link); wait > 100*time.Millisecond {
			t.Fatalf("the link does not try again for %v", wait)
		}
		return dials == 8
	})
	if dials == calls {
		t.Errorf("each of %d calls has tried to connect", calls)
	}
	w.listen(grpc.Config{}, to, newRecord())
	w.soon("the link to find the peer", func() bool {
		_, err := link.Call(w.ctx, call("Echo"))
		return err == nil
	})
}

// However connecting fails, it is the peer that is not reached, and not the call's time that is over.
func TestReasonsNotToConnect(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func(ctx context.Context, address string) (net.Conn, error){
		"too slow": func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"timeout": func(context.Context, string) (net.Conn, error) { return nil, os.ErrDeadlineExceeded },
		"given up": func(context.Context, string) (net.Conn, error) {
			return nil, fmt.Errorf("dial: %w", context.Canceled)
		},
		"gone": func(ctx context.Context, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err == nil {
				c.Close()
			}
			return c, err
		},
	} {
		w := newWorld(t, grpc.Config{Keepalive: brief, Dial: dial}, grpc.Config{})
		_, err := w.link.Call(w.ctx, call("Echo"))
		w.fails(name, err, transport.ErrUnreachable, object.ExecutedNo)
	}
}

// Many calls at once make one attempt, and all get its outcome.
func TestOneAttemptForAll(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	dials, let := 0, make(chan struct{})
	w := newWorld(t, grpc.Config{Dial: func(ctx context.Context, address string) (net.Conn, error) {
		mu.Lock()
		dials++
		mu.Unlock()
		select {
		case <-let:
		case <-ctx.Done():
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}}, grpc.Config{})
	var waiting []<-chan error
	for range 50 {
		waiting = append(waiting, w.begin(w.ctx, w.link, call("Echo")))
	}
	short, cancel := context.WithTimeout(w.ctx, 10*time.Millisecond)
	defer cancel()
	_, err := w.link.Call(short, call("Echo"))
	w.fails("a call with little time", err, context.DeadlineExceeded, object.ExecutedNo)
	close(let)
	for _, c := range waiting {
		if err := comes(w, "the end of a call", c); err != nil {
			t.Errorf("a call that waited for the connection: %v", err)
		}
	}
	if dials != 1 {
		t.Errorf("%d attempts were made, want 1", dials)
	}
	other := w.caller.Dial(w.callee.Peer())
	let = make(chan struct{})
	stuck := w.begin(w.ctx, other, call("Echo"))
	w.soon("the attempt", func() bool { mu.Lock(); defer mu.Unlock(); return dials == 2 })
	other.Close()
	w.fails("a call on a link that is closed while it connects", comes(w, "its end", stuck), transport.ErrClosed, object.ExecutedNo)
}
