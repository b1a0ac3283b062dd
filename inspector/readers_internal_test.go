package inspector

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/guard"
	"github.com/xiaonanln/goverse/util/clock"
)

// pipes is a listener in memory: what waits at its connections does so in virtual time.
type pipes struct {
	in     chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.in:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial is a connection whose other end the inspector serves.
func (p *pipes) dial() net.Conn {
	mine, theirs := net.Pipe()
	p.in <- theirs
	return mine
}

// served has an inspector serve connections in memory, in virtual time, of a cluster in which nothing happens but that
// time passes, if it does.
func served(t *testing.T, f func(i *Inspector, p *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		i := New(Config{Address: "localhost:80", Clock: clock.Virtual(), Logger: slog.New(slog.DiscardHandler)})
		i.guard = guard.New(guard.Config{Address: i.cfg.Address, Refuse: refuse, Clock: i.cfg.Clock})
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- i.serve(ctx, p) }()
		f(i, p)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

const askStream = "GET /api/stream?topics=overview,nodes HTTP/1.1\r\nHost: localhost\r\n\r\n"

func (s *shares) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// A reader that stops reading is cut off after ten seconds, and nobody else notices.
func TestWhoStopsReadingIsCutOff(t *testing.T) {
	t.Parallel()
	served(t, func(i *Inspector, p *pipes) {
		i.model.Place(cluster.View{UUID: "u", Revision: 1, Members: []cluster.MemberInfo{{Incarnation: "a", Address: "a:1"}}, Shards: []cluster.ShardInfo{{Owner: "a"}}})
		lazy, keen := p.dial(), p.dial()
		for _, c := range []net.Conn{lazy, keen} {
			if _, err := io.WriteString(c, askStream); err != nil {
				t.Fatal(err)
			}
		}
		var points atomic.Int64
		read := make(chan struct{})
		go func() {
			defer close(read)
			for lines := bufio.NewScanner(keen); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), `data: {"t":`) {
					points.Add(1)
				}
			}
		}()
		synctest.Wait()
		for second := range 30 {
			want := 1
			if second < 10 { // what it was first told has not been taken for so long
				want = 2
			}
			if n := i.streams.count(); n != want {
				t.Errorf("after %d s there are %d streams", second, n)
			}
			if n := int(points.Load()); n != second {
				t.Errorf("after %d s the other has been told %d points", second, n)
			}
			i.model.Tick()
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			synctest.Wait()
		}
		_ = keen.Close()
		<-read
		_ = lazy.Close()
		i.model.Tick() // who tells notices
		synctest.Wait()
		if n := i.streams.count(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

// Where nothing happens, a comment every 15 s shows that the stream lives.
func TestCommentKeepsAStreamAlive(t *testing.T) {
	t.Parallel()
	served(t, func(_ *Inspector, p *pipes) {
		c := p.dial()
		if _, err := io.WriteString(c, askStream); err != nil {
			t.Fatal(err)
		}
		begun, came := time.Now(), []time.Duration{}
		for lines := bufio.NewScanner(c); len(came) < 4 && lines.Scan(); {
			if strings.HasPrefix(lines.Text(), ":") {
				came = append(came, time.Since(begun))
			}
		}
		if fmt.Sprint(came) != "[15s 30s 45s 1m0s]" {
			t.Errorf("comments came after %v", came)
		}
		_ = c.Close()
		synctest.Wait()
	})
}

// One address cannot take all streams: others still get in, until there are too many in all; who leaves makes room.
func TestStreamsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := New(Config{Clock: clock.Virtual(), Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		open := func(from string) int {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/stream", nil)
			r.RemoteAddr = from
			w, ended := httptest.NewRecorder(), make(chan struct{})
			go func() {
				defer close(ended)
				i.stream(&recorded{w}, r)
			}()
			synctest.Wait()
			select {
			case <-ended:
				return w.Code
			default:
				return http.StatusOK
			}
		}
		got := map[string]int{}
		for n := range 1000 {
			if open(fmt.Sprintf("10.0.0.1:%d", n+1)) == http.StatusOK {
				got["one"]++
			}
		}
		for n := range 40 {
			if open(fmt.Sprintf("10.0.1.%d:1", n)) == http.StatusOK {
				got["others"]++
			}
		}
		if got["one"] != 224 || got["others"] != 32 {
			t.Errorf("%v streams", got)
		}
		cancel()
		synctest.Wait()
		if i.streams.all != 0 || len(i.streams.of) != 0 {
			t.Errorf("%d streams are left, of %d addresses", i.streams.all, len(i.streams.of))
		}
	})
}

// recorded is a recorder that takes deadlines.
type recorded struct{ *httptest.ResponseRecorder }

func (*recorded) SetWriteDeadline(time.Time) error { return nil }
