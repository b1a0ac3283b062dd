package client_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

var unary = &grpc.StreamDesc{}

// send begins a Call and sends its request, without waiting for the reply.
func send(ctx context.Context, t *testing.T, conn *grpc.ClientConn, request any, opts ...grpc.CallOption) grpc.ClientStream {
	t.Helper()
	str, err := conn.NewStream(ctx, unary, client_pb.ClientService_Call_FullMethodName, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := str.SendMsg(request); err != nil {
		t.Fatal(err)
	}
	return str
}

func (p *peer) request(method, word string) *client_pb.CallRequest {
	return &client_pb.CallRequest{ClientId: p.id, Method: method, Request: pack(p.t, wrapperspb.String(word))}
}

func numbers(n int) (words []string) {
	for i := range n {
		words = append(words, strconv.Itoa(i))
	}
	return words
}

func differ(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: number %d is %q, want %q", what, i, got[i], want[i])
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d, want %d", what, len(got), len(want))
	}
}

// Calls that are all in flight at the same time.
func TestCallsInFlightKeepTheirOrder(t *testing.T) {
	t.Parallel()
	f := start(t)
	for i := range 4 {
		p, conn := &peer{}, f.dial(f.addr)
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			p = f.register(conn)
			const calls, rounds = 200, 5
			for round := range rounds {
				var streams []grpc.ClientStream
				for i := range calls {
					streams = append(streams, send(t.Context(), t, conn, p.request("Echo", strconv.Itoa(round*calls+i))))
				}
				for i, str := range streams {
					var out client_pb.CallResponse
					if err := str.RecvMsg(&out); err != nil || text(t, out.GetResponse()) != strconv.Itoa(round*calls+i) {
						t.Errorf("call %d: %v, %v", i, &out, err)
					}
				}
			}
			differ(t, "calls", f.node.order(p.object, "Echo"), numbers(calls*rounds))
		})
	}
}

// Two clients of one connection share its line, and calls that come to nothing are in
// nobody's way.
func TestOrderAmongBadCalls(t *testing.T) {
	t.Parallel()
	f := start(t)
	conn := f.dial(f.addr)
	peers := []*peer{f.register(conn), f.register(conn)}
	const calls = 60 // of 240 rpcs
	var good, bad []grpc.ClientStream
	var wantBad []codes.Code
	for i := range calls {
		p := peers[i%2]
		good = append(good, send(t.Context(), t, conn, p.request("Echo", strconv.Itoa(i))))
		stranger := p.request("Echo", "stranger")
		stranger.ClientId = "nobody"
		bad = append(bad, send(t.Context(), t, conn, stranger))
		wantBad = append(wantBad, codes.Unauthenticated)
		damaged := append(field(nil, 1, p.id), 0x1a, 0x7f)
		bad = append(bad, send(t.Context(), t, conn, damaged, grpc.ForceCodecV2(rawCodec{})))
		wantBad = append(wantBad, codes.InvalidArgument)
		ctx, cancel := context.WithCancel(t.Context())
		bad = append(bad, send(ctx, t, conn, p.request("Who", "cancelled")))
		wantBad = append(wantBad, codes.Canceled)
		cancel()
	}
	for i, str := range good {
		var out client_pb.CallResponse
		if err := str.RecvMsg(&out); err != nil || text(t, out.GetResponse()) != strconv.Itoa(i) {
			t.Errorf("call %d: %v, %v", i, &out, err)
		}
	}
	for i, str := range bad {
		var reply any = new([]byte)
		if wantBad[i] == codes.Canceled { // it has the usual codec, and may be answered before
			reply = new(client_pb.CallResponse)
		}
		err := str.RecvMsg(reply)
		if code := status.Code(err); code != wantBad[i] && (wantBad[i] != codes.Canceled || code != codes.OK) {
			t.Errorf("bad call %d: %v", i, err)
		}
	}
	differ(t, "calls of both", f.node.order("", "Echo"), numbers(calls))
}

// Whatever comes first of the requests: the headers say the order.
func TestHeadersGiveThePlaces(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{MinPing: time.Nanosecond, Body: time.Hour}))
	r := f.dialRaw()
	r.register()
	const calls = 100
	var streams []uint32
	for range calls {
		streams = append(streams, r.begin())
	}
	for i, str := range slices.Backward(streams) {
		r.ask(str, "Echo", strconv.Itoa(i))
		r.settle()
	}
	for i, str := range streams {
		if got := r.reply(str); got != strconv.Itoa(i) {
			t.Errorf("call %d was answered %q", i, got)
		}
	}
	differ(t, "calls", f.node.order(r.object, "Echo"), numbers(calls))
}

// inBubble runs a test on a server whose time is virtual, with a client that has
// begun a Call of which it has sent nothing but the headers.
func inBubble(t *testing.T, limits client.Limits, extra []hpack.HeaderField, test func(f *fixture, r *rawConn, stalled uint32)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := start(t, inMemory, withLimits(limits))
		r := f.dialRaw()
		r.register()
		test(f, r, r.begin(extra...))
	})
}

