package guard

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
)

// policy lets a page load only what the inspector serves, as files.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// cookieName is the cookie of who is logged in.
const cookieName = "goverse_inspector"

// Refuse answers a request that is refused.
type Refuse func(w http.ResponseWriter, status int, code, message string)

// Config says who may come in.
type Config struct {
	Address string // that the inspector listens at, host:port
	Token   string // empty: none is demanded
	Refuse  Refuse // required
}

// Guard lets requests through, or not.
type Guard struct {
	cfg   Config
	hosts map[string]bool
	proof string // what the cookie of who is logged in holds
}

// New returns a guard.
func New(cfg Config) *Guard {
	g := &Guard{cfg: cfg, hosts: make(map[string]bool)}
	host, port, err := net.SplitHostPort(cfg.Address)
	if err == nil {
		for _, name := range []string{host, "localhost", "127.0.0.1", "::1"} {
			g.hosts[strings.ToLower(net.JoinHostPort(name, port))] = true
			if port == "80" {
				g.hosts[strings.Trim(strings.ToLower(name), "[]")] = true
			}
		}
	}
	mac := hmac.New(sha256.New, []byte(cfg.Token))
	mac.Write([]byte("logged in"))
	g.proof = hex.EncodeToString(mac.Sum(nil))
	return g
}

// Loopback reports whether an address is of this machine alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Wrap guards a handler. Files of the page are for all who may come in, what is below /api/ for
// those with the token.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		api := strings.HasPrefix(r.URL.Path, "/api/")
		switch {
		case !g.knows(r):
			g.cfg.Refuse(w, http.StatusForbidden, "PermissionDenied", "this host is not the inspector's")
		case origins.Check(r) != nil, !g.sameOrigin(r):
			g.cfg.Refuse(w, http.StatusForbidden, "PermissionDenied", "requests of other origins are refused")
		case api && r.URL.Path != "/api/login" && !g.admits(r):
			g.cfg.Refuse(w, http.StatusUnauthorized, "Unauthenticated", "a token is needed")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// knows says whether a request is for this inspector. Where everybody needs the token, names that
// nobody has told the inspector are good as well: it listens at all addresses of the machine.
func (g *Guard) knows(r *http.Request) bool {
	return g.hosts[strings.ToLower(r.Host)] || g.everywhere() && g.addressed(r)
}

// everywhere says whether the inspector listens at all addresses.
func (g *Guard) everywhere() bool {
	host, _, err := net.SplitHostPort(g.cfg.Address)
	ip := net.ParseIP(host)
	return err == nil && (host == "" || ip != nil && ip.IsUnspecified())
}

// addressed says whether a request names the host by the address that it came to: that no
// name server can have led astray.
func (g *Guard) addressed(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && strings.EqualFold(local.String(), r.Host)
}

// sameOrigin refuses reading by other pages too.
func (g *Guard) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if site := r.Header.Get("Sec-Fetch-Site"); strings.HasPrefix(r.URL.Path, "/api/") && (site == "cross-site" || site == "same-site") {
		return false
	}
	return origin == "" || strings.EqualFold(origin, "http://"+r.Host) || strings.EqualFold(origin, "https://"+r.Host)
}

// admits says whether a request has the token.
func (g *Guard) admits(r *http.Request) bool {
	if g.cfg.Token == "" {
		return true
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.Check(token)
	}
	c, err := r.Cookie(cookieName)
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.proof)) == 1
}

// Check says whether a token is the one. It takes as long for any.
func (g *Guard) Check(token string) bool {
	mine, theirs := sha256.Sum256([]byte(g.cfg.Token)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(mine[:], theirs[:]) == 1
}

// LogIn gives the caller the cookie that stands for the token.
func (g *Guard) LogIn(w http.ResponseWriter) {
	//nolint:gosec // G124: without TLS a Secure cookie would never come back
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: g.proof, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
}
