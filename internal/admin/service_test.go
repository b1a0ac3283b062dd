package admin_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waiting is how long a test waits for what must come.
const waiting = time.Minute

// fixture is a service that answers for a server which the test makes up.
type fixture struct {
	addr   string
	lacks  atomic.Pointer[string]
	locked chan struct{} // closed: examinations come back
	stop   func()        // and wait
}

// start is a service that is stopped, without a failure, when the test ends.
func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{locked: make(chan struct{})}
	close(f.locked)
	f.lacks.Store(new(string))
	service, err := admin.New(admin.Config{
		Lacks: func() string { return *f.lacks.Load() }, Examine: func() { <-f.locked }, Stats: full,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = lis.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- service.Serve(ctx, lis, func(ctx context.Context) (context.Context, func()) {
			until, release := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			return until, release
		})
	}()
	f.stop = func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		served <- nil
	}
	t.Cleanup(f.stop)
	return f
}

// full has another number in every field.
func full() admin.Stats {
	return admin.Stats{
		Objects: 1, Activations: 2, Deactivations: 3, CallsWaiting: 4, Clients: 5, ShardsOpen: 6, ShardsBusy: 7, ShardsUnowned: 8,
		LeaseValid: 9 * time.Second, Ready: true, Members: 10, Links: 11, LostPushes: admin.LostPushes{OnTheWay: 12, Gone: 13, Refused: 14},
	}
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request and returns its answer.
func (f *fixture) ask(t *testing.T, method, path string, change ...func(*http.Request)) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+f.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(req)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

// wantStatus checks an answer.
func wantStatus(t *testing.T, what string, r reply, want int) {
	t.Helper()
	if r.status != want {
		t.Errorf("%s: status %d, want %d: %s", what, r.status, want, r.body)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	f := start(t)
	res := f.ask(t, http.MethodGet, "/readyz")
	if wantStatus(t, "ready", res, http.StatusOK); res.body != "ready\n" {
		t.Errorf("said %q", res.body)
	}
	why := "suspect"
	f.lacks.Store(&why)
	res = f.ask(t, http.MethodGet, "/readyz")
	if wantStatus(t, "suspect", res, http.StatusServiceUnavailable); res.body != "suspect\n" {
		t.Errorf("said %q", res.body)
	}
}

// A server that stands still is stuck, however many ask, and alive when it goes on.
func TestHealth(t *testing.T) {
	t.Parallel()
	f := start(t)
	res := f.ask(t, http.MethodGet, "/healthz")
	if wantStatus(t, "alive", res, http.StatusOK); res.body != "ok\n" {
		t.Errorf("said %q", res.body)
	}
	f = start(t)
	f.locked = make(chan struct{})
	const askers = 5
	answers := make(chan string, askers)
	for range askers {
		go func() {
			answers <- f.ask(t, http.MethodGet, "/healthz").body
		}()
	}
	for range askers {
		if body := <-answers; body != "stuck\n" {
			t.Errorf("said %q while it stands still", body)
		}
	}
	close(f.locked)
	res = f.ask(t, http.MethodGet, "/healthz")
	wantStatus(t, "alive again", res, http.StatusOK)
}

func TestPaths(t *testing.T) {
	t.Parallel()
	f := start(t)
	for path, want := range map[string]int{
		"/": http.StatusNotFound, "/metrics": http.StatusOK, "/metrics/": http.StatusNotFound, "/healthz": http.StatusOK,
		"/debug/pprof/": http.StatusOK, "/debug/pprof/heap": http.StatusOK, "/debug/pprof/goroutine?debug=2": http.StatusOK,
		"/debug/pprof/symbol": http.StatusOK, "/debug/pprof/cmdline": http.StatusNotFound, "/debug/pprof/none": http.StatusNotFound,
		"/debug/pprof/profile?seconds=61": http.StatusBadRequest, "/debug/pprof/profile?seconds=x": http.StatusBadRequest,
		"/debug/pprof/trace?seconds=1e300": http.StatusBadRequest, "/debug/pprof/heap?seconds=-1": http.StatusBadRequest,
		"/debug/pprof/trace?seconds=NaN": http.StatusBadRequest, "/debug/pprof/trace?seconds=0.01": http.StatusOK,
		"/debug/vars": http.StatusNotFound, "/readyz/../metrics": http.StatusTemporaryRedirect,
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			res := f.ask(t, method, path)
			wantStatus(t, method+" "+path, res, want)
			if method == http.MethodHead && res.body != "" {
				t.Errorf("HEAD %s has a body", path)
			}
			if res.header.Get("X-Content-Type-Options") != "nosniff" || res.header.Get("Content-Security-Policy") == "" || res.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: headers %v", path, res.header)
			}
		}
	}
	if list := f.ask(t, http.MethodGet, "/debug/pprof/").body; !strings.Contains(list, "/debug/pprof/heap\n") {
		t.Errorf("the list of profiles is\n%s", list)
	}
}

// More profiles than may be taken at a time are refused, those under way end with the service.
func TestProfilesAreBounded(t *testing.T) {
	t.Parallel()
	f := start(t)
	began := time.Now()
	done := make(chan int, admin.MaxProfiles+1)
	for range admin.MaxProfiles + 1 {
		go func() {
			res, err := http.Get("http://" + f.addr + "/debug/pprof/heap?seconds=60")
			if err != nil {
				done <- 0
				return
			}
			res.Body.Close()
			done <- res.StatusCode
		}()
	}
	if got := <-done; got != http.StatusServiceUnavailable {
		t.Errorf("one too many: status %d", got)
	}
	f.stop()
	for range admin.MaxProfiles {
		if got := <-done; got == http.StatusOK {
			t.Error("a profile of 60 s is complete")
		}
	}
	if took := time.Since(began); took > waiting {
		t.Errorf("they took %v", took)
	}
	http.DefaultClient.CloseIdleConnections()
}