// A request that does not come holds up those behind it for as long as Limits.Body,
// all of them together, and then has no order any more.
func TestRequestThatDoesNotCome(t *testing.T) {
	t.Parallel()
	inBubble(t, client.Limits{}, nil, func(f *fixture, r *rawConn, stalled uint32) {
		t := f.t
		begin := time.Now()
		alsoStalled := r.begin()
		calls := []uint32{r.call("Echo", "0"), r.begin(), r.call("Echo", "1")}
		synctest.Wait()
		if got := f.node.order(r.object, "Echo"); len(got) != 0 {
			t.Errorf("%v went ahead", got)
		}
		for _, i := range []int{0, 2} {
			r.reply(calls[i])
		}
		if got := time.Since(begin); got != client.DefaultBody {
			t.Errorf("the calls behind waited for %v, want %v", got, client.DefaultBody)
		}
		r.ask(alsoStalled, "Echo", "2")
		r.reply(alsoStalled)
		late := r.begin() // those that come late hold up nobody, nor are they held up
		r.ask(stalled, "Echo", "3")
		r.reply(stalled)
		r.ask(late, "Echo", "4")
		r.reply(late)
		if got := time.Since(begin); got != client.DefaultBody {
			t.Errorf("the rest took until %v", got)
		}
		r.reply(r.call("Echo", "5")) // stalled: calls[1], which was begun before
		if got := time.Since(begin); got > 2*client.DefaultBody {
			t.Errorf("the rest took until %v", got)
		}
		differ(t, "calls", f.node.order(r.object, "Echo"), numbers(6))
	})
}

// However a Call ends whose request has not come: those behind it go on at once.
func TestRPCsThatEndBeforeTheirRequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end    func(r *rawConn, stalled uint32)
		extra  []hpack.HeaderField
		status string // of the Call
		after  time.Duration
	}{
		"reset":          {end: func(r *rawConn, s uint32) { r.must(r.fr.WriteRSTStream(s, http2.ErrCodeCancel)) }},
		"no request":     {end: func(r *rawConn, s uint32) { r.must(r.fr.WriteData(s, true, nil)) }, status: "13"},
		"half a request": {end: func(r *rawConn, s uint32) { r.must(r.fr.WriteData(s, true, []byte{0, 0, 0, 0, 9, 1})) }, status: "13"},
		"too large":      {end: func(r *rawConn, s uint32) { r.must(r.fr.WriteData(s, false, []byte{0, 0xff, 0, 0, 0})) }, status: "8"},
		"compressed":     {end: func(r *rawConn, s uint32) { r.must(r.fr.WriteData(s, true, []byte{1, 0, 0, 0, 1, 1})) }, status: "13"},
		"two requests":   {end: func(r *rawConn, s uint32) { r.must(r.fr.WriteData(s, false, make([]byte, 1<<14))) }, status: "13"},
		"not a request":  {end: func(r *rawConn, s uint32) { r.must(r.fr.WriteData(s, true, []byte{0, 0, 0, 0, 1, 0xff})) }, status: "16"},
		"its deadline": {
			end: func(*rawConn, uint32) {}, extra: []hpack.HeaderField{{Name: "grpc-timeout", Value: "2S"}}, after: 2 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, client.Limits{Body: 20 * time.Second}, test.extra, func(f *fixture, r *rawConn, stalled uint32) {
				t := f.t
				begin := time.Now()
				waits, alsoWaits := r.call("Echo", "0"), r.call("Echo", "1")
				synctest.Wait()
				if got := f.node.order(r.object, "Echo"); len(got) != 0 {
					t.Errorf("%v went ahead", got)
				}
				test.end(r, stalled)
				r.reply(waits)
				r.reply(alsoWaits)
				if got := time.Since(begin); got != test.after {
					t.Errorf("the calls behind waited for %v, want %v", got, test.after)
				}
				if test.status != "" {
					if got := r.end(stalled); got != test.status {
						t.Errorf("status %s, want %s", got, test.status)
					}
				}
				differ(t, "calls", f.node.order(r.object, "Echo"), numbers(2))
			})
		})
	}
}

// An rpc that ended before somebody came to wait for it is not waited for.
func TestRPCsThatHaveEnded(t *testing.T) {
	t.Parallel()
	inBubble(t, client.Limits{}, nil, func(f *fixture, r *rawConn, stalled uint32) {
		t := f.t
		begin := time.Now()
		for range 1000 {
			r.must(r.fr.WriteRSTStream(stalled, http2.ErrCodeCancel))
			stalled = r.begin()
		}
		r.must(r.fr.WriteRSTStream(stalled, http2.ErrCodeCancel))
		r.reply(r.call("Echo", ""))
		if got := time.Since(begin); got != 0 {
			t.Errorf("waited for %v", got)
		}
	})
}

