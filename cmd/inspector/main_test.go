package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// said is what a program writes, while it runs.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer  // guarded by mu
	more chan struct{} // holds a token when there is more
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Wrong flags are told in words with the flag's name, before anything is done, with exit code 2.
func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  []string
		token string
		says  string
	}{
		{[]string{"-listen", "8080"}, "", `-listen: "8080" is not host:port`},
		{[]string{"-listen", "localhost"}, "", `-listen: "localhost" is not host:port`},
		{[]string{"-listen", "localhost:web-page"}, "", `-listen: "localhost:web-page" has no port`},
		{[]string{"-listen", "localhost:70000"}, "", `-listen: "localhost:70000" has no port`},
		{[]string{"-etcd", ""}, "", `-etcd: "" is not host:port`},
		{[]string{"-etcd", "localhost"}, "", `-etcd: "localhost" is not host:port`},
		{[]string{"-etcd", "localhost:1,,localhost:2"}, "", `-etcd: "" is not host:port`},
		{[]string{"-etcd", "localhost:1, localhost:x"}, "", `-etcd: "localhost:x" has no port`},
		{[]string{"-etcd", "ftp://localhost:1"}, "", `-etcd: "ftp://localhost:1" is not host:port`},
		{[]string{"-etcd", ":2379"}, "", `-etcd: ":2379" is not host:port`},
		{[]string{"-cluster", ""}, "", `-cluster: "" is not a name`},
		{[]string{"-cluster", "a/b"}, "", `-cluster: "a/b" is not a name`},
		{[]string{"extra"}, "", "unexpected argument: extra"},
		{[]string{"-nothing"}, "", "-nothing"},
		{nil, "short", "GOVERSE_INSPECTOR_TOKEN: it has 5 bytes, at least 16 are needed"},
	} {
		stderr := &said{more: make(chan struct{}, 1)}
		if code := run(t.Context(), c.args, c.token, stderr); code != exitUsage || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q: exit code %d, %s", c.args, code, stderr)
		}
	}
	help := &said{more: make(chan struct{}, 1)}
	if code := run(t.Context(), []string{"-h"}, "", help); code != exitOK || !strings.Contains(help.String(), "-listen") {
		t.Errorf("-h: exit code %d, %s", code, help)
	}
}

// A port that is taken is told in one line, with exit code 1.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	stderr := &said{more: make(chan struct{}, 1)}
	code := run(t.Context(), []string{"-listen", taken.Addr().String()}, "", stderr)
	if text := stderr.String(); code != exitFailed || !strings.HasPrefix(text, "inspector: listen on "+taken.Addr().String()) || strings.Count(text, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, text)
	}
}

// running is an inspector that has said where it is.
type running struct {
	*testing.T

	said *said
	port string
	stop func() int
}

var where = regexp.MustCompile(`(?m)^inspector: http://\S+:(\d+) shows cluster "(\S+)"`)

func start(t *testing.T, token string, args ...string) *running {
	t.Helper()
	r := &running{T: t, said: &said{more: make(chan struct{}, 1)}}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, token, r.said) }()
	r.stop = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() { r.stop() })
	for {
		if found := where.FindStringSubmatch(r.said.String()); found != nil {
			r.port = found[1]
			return r
		}
		select {
		case <-r.said.more:
		case c := <-code:
			t.Fatalf("exit code %d: %s", c, r.said)
		}
	}
}

// meta asks for what the inspector is, at an address of this machine.
func (r *running) meta(host, token string) (int, string) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, fmt.Sprintf("http://%s/api/meta", net.JoinHostPort(host, r.port)), nil)
	if err != nil {
		r.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// It starts without a cluster and without an etcd, by name, shows the page's API to this machine without a token, and stops
// with 0.
func TestStartsAlone(t *testing.T) {
	t.Parallel()
	r := start(t, "", "-listen", "localhost:0", "-etcd", "localhost:1, http://localhost:2/", "-cluster", "mine")
	if code, body := r.meta("localhost", ""); code != http.StatusOK || !strings.Contains(body, `"cluster":"mine","etcd":["localhost:1","http://localhost:2/"],"actions":false,"auth":false`) {
		t.Errorf("%d %s", code, body)
	}
	if code := r.stop(); code != exitOK || strings.Count(r.said.String(), "\n") != 1 {
		t.Errorf("exit code %d, %s", code, r.said)
	}
}

// Where other machines could come a token is demanded: the one that was given, else one that is made up and told.
func TestOtherMachinesNeedTheToken(t *testing.T) {
	t.Parallel()
	given := start(t, "sixteen-bytes-or", "-listen", "0.0.0.0:0", "-etcd", "localhost:1")
	made := start(t, "", "-listen", ":0", "-etcd", "localhost:1")
	told := regexp.MustCompile(`token (\S{26,}) \(set GOVERSE_INSPECTOR_TOKEN`).FindStringSubmatch(made.said.String())
	if told == nil || strings.Contains(given.said.String(), "sixteen-bytes-or") {
		t.Fatalf("one says %s, the other %s", made.said, given.said)
	}
	for _, c := range []struct {
		r     *running
		token string
		code  int
	}{
		{given, "", 401}, {given, "sixteen-bytes-of", 401}, {given, "sixteen-bytes-or", 200}, {made, "", 401}, {made, told[1], 200},
	} {
		if code, body := c.r.meta("127.0.0.1", c.token); code != c.code {
			t.Errorf("with %q: %d %s", c.token, code, body)
		}
	}
}
