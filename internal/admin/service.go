package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// The bounds of what askers may take.
const (
	MaxConnections = 64               // at a time; more wait until one is closed
	MaxHeader      = 16 << 10         // bytes of a request's line and headers, about
	headerTime     = 5 * time.Second  // to send them
	writeTime      = 10 * time.Second // to read an answer; a profile's own time comes on top
	idleTime       = 30 * time.Second // of a connection between requests
	bodyTime       = time.Second      // to send what is refused anyway
)

// Config is what the service tells.
type Config struct {
	// Lacks is why the server is not ready, in a word; empty: it is.
	Lacks func() string
	// Examine comes back if nothing in the server stands still: it takes the locks that
	// calls take.
	Examine func()
	// Stats are the server's figures now.
	Stats  func() Stats
	Logger *slog.Logger // gets what goes wrong
}

// Service answers operators. It serves once.
type Service struct {
	cfg     Config
	handler http.Handler
	pulse   pulse
	running sync.WaitGroup // handlers
}

// New returns a service that does not listen yet. It fails when its metrics contradict
// each other.
func New(cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, pulse: pulse{examine: cfg.Examine}}
	metrics, err := metricsHandler(cfg)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", metrics)
	mux.HandleFunc("/healthz", s.health)
	mux.HandleFunc("/readyz", s.readiness)
	mux.Handle(profilesPath, newProfiles())
	s.handler = s.guard(mux)
	return s, nil
}

// Serve answers on a listener until ctx ends, and closes it. Answers that are under way
// then have until the context that leave returns ends; profiles are cut short at once.
func (s *Service) Serve(ctx context.Context, lis net.Listener, leave func(context.Context) (context.Context, func())) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := &http.Server{
		Handler: s.handler, BaseContext: func(net.Listener) context.Context { return life },
		ReadHeaderTimeout: headerTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: MaxHeader,
		ErrorLog: slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(netutil.LimitListener(lis, MaxConnections)) }()
	var failure error
	select {
	case failure = <-served: // by itself
	case <-ctx.Done():
	}
	end()
	until, release := leave(ctx)
	defer release()
	if server.Shutdown(until) != nil {
		_ = server.Close() // who does not read must not hold up a stop
	}
	if failure == nil {
		failure = <-served // it has one, always
	}
	s.await(until)
	if !errors.Is(failure, http.ErrServerClosed) {
		return fmt.Errorf("serve operators: %w", failure)
	}
	return nil
}

// await returns when no handler runs any more, and no examination, or when ctx ends: one
// that waits for a lock that nobody gives back must not hold up a stop.
func (s *Service) await(ctx context.Context) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.running.Wait()
		s.pulse.running.Wait()
	}()
	select {
	case <-gone:
	case <-ctx.Done():
	}
}

// health says whether the process works: not that it is of use to anybody.
func (s *Service) health(w http.ResponseWriter, r *http.Request) {
	if !s.pulse.beats(r.Context()) {
		answer(w, http.StatusServiceUnavailable, "stuck")
		return
	}
	answer(w, http.StatusOK, "ok")
}

// readiness says whether the server should be given work.
func (s *Service) readiness(w http.ResponseWriter, _ *http.Request) {
	if lacks := s.cfg.Lacks(); lacks != "" {
		answer(w, http.StatusServiceUnavailable, lacks)
		return
	}
	answer(w, http.StatusOK, "ready")
}

// answer writes one line.
func answer(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, line+"\n")
}
