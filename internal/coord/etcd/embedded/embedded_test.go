package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/coordtest"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
	"github.com/xiaonanln/goverse/internal/coord/etcd/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a server that runs.
type running struct {
	*embedded.Server

	stop func() error // ends it and waits
}

// run starts a server and waits until it is ready, or is why it is not.
func run(t *testing.T, cfg embedded.Config) (running, error) {
	t.Helper()
	if cfg.Address == "" {
		cfg.Address = "localhost:0"
	}
	s, err := embedded.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	select {
	case <-ready:
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
		return running{s, stop}, nil
	case err := <-ended:
		cancel()
		return running{}, err
	}
}

func mustRun(t *testing.T, cfg embedded.Config) running {
	t.Helper()
	r, err := run(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T, address string) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t *testing.T, s coord.Store, key, value string) int64 {
	t.Helper()
	res, err := s.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.Put(key, []byte(value))}})
	if err != nil {
		t.Fatal(err)
	}
	return res.Rev
}

func TestConformance(t *testing.T) {
	t.Parallel()
	log := &logged{}
	r := mustRun(t, embedded.Config{Logger: slog.New(log)})
	s := open(t, r.Address())
	coordtest.Exercise(t, func(*testing.T) coord.Store { return s })

	lease, err := s.Grant(t.Context(), time.Second)
	if err != nil || lease.TTL != time.Second {
		t.Errorf("the shortest lease is %v, %v, want 1 s", lease.TTL, err)
	}
	if lease, err = s.Grant(t.Context(), 2*time.Second); err != nil || lease.TTL != 2*time.Second {
		t.Errorf("a lease of 2 s is %v, %v", lease.TTL, err)
	}
	watch := s.Watch(t.Context(), "", 1<<40) // somebody who does not leave
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if b := <-watch; !errors.Is(b.Err, coord.ErrUnavailable) {
		t.Errorf("the watch ended with %+v", b)
	}
	if errs := log.all(); len(errs) > 0 {
		t.Errorf("a normal life was logged:\n%s", strings.Join(errs, "\n"))
	}
}

func TestOneStartsAndTheOthersJoin(t *testing.T) {
	t.Parallel()
	address := freePort(t)
	servers := make([]running, 4)
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() {
			r, err := run(t, embedded.Config{Address: address})
			if err != nil {
				t.Error(err)
			}
			servers[i] = r
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var starter running
	started := 0
	for _, r := range servers {
		if r.Started() {
			started++
			starter = r
		}
		if r.Address() != address {
			t.Errorf("address %s, want %s", r.Address(), address)
		}
	}
	if started != 1 {
		t.Fatalf("%d of %d servers have started an etcd, want 1", started, len(servers))
	}
	put(t, open(t, address), "k", "")

	// Joined servers do not notice its end; the next one takes its place.
	if err := starter.stop(); err != nil {
		t.Error(err)
	}
	next := mustRun(t, embedded.Config{Address: address})
	if !next.Started() {
		t.Error("nobody has started an etcd")
	}
}

// Who uses an etcd that keeps nothing hears of its end, and of nothing else.
func TestTheEndOfAFragileOneIsTold(t *testing.T) {
	t.Parallel()
	r := mustRun(t, embedded.Config{})
	s, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{r.Address()}, Fragile: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "k", "")
	select {
	case <-s.Broken():
		t.Error("it was told while the etcd lives")
	default:
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	<-s.Broken()
}

func TestJoinsTheOneOfTheSameFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := mustRun(t, embedded.Config{Dir: dir})
	second := mustRun(t, embedded.Config{Dir: dir, Address: first.Address()})
	if second.Started() {
		t.Error("two etcds in one folder")
	}
}

func TestWhoHoldsTheAddress(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(net.Listener){
		"nobody answers": func(net.Listener) {},
		"a web server": func(l net.Listener) {
			_ = http.Serve(l, http.NotFoundHandler())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() { serve(l) })
			t.Cleanup(wg.Wait)
			t.Cleanup(func() { l.Close() })
			_, err = run(t, embedded.Config{Address: l.Addr().String()})
			wantText(t, err, "address "+l.Addr().String()+" is in use", "not by an etcd that can be used", "with -etcd")
		})
	}
}

// Who held the address goes away, as an etcd that was stopping: it is ours now.
func TestHolderGoesAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 3 {
			conn, err := l.Accept()
			if err != nil {
				t.Error(err)
				break
			}
			conn.Close()
		}
		l.Close()
	})
	r := mustRun(t, embedded.Config{Address: l.Addr().String()})
	wg.Wait()
	if !r.Started() {
		t.Error("joined an etcd that is not there")
	}
}

