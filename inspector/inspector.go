package inspector

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/forms"
	"github.com/xiaonanln/goverse/inspector/internal/guard"
	"github.com/xiaonanln/goverse/inspector/internal/links"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/util/clock"
)

// How long things may take.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 10 * time.Second
	writeTimeout  = actTimeout + 10*time.Second // of an answer from its request on; streams have one for each message
	idleTimeout   = time.Minute
	stopTimeout   = 2 * time.Second        // for requests under way
	openPause     = time.Second            // between attempts to reach the coordination store
	tickAfter     = 250 * time.Millisecond // from a whole second, when nodes tell, to the inspector's
)

// MinToken is how many bytes a token has at least.
const MinToken = guard.MinToken

// Config says what to watch and where to show it. Fields without a default are required.
type Config struct {
	// Address is where to listen, host:port; port 0 takes a free one. Other machines' requests
	// need the token.
	Address string
	// Hosts are names by which browsers reach the inspector, beside that of Address and those of the loopback: of this
	// machine, or of a proxy. They have no ports.
	Hosts []string
	// Cluster is the cluster's name, and Etcd what is told about where it meets.
	Cluster string
	Etcd    []string
	// Open reaches the coordination store; it is called again when that was replaced or could not be reached.
	Open func(ctx context.Context) (store coord.Store, release func(), err error)
	// Actions allows operators to act on the cluster. Default: they only watch.
	Actions bool
	// Token is what other machines have to show, at least MinToken bytes. Default: a random one where Address is not of
	// the loopback, which Ready is told; none where it is.
	Token string
	// Assets are the page's files. Default: there is no page.
	Assets fs.FS
	// Ready, if set, is called when the inspector listens: at which address, and with the
	// token that it made up, if it did.
	Ready  func(address, token string)
	Logger *slog.Logger
	Clock  clock.Clock
}

// Inspector watches a cluster.
type Inspector struct {
	cfg      Config
	instance string
	version  string
	model    *model.Model
	forms    *forms.Descriptors
	links    *links.Links
	guard    *guard.Guard
	frames   frames
	buffers  sync.Pool // *bytes.Buffer, of streams that tell something at the moment
	searches searches
	parts    typeParts
	streams  shares
	changes  atomic.Uint64                        // of what searches find: actions, and the cluster's records
	placed   atomic.Pointer[[]cluster.MemberInfo] // those of the last view that the model was told
	stopping chan struct{}                        // closed when Run ends: streams end
}

// New returns an inspector that does not run. It does no I/O.
func New(cfg Config) *Inspector {
	i := &Inspector{cfg: cfg, instance: crand.Text()[:12], version: "devel", model: model.New(cfg.Clock), searches: searches{clock: cfg.Clock}, forms: &forms.Descriptors{}, stopping: make(chan struct{})}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		i.version = info.Main.Version
	}
	i.links = links.New(i.model, i.forms, cfg.Clock)
	return i
}

// Run watches, and serves, until ctx ends. It fails if it cannot listen, or with a token that is too short. It runs once.
func (i *Inspector) Run(ctx context.Context) error {
	if n := len(i.cfg.Token); n > 0 && n < MinToken {
		return fmt.Errorf("the token has %d bytes, at least %d are needed", n, MinToken)
	}
	bound, err := (&net.ListenConfig{}).Listen(ctx, "tcp", i.cfg.Address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", i.cfg.Address, err)
	}
	address, token, made := bound.Addr().String(), i.cfg.Token, ""
	if token == "" && !guard.Loopback(address) {
		token = crand.Text()
		made = token
	}
	i.cfg.Token = token
	i.guard = guard.New(guard.Config{Address: i.named(address), Hosts: i.cfg.Hosts, Token: token, Refuse: refuse, Clock: i.cfg.Clock})
	if i.cfg.Ready != nil {
		i.cfg.Ready(i.named(address), made)
	}
	work, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { i.observe(work) })
	wg.Go(func() { i.links.Serve(work, i.members) })
	wg.Go(func() { i.tick(work) })
	return i.serve(ctx, bound)
}

// named is the bound address by the name that was asked for.
func (i *Inspector) named(bound string) string {
	host, _, err := net.SplitHostPort(i.cfg.Address)
	_, port, err2 := net.SplitHostPort(bound)
	if err != nil || err2 != nil || host == "" {
		return bound
	}
	return net.JoinHostPort(host, port)
}

// serve answers requests until ctx ends.
func (i *Inspector) serve(ctx context.Context, bound net.Listener) error {
	server := &http.Server{
		Handler: i.guard.Wrap(i.routes()), ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(i.cfg.Logger.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(bound) }()
	select {
	case err := <-served:
		close(i.stopping)
		return fmt.Errorf("serve the inspector: %w", err)
	case <-ctx.Done():
	}
	close(i.stopping)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(limited); err != nil { // who is left is cut off
		_ = server.Close() // what is cut off has no say
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the inspector: %w", err)
	}
	return nil
}

// observe follows the cluster's records until ctx ends, in one coordination store after the other.
func (i *Inspector) observe(ctx context.Context) {
	for ctx.Err() == nil {
		store, release, err := i.cfg.Open(ctx)
		if err == nil {
			err = i.observeIn(ctx, store)
			release()
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		i.model.Lost(err)
		timer := i.cfg.Clock.NewTimer(openPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// observeIn follows the cluster's records in a store, until ctx ends or the store is another.
func (i *Inspector) observeIn(ctx context.Context, store coord.Store) error {
	o := cluster.NewObserver(cluster.ObserverConfig{Store: store, Clock: i.cfg.Clock, Name: i.cfg.Cluster})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- o.Run(ctx)
	}()
	for {
		changed := o.Changed()
		if v := o.View(); v.Revision > 0 || v.Trouble != nil {
			i.placed.Store(&v.Members) // before the model tells of a change
			i.changes.Add(1)
			i.model.Place(v)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return <-ended
		}
	}
}

// members are the members as the model has been told.
func (i *Inspector) members() []cluster.MemberInfo {
	if members := i.placed.Load(); members != nil {
		return *members
	}
	return nil
}

// tick counts the seconds. They end some time after what nodes tell at the end of theirs has come, so that it all comes at once.
func (i *Inspector) tick(ctx context.Context) {
	for i.awaitTick(ctx) {
		i.model.Tick()
	}
}

// awaitTick waits until seconds are to be counted. False: ctx has ended.
func (i *Inspector) awaitTick(ctx context.Context) bool {
	pace, clk := i.model.Pace(), i.cfg.Clock
	wait := untilTick(clk.Now(), pace)
	due := clk.Monotonic() + wait
	timer := clk.NewTimer(wait)
	defer timer.Stop()
	for {
		sought := i.model.Sought()
		if sooner := i.model.Pace(); sooner < pace {
			pace = sooner
			timer.Reset(min(untilTick(clk.Now(), pace), max(due-clk.Monotonic(), 0)))
		}
		select {
		case <-timer.C:
			return true
		case <-sought:
		case <-ctx.Done():
			return false
		}
	}
}

// untilTick is how long it is to the end of a second, of one in so many, which is not the one that has just ended.
func untilTick(now time.Time, pace time.Duration) time.Duration {
	d := now.Add(-tickAfter).Truncate(pace).Add(pace + tickAfter).Sub(now)
	if d < time.Second/2 {
		d += time.Second
	}
	return d
}
