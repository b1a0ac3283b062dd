// Package etcd is the coordination store on etcd, v3 API.
//
// A [Store] speaks gRPC to etcd itself, by etcd's own protocol package, and not by way of clientv3. clientv3 waits for
// a connection for as long as the context lets it, renews leases in a loop without pause while there is no leader, and
// resumes watches behind its caller's back; and it deals requests out to all endpoints in turn, so that of three
// members a frozen one takes a third of all requests with it until a ping of gRPC's finds it out, 10 s later at best.
//
// # Endpoints
//
// A Store has one link to each endpoint and sends everything over one of them. Endpoints are tried in an order drawn at
// random when the Store is opened. When a link cannot connect, loses its connection or its member has no leader, the
// next one is used, and stays in use. A request that may be carried out twice (a read, a keepalive, a grant) is then
// sent again over the next link, each link once; all others only as long as it is certain that they were not carried
// out. If a read is not answered within [Patience], or within its share of what time the context leaves, it is sent over
// the next link as well, and the silent member is asked for its status: without an answer to that within Patience
// either, the connection is closed, which ends the watches and writes that hang on it. The same befalls a link over which
// any request was under way when its context's time was over. Where there is one endpoint alone, or one left, nothing but the context limits how
// long a call may take. Below all this, gRPC pings a connection on which nothing was received for 10 s, and closes it if
// nothing comes for another 3 s; on Linux it also closes one that does not acknowledge bytes for 3 s.
//
// The version of etcd behind an endpoint is checked before the endpoint is used for the first time; see [Open].
//
// # Errors
//
// Errors are those of package coord. What etcd answers is told apart by etcd's error values, never by their text. An
// answer that has no better name (as a login that does not work any more) is coord.ErrUnavailable with etcd's words:
// nothing that the caller could do differently would help.
//
// A revision below one that was seen before the request was sent, or another cluster ID, is coord.ErrRestored, for the
// rest of the Store's life.
//
// # Goroutines
//
// The Store owns one goroutine per watch, and one while it asks a silent endpoint for its status. Close ends them and
// waits.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/xiaonanln/goverse/internal/coord"
)

// Patience is how long a link may take to answer what can be asked over another link as well.
const Patience = 750 * time.Millisecond

// stragglers is how long Open waits for the other endpoints when one has answered.
const stragglers = time.Second

// Store is an etcd cluster, as seen by one process. It implements coord.Store.
type Store struct {
	log     *slog.Logger
	links   []*link
	current atomic.Int64  // the index of the link in use
	past    past          // what the store is known to have been
	closing chan struct{} // closed by Close
	broken  chan struct{} // a token: a connection has ended; nil if the etcd is not fragile
	wg      sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	closed bool
}

var _ coord.Store = (*Store)(nil)

// Open connects to etcd. It asks every endpoint for its version and returns when all have answered or failed, but waits
// no longer than cfg.DialTimeout for the first answer and 1 s more for the others. An endpoint that did not answer is
// logged, and asked again before it is used.
//
// Open fails with coord.ErrInvalid if cfg is wrong, if etcd refuses the user or the password, if the endpoints belong to
// different clusters, or if one runs a version whose leases are known to be unsafe: older than 3.4.42, 3.5.28 or 3.6.9
// in its minor line, or older than all of these. It fails with coord.ErrUnavailable if no endpoint answers. An endpoint
// that turns out later to be of the wrong kind is not used.
//
// The context limits Open alone. The caller closes the Store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, endpoints, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("open etcd: %w", err)
	}
	s := &Store{log: cfg.Logger, closing: make(chan struct{})}
	rand.Shuffle(len(endpoints), func(i, j int) { //nolint:gosec // spreads the load; no secret
		endpoints[i], endpoints[j] = endpoints[j], endpoints[i]
	})
	var dial []grpc.DialOption
	if cfg.Fragile {
		s.broken = make(chan struct{}, 1)
		dial = append(dial, grpc.WithContextDialer(s.dialFragile))
	}
	for _, e := range endpoints {
		l, err := newLink(e, cfg, s.admit, dial...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open etcd: %w", err), s.Close())
		}
		s.links = append(s.links, l)
	}
	if err := s.meet(ctx, cfg.DialTimeout); err != nil {
		return nil, errors.Join(fmt.Errorf("open etcd: %w", err), s.Close())
	}
	return s, nil
}

// Close ends all watches, fails all calls under way with coord.ErrUnavailable, and waits for the Store's goroutines.
// Leases go on living until they expire. It may be called again.
func (s *Store) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()

	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.close())
	}
	s.wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close etcd: %w", err)
	}
	return nil
}

// ClusterID is the ID of the etcd cluster, which a restored or replaced one may or may not share.
func (s *Store) ClusterID() uint64 { return s.past.cluster.Load() }

// start runs f on a goroutine that Close waits for; not if the Store is closed.
func (s *Store) start(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

// answer is how an endpoint took part in Open.
type answer struct {
	link *link
	err  error
}

// meet makes the acquaintance of all endpoints.
func (s *Store) meet(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answers := make(chan answer, len(s.links))
	for _, l := range s.links {
		s.wg.Go(func() {
			_, err := l.open(ctx, true)
			answers <- answer{l, err}
		})
	}
	var silent []answer
	met, late := 0, ctx.Done()
	for len(silent)+met < len(s.links) {
		select {
		case a := <-answers:
			if errors.Is(a.err, coord.ErrInvalid) {
				return a.err
			}
			if a.err != nil {
				silent = append(silent, a)
				continue
			}
			if met++; met == 1 {
				grace, cancel := context.WithTimeout(ctx, stragglers)
				defer cancel()
				late = grace.Done()
			}
		case <-late:
			late = nil // all answer now, with what ended ctx, unless one did before
			if met > 0 {
				s.log.WarnContext(ctx, "some etcd endpoints have not answered yet", "answered", met, "endpoints", len(s.links))
				return nil
			}
		}
	}
	return s.judge(ctx, silent, met)
}

// judge ends an acquaintance in which every endpoint has answered or failed.
func (s *Store) judge(ctx context.Context, silent []answer, met int) error {
	if met > 0 {
		for _, a := range silent {
			s.log.WarnContext(ctx, "etcd endpoint does not answer, going on without it", "endpoint", a.link.endpoint, "err", a.err)
		}
		return nil
	}
	whys := make([]string, len(silent))
	for i, a := range silent {
		whys[i] = a.err.Error()
	}
	return fmt.Errorf("%w: no endpoint answers: %s", coord.ErrUnavailable, strings.Join(whys, "; "))
}

// admit says why an endpoint may not be used: a bad version, or another cluster than the first.
func (s *Store) admit(endpoint string, status *pb.StatusResponse) error {
	if err := checkVersion(endpoint, status.GetVersion()); err != nil {
		return err
	}
	id := status.GetHeader().GetClusterId()
	if first := s.past.pin(id); first != id {
		return fmt.Errorf("%w: etcd endpoint %s belongs to cluster %x, the others to %x", coord.ErrInvalid, endpoint, id, first)
	}
	return nil
}
