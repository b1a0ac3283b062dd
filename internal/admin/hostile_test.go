package admin_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/admin"
)

func TestOnlyProgramsOfThisMachineAreAnswered(t *testing.T) {
	t.Parallel()
	f := start(t)
	for host, want := range map[string]int{
		"localhost": http.StatusOK, "LOCALHOST:1": http.StatusOK, "127.0.0.1:9": http.StatusOK, "127.9.9.9": http.StatusOK,
		"[::1]": http.StatusOK, "[::1]:80": http.StatusOK,
		"evil.example": http.StatusMisdirectedRequest, "localhost.evil.example:80": http.StatusMisdirectedRequest,
		"10.0.0.1": http.StatusMisdirectedRequest, "0.0.0.0": http.StatusMisdirectedRequest, "127.0.0.1.evil.example": http.StatusMisdirectedRequest,
		"[::]": http.StatusMisdirectedRequest, "localhost:1:2": http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/"} {
			res := f.ask(t, http.MethodGet, path, func(r *http.Request) { r.Host = host })
			wantStatus(t, host+path, res, want)
		}
	}
	for site, want := range map[string]int{
		"none": http.StatusOK, "same-origin": http.StatusOK, "same-site": http.StatusForbidden, "cross-site": http.StatusForbidden,
	} {
		res := f.ask(t, http.MethodGet, "/debug/pprof/heap", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", site) })
		wantStatus(t, "from "+site, res, want)
	}
}

func TestOnlyReading(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace, "BREW"} {
		for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/symbol", "/"} {
			res := f.ask(t, method, path)
			wantStatus(t, method+path, res, http.StatusMethodNotAllowed)
			if res.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: allowed is %q", method, res.header.Get("Allow"))
			}
		}
	}
	res := f.ask(t, http.MethodGet, "/metrics", func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1
	})
	wantStatus(t, "a body", res, http.StatusBadRequest)
}

// speak sends bytes on a connection of its own.
func (f *fixture) speak(t *testing.T, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(waiting)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// heard reads one answer.
func heard(conn net.Conn) (status int, err error) {
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// A huge header is refused, or its connection broken: the answer can be lost with what
// nobody has read.
func TestHugeHeader(t *testing.T) {
	t.Parallel()
	f := start(t)
	conn := f.speak(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Big: ")
	_, _ = io.WriteString(conn, strings.Repeat("x", 2*admin.MaxHeader)+"\r\n\r\n")
	status, err := heard(conn)
	if err == nil && status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", status)
	}
	if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // as net returns it
		t.Errorf("it is left waiting: %v", err)
	}
}

// Connections whose other side does not go on are closed: before the header is complete,
// and while a body is missing that was refused.
func TestSlowAskers(t *testing.T) {
	t.Parallel()
	f := start(t)
	for what, text := range map[string]string{
		"half a header": "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
		"nothing":       "",
		"half a body":   "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf",
		"no host":       "GET /healthz HTTP/1.0\r\n\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			conn := f.speak(t, text)
			if _, err := io.Copy(io.Discard, conn); err != nil {
				if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // as net returns it
					t.Errorf("it is not closed: %v", err)
				}
			}
		})
	}
}

// Who holds all connections holds up others until one is closed, and no stop.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	f := start(t)
	held := make([]net.Conn, admin.MaxConnections)
	for i := range held {
		held[i] = f.speak(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := heard(held[i]); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	late := f.speak(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answered := make(chan error, 1)
	go func() {
		_, err := heard(late)
		answered <- err
	}()
	// The others are served still, one after the other; the late one is not meanwhile.
	for i, conn := range held {
		fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := heard(conn); err != nil {
			t.Fatalf("connection %d again: %v", i, err)
		}
	}
	select {
	case err := <-answered:
		t.Fatalf("the one too many is answered: %v", err)
	default:
	}
	held[0].Close()
	if err := <-answered; err != nil {
		t.Errorf("after another has gone: %v", err)
	}
	f.stop()
}
