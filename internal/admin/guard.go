package admin

import (
	"net"
	"net/http"
	"strings"

	"github.com/xiaonanln/goverse/util/clock"
)

// guard lets through what a program on this machine asks. Whoever else gets here came by
// way of a browser: under another name for the loopback address, or from a foreign page.
func (s *Service) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Done()
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.ContentLength != 0 { // nothing here reads it: whoever is slow to send it must not hold the connection
			h.Set("Connection", "close")
			_ = http.NewResponseController(w).SetReadDeadline(clock.System().Now().Add(bodyTime))
		}
		switch {
		case !isLocal(r.Host):
			answer(w, http.StatusMisdirectedRequest, "this address is for programs of the same machine: ask for localhost")
		case isForeign(r.Header.Get("Sec-Fetch-Site")):
			answer(w, http.StatusForbidden, "this address is not for the pages of others")
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			answer(w, http.StatusMethodNotAllowed, "only GET and HEAD")
		case r.ContentLength != 0:
			answer(w, http.StatusBadRequest, "a request here has no body")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isLocal reports whether a Host header means this machine, at any port: tunnels have
// another one.
func isLocal(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// isForeign reports whether a browser asks for another page than one of this address, or
// of a person's own. Other programs say nothing.
func isForeign(site string) bool {
	return site != "" && site != "none" && site != "same-origin"
}
