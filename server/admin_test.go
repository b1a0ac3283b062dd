package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/server"
	"github.com/xiaonanln/goverse/util/clock"
)

// withAdmin is a server with an address for operators.
func withAdmin(c *server.Config) { c.AdminAddress = "localhost:0" }

// askAdmin asks for a page of the address for operators.
func askAdmin(t *testing.T, s *server.Server, path string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.AdminAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return res.StatusCode, string(text)
}

// awaitReadiness asks until the server says of itself what is wanted.
func awaitReadiness(t *testing.T, s *server.Server, want string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		status, said := askAdmin(t, s, "/readyz")
		if serves := strings.TrimSpace(said) == "ready"; (status == http.StatusOK) != serves || !serves && status != http.StatusServiceUnavailable {
			t.Fatalf("status %d with %q", status, said)
		}
		if strings.TrimSpace(said) == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s: it is %s", want, said)
		}
	}
}

// figures are the metrics without labels, by name, and those with one as name/value.
func figures(t *testing.T, s *server.Server) map[string]float64 {
	t.Helper()
	status, text := askAdmin(t, s, "/metrics")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v in\n%s", status, err, text)
	}
	all := make(map[string]float64)
	for name, family := range families {
		for _, m := range family.GetMetric() {
			key := name
			for _, label := range m.GetLabel() {
				key += "/" + label.GetValue()
			}
			all[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// awaitFigure asks until a metric is as wanted.
func awaitFigure(t *testing.T, s *server.Server, name string, want float64) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		got := figures(t, s)[name]
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %v, waited in vain for %v", name, got, want)
		}
	}
}

func TestAdminTellsTheFigures(t *testing.T) {
	t.Parallel()
	f := start(t, withAdmin)
	f.add(t, "Box-secret", 1)
	f.add(t, "Box-other", 1)
	client := f.dial(t)
	me := whoami(t, client)
	f.add(t, "Box-gone", 1)
	if err := f.DeleteObject(t.Context(), "Box-gone"); err != nil {
		t.Fatal(err)
	}
	for id, method := range map[string]string{"Box-other": "None", "Crate-1": "Add"} {
		if _, err := f.CallObject(t.Context(), id, method, nil); err == nil {
			t.Errorf("%s.%s can be called", id, method)
		}
	}
	if _, err := goverseclient.Call[*empty](t.Context(), client, "Fail", wrapperspb.String("no")); err == nil {
		t.Error("Fail does not fail")
	}
	running := f.callLater(context.Background(), "Box-secret", "Block")
	f.probe.awaitEntered(t)
	waiting := f.callLater(context.Background(), "Box-secret", "Add")
	awaitFigure(t, f.Server, "goverse_calls_waiting", 1)
	got := figures(t, f.Server)
	close(f.probe.release)
	for _, call := range []<-chan outcome{running, waiting} {
		if out := receive(t, call, "a call"); out.err != nil {
			t.Error(out.err)
		}
	}
	for name, want := range map[string]float64{
		"goverse_objects": 3, "goverse_type_objects/Box": 2, "goverse_activations_total": 4, "goverse_deactivations_total": 1, "goverse_calls_waiting": 1,
		"goverse_clients": 1, "goverse_shards_open": 64, "goverse_shards_busy": 0, "goverse_shards_unowned": 0,
		"goverse_fenced": 0, "goverse_ready": 1, "goverse_members": 1,
		"goverse_call_errors_total/unimplemented": 1, "goverse_call_errors_total/not_found": 1, "goverse_call_errors_total/aborted": 1,
		"goverse_call_errors_total/unauthenticated": 0,
		"goverse_lost_pushes_total/gone":            0, "goverse_lost_pushes_total/on_the_way": 0, "goverse_lost_pushes_total/refused": 0,
	} {
		if value, there := got[name]; value != want || !there {
			t.Errorf("%s is %v (told: %v), want %v", name, value, there, want)
		}
	}
	if lease := got["goverse_lease_valid_seconds"]; lease <= 0 || lease > (24*time.Hour).Seconds() {
		t.Errorf("the lease is valid for %v s", lease)
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/debug/pprof/"} {
		status, text := askAdmin(t, f.Server, path)
		if status != http.StatusOK {
			t.Errorf("%s: status %d", path, status)
		}
		for _, id := range []string{"secret", me, f.Member().Incarnation()} {
			if strings.Contains(text, id) {
				t.Errorf("%s tells %s", path, id)
			}
		}
	}
}

