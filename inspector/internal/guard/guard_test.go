package guard_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/inspector/internal/guard"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-of-the-test"

// guarded is a guard with nothing behind it.
type guarded struct {
	*guard.Guard
	http.Handler
}

func newGuard(address, token string) guarded {
	g := guard.New(guard.Config{Address: address, Hosts: []string{"Also.example"}, Token: token, Clock: clock.Virtual(), Refuse: func(w http.ResponseWriter, status int, _, _ string) { w.WriteHeader(status) }})
	return guarded{g, g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))}
}

// ask asks, and returns the status.
func (g guarded) ask(path string, change func(r *http.Request)) int {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host, r.RemoteAddr = "localhost:8080", "10.0.0.9:1234"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w.Code
}

func bearer(token string) func(r *http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// An inspector is known by the name that it was told to listen at, by those of the loopback, and by the very address that a
// request came to; a name that somebody else has given to that address is a stranger's.
func TestHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		listen, host, local string
		known               bool
	}{
		{"localhost:8080", "localhost:8080", "127.0.0.1:8080", true},
		{"localhost:8080", "LOCALHOST:8080", "127.0.0.1:8080", true},
		{"localhost:8080", "[::1]:8080", "127.0.0.1:8080", true},
		{"localhost:8080", "localhost", "127.0.0.1:8080", true},
		{"localhost:8080", "localhost:9000", "127.0.0.1:8080", true}, // a tunnel
		{"localhost:8080", "", "127.0.0.1:8080", false},
		{"localhost:8080", "localhost.evil.example", "127.0.0.1:8080", false},
		{"localhost:8080", "also.example:8443", "127.0.0.1:8080", true}, // Hosts
		{"0.0.0.0:80", "10.0.0.5", "10.0.0.5:80", true},
		{"[::]:80", "[fe80::1]", "[fe80::1]:80", true},
		{"[::]:80", "[fe80::2]", "[fe80::1]:80", false},
		{"localhost:80", "localhost", "127.0.0.1:80", true},
		{"[::1]:80", "[::1]", "[::1]:80", true},
		{"localhost:8080", "evil.example:8080", "127.0.0.1:8080", false},
		{"Box.example:8080", "box.example:8080", "10.0.0.5:8080", true},
		{"box.example:8080", "10.0.0.5:8080", "10.0.0.5:8080", true},
		{"box.example:8080", "10.0.0.6:8080", "10.0.0.5:8080", false},
		{"box.example:8080", "other.example:8080", "10.0.0.5:8080", false},
		{"0.0.0.0:8080", "10.0.0.5:8080", "10.0.0.5:8080", true},
		{"0.0.0.0:8080", "evil.example:8080", "10.0.0.5:8080", false},
		{"nonsense", "", "10.0.0.5:8080", false},
	} {
		local, err := net.ResolveTCPAddr("tcp", c.local)
		if err != nil {
			t.Fatal(err)
		}
		code := newGuard(c.listen, "").ask("/", func(r *http.Request) {
			*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
			r.Host = c.host
		})
		if (code == http.StatusOK) != c.known || !c.known && code != http.StatusForbidden {
			t.Errorf("at %s, for %s: %d", c.listen, c.host, code)
		}
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true,
		"0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, ":1": false, "127.0.0.1": false, "": false,
	} {
		if got := guard.Loopback(address); got != want {
			t.Errorf("%q is of this machine alone: %v", address, got)
		}
	}
}

