package etcd_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// member is an etcd server in this process that can be stopped and started again on the same folder and ports.
type member struct {
	t        *testing.T
	endpoint string // its client address
	cfg      func() *embed.Config
	etcd     *embed.Etcd // nil while it is stopped
}

// freePort is a loopback address that nobody listened on a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
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
		members[i] = &member{t: t, endpoint: client.Host, cfg: func() *embed.Config {
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
		e, err := embed.StartEtcd(m.cfg())
		if err != nil {
			t.Fatal(err)
		}
		m.etcd = e
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
	m.etcd.Close()
	m.etcd = nil
}

// endpoints are the client addresses of members.
func endpoints(members []*member) []string {
	out := make([]string, len(members))
	for i, m := range members {
		out[i] = m.endpoint
	}
	return out
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