func TestAdminAddr(t *testing.T) {
	t.Parallel()
	f := create(t, withAdmin)
	if got := f.AdminAddr(); got != "" {
		t.Errorf("before the start: %q", got)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.AdminAddr(); got == "" || !strings.Contains(f.log.String(), "admin_addr="+got) {
		t.Errorf("the log does not tell %q:\n%s", got, f.log.String())
	}
	if got := start(t).AdminAddr(); got != "" {
		t.Errorf("without one: %q", got)
	}
}

// It answers before the server is ready, and until nothing else is left of it.
func TestReadinessFromStartToStop(t *testing.T) {
	t.Parallel()
	f := create(t, withAdmin)
	f.record(t, "Box-1", "deaf")
	ran := started(func() error { return f.Start(t.Context()) })
	f.probe.awaitEntered(t)
	awaitReadiness(t, f.Server, "starting")
	if status, said := askAdmin(t, f.Server, "/healthz"); status != http.StatusOK {
		t.Errorf("its health while it starts: %d, %s", status, said)
	}
	close(f.probe.release)
	if err := receive(t, ran, "the start"); err != nil {
		t.Fatal(err)
	}
	awaitReadiness(t, f.Server, "ready")

	f.probe.release = make(chan struct{})
	running := f.callLater(context.Background(), "Box-2", "Block")
	f.probe.awaitEntered(t)
	stopped := f.stopLater()
	awaitReadiness(t, f.Server, "stopping")
	if got := figures(t, f.Server)["goverse_ready"]; got != 0 {
		t.Errorf("ready while it stops: %v", got)
	}
	close(f.probe.release)
	if out := receive(t, running, "the running call"); out.err != nil {
		t.Errorf("the running call: %v", out.err)
	}
	if err := receive(t, stopped, "Stop"); err != nil {
		t.Errorf("stop: %v", err)
	}
	listen(t, f.AdminAddr()) // given back
}

// A server whose lease is not renewed is suspect, then fenced, and ready again later: also
// when it had to join again.
func TestReadinessFollowsTheLease(t *testing.T) {
	t.Parallel()
	f := start(t, withAdmin, func(c *server.Config) { c.LeaseTTL = 4 * time.Second })
	f.Coordinator().SetOutage(true)
	awaitReadiness(t, f.Server, "suspect")
	awaitReadiness(t, f.Server, "fenced")
	if got := figures(t, f.Server); got["goverse_fenced"] != 1 || got["goverse_lease_valid_seconds"] != 0 || got["goverse_ready"] != 0 {
		t.Errorf("while it is fenced: %v, %v, %v", got["goverse_fenced"], got["goverse_lease_valid_seconds"], got["goverse_ready"])
	}
	if status, said := askAdmin(t, f.Server, "/healthz"); status != http.StatusOK {
		t.Errorf("its health while it is fenced: %d, %s", status, said)
	}
	f.Coordinator().SetOutage(false)
	awaitReadiness(t, f.Server, "ready")
	before := f.Member()
	if err := before.Evict(t.Context(), before.Incarnation()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(patience); f.Member() == before; { // fenced meanwhile, for less than it takes to ask
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatal("it has not joined again")
		}
	}
	awaitReadiness(t, f.Server, "ready")
}

// A lease that is over by the clock is, also where nobody has told the server so.
func TestReadinessLooksAtTheClock(t *testing.T) {
	t.Parallel()
	slept := &skewed{Clock: clock.System(), suspend: true}
	f := create(t, withAdmin, func(c *server.Config) { c.LeaseTTL = time.Hour }) // no renewal comes meanwhile
	f.SetClock(slept)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitReadiness(t, f.Server, "ready")
	slept.ahead.Store(int64(2 * time.Hour))
	_, said := askAdmin(t, f.Server, "/readyz")
	slept.ahead.Store(0)
	if said != "fenced\n" {
		t.Errorf("after its lease: %q", said)
	}
}

// A server that an operator empties takes no work, and takes it again.
func TestReadinessWhileDraining(t *testing.T) {
	t.Parallel()
	f := start(t, withAdmin)
	ctx, cancel := context.WithCancel(t.Context())
	drained := started(func() error { return f.Member().Drain(ctx, f.Member().Incarnation()) }) // nobody takes its shards
	awaitReadiness(t, f.Server, "draining")
	cancel()
	if err := receive(t, drained, "Drain"); !errors.Is(err, context.Canceled) {
		t.Errorf("drain: %v", err)
	}
	if err := f.Member().Undrain(t.Context(), f.Member().Incarnation()); err != nil {
		t.Fatal(err)
	}
	awaitReadiness(t, f.Server, "ready")
}

// Who the server knows, and to whom it keeps a link.
func TestAdminTellsOfOtherServers(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	first, second := c.join(withAdmin), c.join()
	const id = "Tally-there"
	n := shard.Of(id, 64)
	if err := first.Member().Move(t.Context(), n, second.Member().Incarnation()); err != nil {
		t.Fatal(err)
	}
	if _, err := addTo(t.Context(), first, id, 1); err != nil {
		t.Fatal(err)
	}
	if got := figures(t, first); got["goverse_members"] != 2 || got["goverse_links"] != 1 || got["goverse_objects"] != 0 {
		t.Errorf("%v members, %v links, %v objects, want 2, 1 and none", got["goverse_members"], got["goverse_links"], got["goverse_objects"])
	}
}

// An address that is taken is told at the start, like those of the other ports.
func TestAdminPortTaken(t *testing.T) {
	t.Parallel()
	taken := listen(t, "127.0.0.1:0")
	f := create(t, func(c *server.Config) { c.AdminAddress = taken })
	if err := f.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "admin listener: listen on "+taken) {
		t.Errorf("start: %v", err)
	}
}
