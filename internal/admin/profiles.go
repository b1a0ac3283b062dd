package admin

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	runtimepprof "runtime/pprof"
	"strconv"
	"strings"
	"time"
)

const (
	profilesPath = "/debug/pprof/"
	// MaxProfiles is how many are taken at a time.
	MaxProfiles = 4
	// MaxProfileTime is the longest that one may take.
	MaxProfileTime = time.Minute
)

// profiles serves Go's profiles where `go tool pprof` looks for them. The program's
// arguments are not among them, which net/http/pprof would show: they may hold secrets.
type profiles struct {
	free chan struct{} // one for each profile that may be taken now
}

func newProfiles() *profiles {
	p := &profiles{free: make(chan struct{}, MaxProfiles)}
	for range MaxProfiles {
		p.free <- struct{}{}
	}
	return p
}

// ServeHTTP implements [http.Handler].
func (p *profiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, profilesPath)
	take := find(name)
	switch {
	case name == "":
		index(w)
		return
	case take == nil:
		http.NotFound(w, r)
		return
	case !isShort(r.URL.Query().Get("seconds")):
		answer(w, http.StatusBadRequest, "seconds is a number from 0 to "+strconv.Itoa(int(MaxProfileTime/time.Second)))
		return
	case r.Method == http.MethodHead: // a profile is not taken for its headers
		w.WriteHeader(http.StatusOK)
		return
	}
	select {
	case <-p.free:
		defer func() { p.free <- struct{}{} }()
		take.ServeHTTP(w, r)
	default:
		w.Header().Set("Retry-After", "10")
		answer(w, http.StatusServiceUnavailable, "other profiles are being taken")
	}
}

// find returns what takes the profile of that name; nil: there is none.
func find(name string) http.Handler {
	switch name {
	case "profile":
		return http.HandlerFunc(pprof.Profile)
	case "trace":
		return http.HandlerFunc(pprof.Trace)
	case "symbol":
		return http.HandlerFunc(pprof.Symbol)
	}
	if runtimepprof.Lookup(name) == nil {
		return nil
	}
	return pprof.Handler(name)
}

// isShort reports whether a profile of that many seconds may be taken; empty is the
// profile's own default, of at most 30.
func isShort(seconds string) bool {
	if seconds == "" {
		return true
	}
	s, err := strconv.ParseFloat(seconds, 64)
	return err == nil && s >= 0 && s <= MaxProfileTime.Seconds()
}

// index lists the profiles.
func index(w http.ResponseWriter) {
	var list strings.Builder
	list.WriteString(runtime.Version() + "\n")
	for _, name := range []string{"profile", "trace"} {
		list.WriteString(profilesPath + name + "?seconds=5\n")
	}
	for _, profile := range runtimepprof.Profiles() {
		list.WriteString(profilesPath + profile.Name() + "\n")
	}
	answer(w, http.StatusOK, strings.TrimSuffix(list.String(), "\n"))
}