// Rpcs that gRPC refuses have no place; those that wait, and their calls, are bounded
// by Limits.Streams like all others.
func TestLineIsBoundedByStreams(t *testing.T) {
	t.Parallel()
	inBubble(t, client.Limits{Streams: 4, Body: 20 * time.Second}, nil, func(f *fixture, r *rawConn, stalled uint32) {
		t := f.t
		begin := time.Now()
		a, b := r.call("Echo", "0"), r.call("Echo", "1") // beside Register and the stalled
		for range 10 {
			if got := r.end(r.begin()); got != http2.ErrCodeRefusedStream.String() {
				t.Errorf("one too many ended with %s", got)
			}
		}
		r.must(r.fr.WriteRSTStream(stalled, http2.ErrCodeCancel))
		r.reply(a)
		r.reply(b)
		r.reply(r.call("Echo", "2"))
		if got := time.Since(begin); got != 0 {
			t.Errorf("waited for %v", got)
		}
		differ(t, "calls", f.node.order(r.object, "Echo"), numbers(3))
	})
}

// A call that waits ends like any other, and never runs: by itself, with its client,
// with its connection.
func TestCallsThatEndInTheLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end    func(f *fixture, r *rawConn, waits uint32)
		status string // "": nobody is there to hear it
	}{
		"cancelled":  {func(_ *fixture, r *rawConn, waits uint32) { r.must(r.fr.WriteRSTStream(waits, http2.ErrCodeCancel)) }, ""},
		"hung up":    {func(_ *fixture, r *rawConn, _ uint32) { r.must(r.fr.WriteRSTStream(1, http2.ErrCodeCancel)) }, "1"},
		"kicked":     {func(f *fixture, r *rawConn, _ uint32) { r.must(f.svc.Kick(context.Background(), r.object)) }, "1"},
		"connection": {func(_ *fixture, r *rawConn, _ uint32) { r.conn.Close() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, client.Limits{Body: 20 * time.Second}, nil, func(f *fixture, r *rawConn, stalled uint32) {
				t := f.t
				begin := time.Now()
				waits, other := r.call("Echo", "waits"), f.dialRaw()
				other.register()
				synctest.Wait()
				test.end(f, r, waits)
				if test.status != "" {
					if got := r.end(waits); got != test.status {
						t.Errorf("the call that waited ended with %s, want %s", got, test.status)
					}
				}
				synctest.Wait()
				if got := time.Since(begin); got != 0 {
					t.Errorf("took %v", got)
				}
				if name == "cancelled" { // whose place is free
					r.ask(stalled, "Echo", "0")
					r.reply(stalled)
					r.reply(r.call("Echo", "1"))
					differ(t, "calls", f.node.order(r.object, "Echo"), numbers(2))
				} else {
					f.node.awaitLeft(r.object)
					differ(t, "calls", f.node.order(r.object, "Echo"), nil)
				}
				other.reply(other.call("Echo", ""))
			})
		})
	}
}

// A stop lets the calls that wait in a line finish: their requests came before it.
func TestStopWaitsForTheLine(t *testing.T) {
	t.Parallel()
	inBubble(t, client.Limits{}, nil, func(f *fixture, r *rawConn, stalled uint32) {
		t := f.t
		begin := time.Now()
		waits := r.call("Echo", "waits")
		synctest.Wait()
		stopped := make(chan error)
		go func() { stopped <- f.svc.Stop(t.Context()) }()
		r.reply(waits)
		if err := <-stopped; err != nil || time.Since(begin) != client.DefaultBody {
			t.Errorf("stopped after %v: %v", time.Since(begin), err)
		}
		r.ask(stalled, "Echo", "late")
		if got := r.end(stalled); got != "14" {
			t.Errorf("what came after the stop ended with %s", got)
		}
	})
}

// A node that panics loses that call alone.
func TestAcceptPanics(t *testing.T) {
	t.Parallel()
	f := start(t)
	r := f.dialRaw()
	r.register()
	f.node.onAccept = func(req object.Request) {
		if bytes.Contains(req.Body, []byte("boom")) {
			f.node.enter(req.ID, -1)
			panic("boom")
		}
	}
	first := r.begin()
	var behind []uint32
	for i := range 10 {
		behind = append(behind, r.call("Echo", fmt.Sprint(i)))
	}
	r.ask(first, "Echo", "boom")
	if got := r.end(first); got != "13" {
		t.Errorf("the call ended with %s", got)
	}
	for _, str := range behind {
		r.reply(str)
	}
	differ(t, "calls", f.node.order(r.object, "Echo")[1:], numbers(10))
}

// A call waits for the places of those ahead of it, not for their replies.
func TestRunningCallsHoldUpNobody(t *testing.T) {
	t.Parallel()
	f := start(t)
	block, running, release := blocking()
	defer release()
	f.node.methods["Block"] = block
	r := f.dialRaw()
	r.register()
	blocked := r.call("Block", "")
	<-running
	if got := r.reply(r.call("Echo", "beside it")); got != "beside it" {
		t.Errorf("got %q", got)
	}
	release()
	r.reply(blocked)
}
