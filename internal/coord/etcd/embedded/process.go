package embedded

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// errNoReason is why etcd stopped when it does not say.
var errNoReason = errors.New("it gives no reason")

// process is a running etcd.
type process struct {
	etcd       *embed.Etcd
	folder     folder
	quiet      func()             // what etcd says about its own stop is no error
	endStreams context.CancelFunc // etcd would wait 7 s for its clients to leave
}

// launch starts an etcd and waits until it serves. It is an inUseError if the address or the folder is in use.
func (s *Server) launch(ctx context.Context) (*process, error) {
	dir, err := openFolder(s.cfg.Dir)
	if err != nil {
		return nil, err
	}
	streams, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	core := newLogCore(s.cfg.Logger)
	cfg := s.settings(dir)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(core))
	cfg.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ChainStreamInterceptor(endWith(streams))}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		endStreams()
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "listen" {
			err = inUseError{what: "address " + s.address, err: err, advice: "name an etcd with -etcd, or free the port"}
		}
		return nil, errors.Join(err, dir.close())
	}
	p := &process{etcd: e, folder: dir, quiet: core.silence, endStreams: endStreams}
	if err := p.wait(ctx, e.Server.ReadyNotify()); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// settings are etcd's defaults where nothing is said.
func (s *Server) settings(dir folder) *embed.Config {
	client := url.URL{Scheme: "http", Host: netip.AddrPortFrom(s.host, s.port).String()}
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:1"} // a name in the member list; nobody listens, nobody calls
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = "goverse", dir.path
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.InitialClusterToken = rand.Text() // another folder, another cluster ID
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, "1h"
	cfg.PreVote = true
	cfg.TickMs, cfg.ElectionMs = 50, 250 // it elects itself at the start: within 300 ms rather than 1.1 s
	cfg.UnsafeNoFsync = dir.temporary    // nothing is kept
	cfg.EnableGRPCGateway = false
	cfg.CORS = nil // no web page has any business here
	cfg.HostWhitelist = map[string]struct{}{"localhost": {}, s.host.String(): {}}
	return cfg
}

// address is where clients are listened to.
func (p *process) address() string { return p.etcd.Clients[0].Addr().String() }

// wait returns when ctx ends, or says why etcd stopped by itself.
func (p *process) wait(ctx context.Context, until <-chan struct{}) error {
	select {
	case <-until:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case err := <-p.etcd.Err():
		return fmt.Errorf("etcd has stopped: %w", cmp.Or(err, errNoReason))
	case <-p.etcd.Server.StopNotify():
		return fmt.Errorf("etcd has stopped: %w", errNoReason)
	}
}

// stop ends etcd and waits for it.
func (p *process) stop() error {
	p.quiet()
	p.endStreams()
	p.etcd.Close()
	return p.folder.close()
}

// endWith ends streams when ctx ends.
func endWith(ctx context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		own, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return handler(srv, endingStream{ServerStream: stream, ctx: own})
	}
}

// endingStream is a stream with another context.
type endingStream struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // grpc.ServerStream is an interface that hands out a context
}

func (s endingStream) Context() context.Context { return s.ctx }

// folder is where etcd keeps its data.
type folder struct {
	path      string
	temporary bool
	lock      *fileutil.LockedFile // nil if it is temporary
}

// openFolder makes the folder and locks it: etcd itself would wait until whoever has it goes away.
func openFolder(path string) (folder, error) {
	if path == "" {
		path, err := os.MkdirTemp("", "goverse-etcd-")
		return folder{path: path, temporary: true}, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return folder{}, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := fileutil.TryLockFile(filepath.Join(path, "goverse.lock"), os.O_WRONLY|os.O_CREATE, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return folder{}, inUseError{what: "data folder " + path, err: err, advice: "name another folder with -data"}
	}
	if err != nil {
		return folder{}, fmt.Errorf("lock data folder: %w", err)
	}
	return folder{path: path, lock: lock}, nil
}

// close unlocks the folder, or removes it if it is temporary.
func (f folder) close() error {
	if f.temporary {
		return os.RemoveAll(f.path)
	}
	return f.lock.Close()
}