// The token counts in the header, and as the cookie that logging in gives; the page itself is for all.
func TestToken(t *testing.T) {
	t.Parallel()
	g := newGuard("localhost:8080", token)
	in := httptest.NewRecorder()
	g.LogIn(in)
	cookie, _, _ := strings.Cut(in.Header().Get("Set-Cookie"), ";")
	if strings.Contains(cookie, token) {
		t.Errorf("the cookie is %s", cookie)
	}
	for name, c := range map[string]struct {
		path   string
		header [2]string
		code   int
	}{
		"the page":              {"/", [2]string{}, 200},
		"login":                 {"/api/login", [2]string{}, 200},
		"nothing":               {"/api/meta", [2]string{}, 401},
		"the token":             {"/api/meta", [2]string{"Authorization", "Bearer " + token}, 200},
		"another":               {"/api/meta", [2]string{"Authorization", "Bearer x" + token}, 401},
		"the start of it":       {"/api/meta", [2]string{"Authorization", "Bearer " + token[:17]}, 401},
		"another scheme":        {"/api/meta", [2]string{"Authorization", "Basic " + token}, 401},
		"the cookie":            {"/api/meta", [2]string{"Cookie", cookie}, 200},
		"the token as cookie":   {"/api/meta", [2]string{"Cookie", "goverse_inspector_8080=" + token}, 401},
		"a page of elsewhere":   {"/api/meta", [2]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"of the very neighbour": {"/api/meta", [2]string{"Sec-Fetch-Site", "same-site"}, 403},
	} {
		if code := g.ask(c.path, func(r *http.Request) { r.Header.Set(c.header[0], c.header[1]) }); code != c.code {
			t.Errorf("%s: %d, not %d", name, code, c.code)
		}
	}
	if code := newGuard("localhost:8080", "").ask("/api/meta", bearer("whatever")); code != http.StatusOK {
		t.Errorf("where no token is demanded: %d", code)
	}
}

// Who tries many tokens is told to stop, and others are not; the right one is taken wherever it comes from.
func TestWrongTokensAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuard("localhost:8080", token)
		try := func(from, what string) int {
			return g.ask("/api/meta", func(r *http.Request) { bearer(what)(r); r.RemoteAddr = from })
		}
		for i := range 20 {
			if code := try("10.0.0.1:5", "guess"); code != http.StatusUnauthorized {
				t.Fatalf("guess %d: %d", i, code)
			}
		}
		for range 100 {
			if code := try("10.0.0.1:6", "guess"); code != http.StatusTooManyRequests {
				t.Fatalf("one guess too many: %d", code)
			}
		}
		if code := try("10.0.0.1:7", token); code != http.StatusOK {
			t.Errorf("the right one from there: %d", code)
		}
		if code := try("10.0.0.2:5", "guess"); code != http.StatusUnauthorized {
			t.Errorf("from elsewhere: %d", code)
		}
		time.Sleep(3 * time.Second) //nolint:forbidigo // virtual time
		if a, b := try("10.0.0.1:5", "guess"), try("10.0.0.1:5", "guess"); a != http.StatusUnauthorized || b != http.StatusTooManyRequests {
			t.Errorf("after a pause: %d, %d", a, b)
		}
		for i := range 25 { // a household has many addresses
			code := try(fmt.Sprintf("[2001:db8::%x]:5", i+1), "guess")
			if (code == http.StatusTooManyRequests) != (i >= 20) {
				t.Errorf("guess %d from a network: %d", i, code)
			}
		}
	})
}

// However many addresses try, only so many are remembered, and the rest count as one.
func TestManyAddressesTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuard("localhost:8080", token)
		try := func(i int) int {
			return g.ask("/api/meta", func(r *http.Request) {
				bearer("guess")(r)
				r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:5", i>>16, i>>8&255, i&255)
			})
		}
		refused := 0
		for i := range 11_000 {
			if try(i) == http.StatusTooManyRequests {
				refused++
			}
		}
		if refused != 980 { // 1000 that count as one
			t.Errorf("%d of 11000 addresses were told to stop", refused)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		for range 20 {
			try(20_000)
		}
		if a, b := try(20_000), try(20_001); a != http.StatusTooManyRequests || b != http.StatusUnauthorized {
			t.Errorf("when the others are forgotten: %d, and of another: %d", a, b)
		}
	})
}

func TestNeighbourhood(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"10.1.2.3:4": "10.1.2.3/32", "[::ffff:10.1.2.3]:4": "10.1.2.3/32", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64", "[fe80::1%eth0]:5": "fe80::/64",
		"[::1]:5": "::1/128", "@": "invalid Prefix", "": "invalid Prefix",
	} {
		if got := guard.Neighbourhood(remote).String(); got != want {
			t.Errorf("%q is of %s, not %s", remote, got, want)
		}
	}
}
