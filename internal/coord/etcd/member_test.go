package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// member is an etcd server in this process that can be stopped and started again on the same folder and ports.
type member struct {
	t        *testing.T
	endpoint string // its client address
	dir      string
	cfg      func() *embed.Config
	etcd     *embed.Etcd        // nil while it is stopped
	end      context.CancelFunc // ends the streams of its clients, for which it would wait 7 s
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

// newMembers are the servers of one cluster, stopped. change may adapt their configurations.
func newMembers(t *testing.T, n int, change func(*embed.Config)) []*member {
	t.Helper()
	members := make([]*member, n)
	cluster := ""
	peers := make([]url.URL, n)
	for i := range members {
		peers[i] = url.URL{Scheme: "http", Host: freePort(t)}
		cluster += fmt.Sprintf(",m%d=%s", i, &peers[i])
	}
	for i := range members {
		client := url.URL{Scheme: "http", Host: freePort(t)}
		dir := t.TempDir()
		members[i] = &member{t: t, endpoint: client.Host, dir: dir, cfg: func() *embed.Config {
			cfg := embed.NewConfig()
			cfg.Name, cfg.Dir, cfg.InitialCluster = fmt.Sprint("m", i), dir, cluster[1:]
			cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
			cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peers[i]}, []url.URL{peers[i]}
			cfg.UnsafeNoFsync, cfg.EnableGRPCGateway = true, false
			cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
			if change != nil {
				change(cfg)
			}
			return cfg
		}}
		t.Cleanup(members[i].stop)
	}
	return members
}

// start starts the members and waits until all serve.
func start(t *testing.T, members ...*member) {
	t.Helper()
	for _, m := range members {
		ctx, end := context.WithCancel(context.Background())
		cfg := m.cfg()
		cfg.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ChainStreamInterceptor(endWith(ctx))}
		e, err := embed.StartEtcd(cfg)
		if err != nil {
			t.Fatal(err)
		}
		m.etcd, m.end = e, end
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, m := range members {
		select {
		case <-m.etcd.Server.ReadyNotify():
		case err := <-m.etcd.Err():
			t.Fatal(err)
		case <-ctx.Done():
			t.Fatal("etcd is not ready")
		}
	}
}

// stop stops the member, abruptly for its clients, and waits for its end.
func (m *member) stop() {
	if m.etcd == nil {
		return
	}
	m.etcd.Server.HardStop()
	m.end()
	m.etcd.Close()
	m.etcd = nil
}

// endWith ends streams when ctx ends.
func endWith(ctx context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		own, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return handler(srv, endingStream{stream, own})
	}
}

type endingStream struct {
	grpc.ServerStream

	ctx context.Context
}

func (s endingStream) Context() context.Context { return s.ctx }

// endpoints are the client addresses of members.
func endpoints(members []*member) []string {
	out := make([]string, len(members))
	for i, m := range members {
		out[i] = m.endpoint
	}
	return out
}

// limit is the test's context for something that must come to pass.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually asks again for as long as the answer is ErrUnavailable. Each question has a second.
func eventually(t *testing.T, what string, ask func(context.Context) error) {
	t.Helper()
	ctx := limit(t)
	for {
		one, cancel := context.WithTimeout(ctx, time.Second)
		err := ask(one)
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil || !errors.Is(err, coord.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// put is the revision of a put that comes to pass.
func put(t *testing.T, s coord.Store, key, value string, lease coord.LeaseID) (rev int64) {
	t.Helper()
	eventually(t, "put "+key, func(ctx context.Context) error {
		res, err := s.Txn(ctx, coord.Txn{Then: []coord.Op{coord.PutLeased(key, []byte(value), lease)}})
		rev = res.Rev
		return err
	})
	return rev
}

// get is a key as it is now.
func get(t *testing.T, s coord.Store, key string) (kv coord.KV) {
	t.Helper()
	eventually(t, "get "+key, func(ctx context.Context) (err error) {
		kv, _, err = s.Get(ctx, key)
		return err
	})
	return kv
}

func grant(t *testing.T, s coord.Store, ttl time.Duration) (lease coord.Lease) {
	t.Helper()
	eventually(t, "grant", func(ctx context.Context) (err error) {
		lease, err = s.Grant(ctx, ttl)
		return err
	})
	return lease
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// wantText checks that an error says something.
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

// follower is a watch that is resumed when its link breaks.
type follower struct {
	t      *testing.T
	s      coord.Store
	prefix string
	next   int64
	broken int // how often it broke
	watch  <-chan coord.Batch
}

func follow(t *testing.T, s coord.Store, prefix string, fromRev int64) *follower {
	t.Helper()
	return &follower{t: t, s: s, prefix: prefix, next: fromRev, watch: s.Watch(t.Context(), prefix, fromRev)}
}

// batch is the next batch, resuming the watch as often as need be.
func (f *follower) batch() coord.Batch {
	f.t.Helper()
	ctx := limit(f.t)
	for {
		select {
		case b, ok := <-f.watch:
			if ok && b.Err == nil {
				f.next = b.Rev + 1
				return b
			}
			if ok && !errors.Is(b.Err, coord.ErrUnavailable) {
				f.t.Fatalf("watch: %v", b.Err)
			}
			if ok { // its channel is closed next
				f.broken++
				continue
			}
			f.watch = f.s.Watch(f.t.Context(), f.prefix, f.next)
		case <-ctx.Done():
			f.t.Fatal("the watch says nothing")
		}
	}
}

// ends waits for the end of the watch, and checks its error.
func (f *follower) ends(want error) {
	f.t.Helper()
	ctx := limit(f.t)
	for {
		select {
		case b, ok := <-f.watch:
			if !ok {
				return
			}
			if b.Err != nil {
				wantErr(f.t, "the watch", b.Err, want)
			}
		case <-ctx.Done():
			f.t.Fatal("the watch does not end")
		}
	}
}

// events are the next n events.
func (f *follower) events(n int) []coord.Event {
	f.t.Helper()
	var all []coord.Event
	for len(all) < n {
		all = append(all, f.batch().Events...)
	}
	return all
}

// open opens a store that the test's end closes.
func open(t *testing.T, cfg etcd.Config) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
