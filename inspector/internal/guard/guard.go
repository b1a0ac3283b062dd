package guard

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
)

// policy lets a page load only what the inspector serves, as files.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// cookieName begins the name of the cookie of who is logged in: with the port, which cookies do not heed.
const cookieName = "goverse_inspector"

// Refuse answers a request that is refused.
type Refuse func(w http.ResponseWriter, status int, code, message string)

// Config says who may come in.
type Config struct {
	Address string      // that the inspector listens at, host:port
	Hosts   []string    // other names by which it is reached, without ports
	Token   string      // empty: none is demanded
	Refuse  Refuse      // required
	Clock   clock.Clock // required
}

// MinToken is how many bytes a token has at least: one that nobody can find by trying, however often.
const MinToken = 16

// Guard lets requests through, or not.
type Guard struct {
	cfg    Config
	hosts  map[string]bool // without ports
	cookie string          // the name
	proof  string          // what the cookie of who is logged in holds
	tried  attempts
}

// New returns a guard.
func New(cfg Config) *Guard {
	g := &Guard{cfg: cfg, hosts: make(map[string]bool), cookie: cookieName}
	if host, port, err := net.SplitHostPort(cfg.Address); err == nil {
		g.cookie += "_" + port
		for _, name := range append([]string{host, "localhost", "127.0.0.1", "::1"}, cfg.Hosts...) {
			if name != "" {
				g.hosts[strings.ToLower(name)] = true
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
		case api && r.URL.Path != "/api/login" && !g.admits(w, r):
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// knows says whether a request is for this inspector: by a name that it was told, or by the address that it came to. The
// port is of no account: behind a tunnel it is another one, and nobody can lead a name of the loopback astray.
func (g *Guard) knows(r *http.Request) bool {
	host := hostOf(r.Host)
	return g.hosts[host] || addressed(r, host)
}

// hostOf is a host without its port.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

// addressed says whether a request names the host by the address that it came to: that no
// name server can have led astray.
func addressed(r *http.Request, host string) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && hostOf(local.String()) == host
}

// sameOrigin refuses reading by other pages too.
func (g *Guard) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if site := r.Header.Get("Sec-Fetch-Site"); strings.HasPrefix(r.URL.Path, "/api/") && (site == "cross-site" || site == "same-site") {
		return false
	}
	return origin == "" || strings.EqualFold(origin, "http://"+r.Host) || strings.EqualFold(origin, "https://"+r.Host)
}

// admits says whether a request has the token, and refuses it if not.
func (g *Guard) admits(w http.ResponseWriter, r *http.Request) bool {
	if g.cfg.Token == "" {
		return true
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.Try(w, r, token)
	}
	c, err := r.Cookie(g.cookie)
	if err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.proof)) == 1 {
		return true
	}
	g.cfg.Refuse(w, http.StatusUnauthorized, "Unauthenticated", "a token is needed")
	return false
}

// Try says whether a token is the one, or whether none is demanded. If not, it refuses the request: with another status
// where many have come from its address. It takes as long for any.
func (g *Guard) Try(w http.ResponseWriter, r *http.Request, token string) bool {
	mine, theirs := sha256.Sum256([]byte(g.cfg.Token)), sha256.Sum256([]byte(token))
	switch {
	case g.cfg.Token == "", subtle.ConstantTimeCompare(mine[:], theirs[:]) == 1:
		return true
	case g.tried.wrong(r.RemoteAddr, g.cfg.Clock.Now()):
		w.Header().Set("Retry-After", strconv.Itoa(int(attemptPause/time.Second)))
		g.cfg.Refuse(w, http.StatusTooManyRequests, "ResourceExhausted", "that is not the token, and too many that were not have come from this address")
	default:
		g.cfg.Refuse(w, http.StatusUnauthorized, "Unauthenticated", "that is not the token")
	}
	return false
}

// LogIn gives the caller the cookie that stands for the token.
func (g *Guard) LogIn(w http.ResponseWriter) {
	//nolint:gosec // G124: without TLS a Secure cookie would never come back
	http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.proof, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
}
