package client_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
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
)

// The rpc whose headers are too large is refused; the connection and its client live.
func TestHeadersAreLimited(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit     uint32
		fits, not int
	}{
		{0, client.DefaultHeaderBytes - 1024, client.DefaultHeaderBytes + 1024},
		{4 << 10, 3 << 10, 5 << 10},
	} {
		f := start(t, withLimits(client.Limits{HeaderBytes: c.limit}))
		r := f.dialRaw()
		r.register()
		large := func(bytes int) (fields []hpack.HeaderField) {
			for range bytes / 1024 {
				fields = append(fields, hpack.HeaderField{Name: "x-large", Value: strings.Repeat("a", 1024-len("x-large")-32)}) // as HTTP/2 counts
			}
			return fields
		}
		stream := r.begin(large(c.fits)...)
		r.ask(stream, "Echo", "fits")
		if got := r.reply(stream); got != "fits" {
			t.Errorf("limit %d: %d bytes of headers are answered with %q", c.limit, c.fits, got)
		}
		stream = r.begin(large(c.not)...)
		r.ask(stream, "Echo", "too large")
		if got := r.end(stream); got != http2.ErrCodeFrameSize.String() {
			t.Errorf("limit %d: %d bytes of headers end with %s", c.limit, c.not, got)
		}
		if got := r.reply(r.call("Echo", "after")); got != "after" {
			t.Errorf("limit %d: the next call is answered with %q", c.limit, got)
		}
	}
}

// goodbye reads until the connection ends, and returns what the server said, and when.
func (r *rawConn) goodbye() (code http2.ErrCode, why string, when time.Time) {
	r.t.Helper()
	for when.IsZero() {
		frame, err := r.fr.ReadFrame()
		r.must(err)
		if bye, ok := frame.(*http2.GoAwayFrame); ok {
			code, why, when = bye.ErrCode, string(bye.DebugData()), time.Now()
		}
	}
	if _, err := io.Copy(io.Discard, r.conn); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		r.t.Errorf("the connection ends with %v", err)
	}
	return code, why, when
}

// A connection without any rpc is closed after Limits.Idle; one with a client is not.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	for limit, want := range map[time.Duration]time.Duration{0: client.DefaultIdle, time.Minute: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, inMemory, withLimits(client.Limits{Idle: limit, Ping: 24 * time.Hour}))
			busy, idle := f.dialRaw(), f.dialRaw()
			busy.register()
			began := time.Now()
			code, why, when := idle.goodbye()
			if code != http2.ErrCodeNo || when.Sub(began) != want {
				t.Errorf("limit %v: %v %q after %v, want it after %v", limit, code, why, when.Sub(began), want)
			}
			time.Sleep(2 * want) //nolint:forbidigo // virtual time
			if got := busy.reply(busy.call("Echo", "here")); got != "here" {
				t.Errorf("limit %v: the client is answered with %q", limit, got)
			}
		})
	}
}

// A negative limit keeps connections for ever.
func TestIdleConnectionsMayStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, inMemory, withLimits(client.Limits{Idle: -1, Ping: 24 * time.Hour})).dialRaw()
		time.Sleep(10 * client.DefaultIdle) //nolint:forbidigo // virtual time
		r.register()
	})
}

// Who pings more often than Limits.MinPing allows is sent away; who keeps to it is not,
// without any rpc as well.
func TestClientsThatPingTooOften(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit, every time.Duration
		gone         bool
	}{
		{0, client.DefaultMinPing - time.Second, true},
		{0, client.DefaultMinPing + time.Second, false},
		{time.Minute, 30 * time.Second, true},
		{time.Second, 2 * time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, inMemory, withLimits(client.Limits{MinPing: c.limit, Ping: 24 * time.Hour, Idle: -1})).dialRaw()
			for range 10 {
				time.Sleep(c.every) //nolint:forbidigo // virtual time
				if r.fr.WritePing(false, [8]byte{}) != nil {
					break // it is closed
				}
				synctest.Wait()
			}
			if !c.gone {
				r.register()
				return
			}
			if code, why, _ := r.goodbye(); code != http2.ErrCodeEnhanceYourCalm || why != "too_many_pings" {
				t.Errorf("limit %v, a ping every %v: %v %q", c.limit, c.every, code, why)
			}
		})
	}
}

// Limits.MessageBytes holds for requests, replies and pushes alike.
func TestMessagesAreLimited(t *testing.T) {
	t.Parallel()
	const overhead = 256 // of what is around the text
	for _, limit := range []int{1 << 20, 6 << 20} {
		f := start(t, withLimits(client.Limits{MessageBytes: limit}))
		f.node.methods["Large"] = func(_ context.Context, _, size string) (string, error) {
			n, err := strconv.Atoi(size)
			return strings.Repeat("y", n), err
		}
		f.node.methods["Length"] = func(_ context.Context, _, text string) (string, error) {
			return strconv.Itoa(len(text)), nil
		}
		p := f.register(f.dial(f.addr, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(2*limit))))
		for bytes, fits := range map[int]bool{limit - overhead: true, limit + 1: false} {
			_, err := p.call(t.Context(), "Length", wrapperspb.String(strings.Repeat("x", bytes)))
			if got := status.Code(err); (got == codes.OK) != fits || !fits && got != codes.ResourceExhausted {
				t.Errorf("limit %d: a request of %d bytes: %v", limit, bytes, got)
			}
			_, err = p.call(t.Context(), "Large", wrapperspb.String(strconv.Itoa(bytes)))
			if got := status.Code(err); (got == codes.OK) != fits || !fits && got != codes.ResourceExhausted {
				t.Errorf("limit %d: a reply of %d bytes: %v", limit, bytes, got)
			}
			if err := f.svc.Push(t.Context(), p.object, wrapperspb.String(strings.Repeat("z", bytes))); (err == nil) != fits {
				t.Errorf("limit %d: a push of %d bytes: %v", limit, bytes, err)
			}
		}
	}
}