// old is an etcd with unsafe leases.
type old struct {
	pb.UnimplementedMaintenanceServer
}

func (old) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: 1}, Version: "3.5.12"}, nil
}

func TestOldEtcdIsNotJoined(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterMaintenanceServer(s, old{})
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(wg.Wait)
	t.Cleanup(s.Stop)
	_, err = run(t, embedded.Config{Address: l.Addr().String()})
	if !errors.Is(err, coord.ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
	wantText(t, err, "address "+l.Addr().String()+" is in use", "3.5.12", "at least 3.5.28")
}

func TestAlone(t *testing.T) {
	t.Parallel()
	r := mustRun(t, embedded.Config{})
	_, err := run(t, embedded.Config{Address: r.Address(), Alone: true})
	wantText(t, err, "address "+r.Address()+" is in use")
}

func TestFolderInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustRun(t, embedded.Config{Dir: dir})
	_, err := run(t, embedded.Config{Dir: dir})
	wantText(t, err, "data folder "+dir+" is in use", "with -data")
}

func TestFolderKeepsTheData(t *testing.T) {
	t.Parallel()
	dir, address := filepath.Join(t.TempDir(), "a", "b"), freePort(t)
	first := mustRun(t, embedded.Config{Dir: dir, Address: address})
	s := open(t, address)
	rev := put(t, s, "k", "v")
	lease, err := s.Grant(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	mustRun(t, embedded.Config{Dir: dir, Address: address})
	kv, _, err := eventually(t, func() (coord.KV, int64, error) { return s.Get(t.Context(), "k") })
	if err != nil || kv.ModRev != rev || string(kv.Value) != "v" {
		t.Errorf("after a restart k = %+v, %v", kv, err)
	}
	if _, err := s.KeepAliveOnce(t.Context(), lease.ID); err != nil {
		t.Errorf("the lease is gone: %v", err)
	}
}

// eventually asks again as long as the answer is ErrUnavailable.
func eventually[T, U any](t *testing.T, ask func() (T, U, error)) (T, U, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		a, b, err := ask()
		if !errors.Is(err, coord.ErrUnavailable) || ctx.Err() != nil {
			return a, b, err
		}
	}
}

func TestTemporaryFolderIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := mustRun(t, embedded.Config{})
	if n := len(entries(t, os.TempDir())); n != 1 {
		t.Errorf("%d temporary folders, want 1", n)
	}
	put(t, open(t, r.Address()), "k", "")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if left := entries(t, os.TempDir()); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Another etcd in its place is not taken for the same one, even at the same revision.
func TestSuccessorIsAnotherCluster(t *testing.T) {
	t.Parallel()
	address := freePort(t)
	first := mustRun(t, embedded.Config{Address: address})
	s := open(t, address)
	put(t, s, "k", "v")
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	mustRun(t, embedded.Config{Address: address})
	for range 10 {
		put(t, open(t, address), "k", "other")
	}
	_, _, err := eventually(t, func() (coord.KV, int64, error) { return s.Get(t.Context(), "k") })
	if !errors.Is(err, coord.ErrRestored) {
		t.Errorf("Get from the successor: %v, want ErrRestored", err)
	}
}

func TestOnlyLoopback(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "example.com:1", ":1", "localhost", "localhost:x"} {
		if _, err := embedded.New(embedded.Config{Address: address}); !errors.Is(err, coord.ErrInvalid) {
			t.Errorf("New(%q): %v, want ErrInvalid", address, err)
		}
	}
	for address, want := range map[string]string{"": "127.0.0.1:47379", "localhost:1": "127.0.0.1:1", "[::1]:1": "[::1]:1"} {
		s, err := embedded.New(embedded.Config{Address: address})
		if err != nil || s.Address() != want {
			t.Errorf("New(%q): %v, %v, want %s", address, s.Address(), err, want)
		}
	}
}

func TestStopWhileWaiting(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := embedded.New(embedded.Config{Address: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { t.Error("ready") }) }()
	conn, err := l.Accept() // it is probing
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want Canceled", err)
	}
}

// ports counts the ports that freePort has looked at.
var ports atomic.Int64

// freePort is a loopback address that nobody listens on, and that is nobody's until it is used: it is below the ports that
// systems deal out, and no other caller gets it. Other processes begin somewhere else.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		n := int64(os.Getpid())*97 + ports.Add(1)
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+n%12_000))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// logged keeps what is logged at level info or above.
type logged struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (l *logged) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *logged) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.lines = append(l.lines, line)
	return nil
}

func (l *logged) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l *logged) WithGroup(string) slog.Handler { return l }

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines
}
