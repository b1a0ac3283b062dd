package inspector_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/xiaonanln/goverse/inspector"
)

// Strangers are refused: other hosts, as after a DNS rebinding, and pages of other origins.
func TestStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *inspector.Config) { c.Actions = true })
	_, port, _ := strings.Cut(strings.TrimPrefix(w.url, "http://"), ":")
	for _, c := range []struct {
		name    string
		headers []string
		code    int
	}{
		{"plain", nil, 200},
		{"by number", []string{"Host", "127.0.0.1:" + port}, 200},
		{"by number 6", []string{"Host", "[::1]:" + port}, 200},
		{"own origin", []string{"Origin", w.url, "Sec-Fetch-Site", "same-origin"}, 200},
		{"rebound", []string{"Host", "evil.example:" + port}, 403},
		{"rebound, default port", []string{"Host", "evil.example"}, 403},
		{"through a tunnel", []string{"Host", "localhost:1"}, 200},
		{"foreign origin", []string{"Origin", "http://evil.example"}, 403},
		{"null origin", []string{"Origin", "null"}, 403},
		{"cross-site", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another port's page", []string{"Sec-Fetch-Site", "same-site"}, 403},
	} {
		code, body, header := w.request(http.MethodGet, "/api/meta", "", c.headers...)
		if code != c.code {
			t.Errorf("%s: %d %s", c.name, code, body)
		}
		policy := header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "unsafe") || header.Get("X-Content-Type-Options") != "nosniff" ||
			header.Get("Referrer-Policy") != "no-referrer" || header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", c.name, header)
		}
	}
	for _, headers := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Content-Type", "text/plain"}} {
		if code, body, _ := w.request(http.MethodPost, "/api/actions/drain", `{"node":"AAA","confirm":"AAA"}`, headers...); code != 403 && code != 400 {
			t.Errorf("%v: %d %s", headers, code, body)
		}
	}
}

// Where other machines could come, the token is demanded of everybody, in one way or the other.
func TestToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *inspector.Config) { c.Address = "0.0.0.0:0" })
	if len(w.token) < 26 {
		t.Fatalf("the token that was made is %q", w.token)
	}
	_, port, _ := net.SplitHostPort(w.address)
	for name, headers := range map[string][]string{
		"none": nil, "empty": {"Authorization", "Bearer "}, "wrong": {"Authorization", "Bearer " + w.token + "x"}, "scheme": {"Authorization", "Basic " + w.token},
		"cookie": {"Cookie", "goverse_inspector_" + port + "=" + w.token},
	} {
		for _, path := range []string{"/api/meta", "/api/stream?topics=nodes", "/api/objects/Room-r", "/api/nothing"} {
			if code, body, _ := w.request(http.MethodGet, path, "", headers...); code != http.StatusUnauthorized || !strings.Contains(body, "Unauthenticated") {
				t.Errorf("%s token, %s: %d %s", name, path, code, body)
			}
		}
	}
	if code, _, _ := w.request(http.MethodGet, "/", ""); code != http.StatusOK {
		t.Errorf("the page itself, to log in: %d", code)
	}
	if code, _, _ := w.request(http.MethodGet, "/api/meta", "", "Authorization", "Bearer "+w.token); code != http.StatusOK {
		t.Errorf("with the token: %d", code)
	}
	if code, _, header := w.request(http.MethodPost, "/api/login", `{"token":"guess"}`); code != http.StatusUnauthorized || header.Get("Set-Cookie") != "" {
		t.Errorf("login by a guess: %d %v", code, header)
	}
	code, _, header := w.request(http.MethodPost, "/api/login", `{"token":"`+w.token+`"}`)
	cookie := header.Get("Set-Cookie")
	if code != http.StatusOK || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") || strings.Contains(cookie, w.token) {
		t.Fatalf("login: %d %v", code, header)
	}
	value, _, _ := strings.Cut(cookie, ";")
	if code, body, _ := w.request(http.MethodGet, "/api/meta", "", "Cookie", value); code != http.StatusOK || !strings.Contains(body, `"auth":true`) {
		t.Errorf("logged in: %d %s", code, body)
	}
}
