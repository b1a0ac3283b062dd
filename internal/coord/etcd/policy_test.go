package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// requests are all that a store can be asked for, by the name of their protocol method.
func requests(s *etcd.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Range": func(ctx context.Context) error { _, _, err := s.Get(ctx, "k"); return err },
		"Txn": func(ctx context.Context) error {
			_, err := s.Txn(ctx, coord.Txn{Then: []coord.Op{coord.Put("k", nil)}})
			return err
		},
		"Compact":        func(ctx context.Context) error { return s.Compact(ctx, 1) },
		"LeaseGrant":     func(ctx context.Context) error { _, err := s.Grant(ctx, time.Second); return err },
		"LeaseRevoke":    func(ctx context.Context) error { return s.Revoke(ctx, 7) },
		"LeaseKeepAlive": func(ctx context.Context) error { _, err := s.KeepAliveOnce(ctx, 7); return err },
	}
}

// What is sent again over another link after which error, and what the caller is told if not.
func TestWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	const never, reads, always = "never", "reads", "always"
	for _, tc := range []struct {
		err   error
		again string
		want  error
	}{
		// Said before anything is done.
		{rpctypes.ErrGRPCNoLeader, always, coord.ErrUnavailable},
		{rpctypes.ErrGRPCRequestTooManyRequests, always, coord.ErrUnavailable},
		// It may have been carried out.
		{rpctypes.ErrGRPCTimeout, reads, coord.ErrUnavailable},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, reads, coord.ErrUnavailable},
		{rpctypes.ErrGRPCTimeoutDueToConnectionLost, reads, coord.ErrUnavailable},
		{rpctypes.ErrGRPCLeaderChanged, reads, coord.ErrUnavailable},
		{rpctypes.ErrGRPCStopped, reads, coord.ErrUnavailable},
		{status.Error(codes.Unavailable, "a proxy between us"), reads, coord.ErrUnavailable},
		{status.Error(codes.Unknown, "raft proposal dropped"), reads, coord.ErrUnavailable},
		{status.Error(codes.Internal, "stream terminated"), reads, coord.ErrUnavailable},
		{status.Error(codes.DeadlineExceeded, "too late"), reads, coord.ErrUnavailable},
		{status.Error(codes.Canceled, "somebody else"), reads, coord.ErrUnavailable},
		{status.Error(codes.InvalidArgument, "not etcd's words"), reads, coord.ErrUnavailable},
		// No other endpoint would say anything else.
		{rpctypes.ErrGRPCCompacted, never, coord.ErrCompacted},
		{rpctypes.ErrGRPCFutureRev, never, coord.ErrFutureRev},
		{rpctypes.ErrGRPCLeaseNotFound, never, coord.ErrLeaseNotFound},
		{rpctypes.ErrGRPCTooManyOps, never, coord.ErrTooManyOps},
		{rpctypes.ErrGRPCDuplicateKey, never, coord.ErrDuplicateKey},
		{rpctypes.ErrGRPCEmptyKey, never, coord.ErrInvalid},
		{rpctypes.ErrGRPCRequestTooLarge, never, coord.ErrInvalid},
		{rpctypes.ErrGRPCLeaseTTLTooLarge, never, coord.ErrInvalid},
		{rpctypes.ErrGRPCPermissionDenied, never, coord.ErrRefused},
		{rpctypes.ErrGRPCNoSpace, never, coord.ErrRefused},
		{rpctypes.ErrGRPCUserEmpty, never, coord.ErrUnavailable},
	} {
		t.Run(tc.err.Error(), func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, 2)
			s := f.open(t)
			f.set(func(f *fakes) {
				f.answer = func(_ context.Context, n int) (int64, error) {
					if n == 0 {
						return 0, tc.err
					}
					return 1, nil
				}
			})
			for method, call := range requests(s) {
				read := slices.Contains([]string{"Range", "LeaseGrant", "LeaseKeepAlive"}, method)
				err := call(t.Context())
				made := f.made()
				again := tc.again == always || tc.again == reads && read
				if want := map[bool]int{true: 2, false: 1}[again]; len(made) != want {
					t.Errorf("%s was sent %d times, want %d", method, len(made), want)
				}
				switch {
				case again && err != nil:
					t.Errorf("%s: %v", method, err)
				case again && made[0] == made[1]:
					t.Errorf("%s was sent twice to the same endpoint", method)
				case !again:
					wantErr(t, method, err, tc.want)
				}
			}
		})
	}
}

// A link that fails is left, also by what is not sent again.
func TestFailingLinkIsLeft(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 2)
	s := f.open(t)
	f.set(func(f *fakes) {
		f.answer = func(_ context.Context, n int) (int64, error) {
			if n == 0 {
				return 0, rpctypes.ErrGRPCTimeout
			}
			return 1, nil
		}
	})
	first := s.CurrentEndpoint()
	put := requests(s)["Txn"]
	wantErr(t, "Txn", put(t.Context()), coord.ErrUnavailable)
	if s.CurrentEndpoint() == first {
		t.Error("the link that failed is still in use")
	}
	second := s.CurrentEndpoint()
	if err := put(t.Context()); err != nil {
		t.Error(err)
	}
	if s.CurrentEndpoint() != second {
		t.Error("the link that works was left")
	}
}

// All endpoints fail: each is asked once.
func TestEveryLinkIsTriedOnce(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 3)
	s := f.open(t)
	f.set(func(f *fakes) {
		f.answer = func(context.Context, int) (int64, error) { return 0, rpctypes.ErrGRPCNoLeader }
	})
	for method, call := range requests(s) {
		err := call(t.Context())
		wantErr(t, method, err, coord.ErrUnavailable)
		wantText(t, err, f.endpoints...)
		made := f.made()
		slices.Sort(made)
		if want := fmt.Sprintf("[0 %[1]s 1 %[1]s 2 %[1]s]", method); fmt.Sprint(made) != want {
			t.Errorf("sent %v, want %s", made, want)
		}
	}
	wantErr(t, "a watch", (<-s.Watch(t.Context(), "k", 1)).Err, coord.ErrUnavailable)
}

// The context limits a call, whatever the endpoint does.
func TestContextEndsACall(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 1)
	s := f.open(t)
	f.set(func(f *fakes) {
		f.answer = func(ctx context.Context, _ int) (int64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
	})
	for method, call := range requests(s) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := call(ctx)
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, coord.ErrUnavailable) || ctx.Err() == nil && err == nil {
			t.Errorf("%s: error %v", method, err) // the member may say so first
		}
		cancel()

		ctx, cancel = context.WithCancel(t.Context())
		f.made()
		ended := make(chan error, 1)
		go func() { ended <- call(ctx) }()
		f.sent(t, 1)
		cancel()
		wantErr(t, method, <-ended, context.Canceled)
	}
}

// A member that is slow to answer one request, but alive, keeps its connection and what hangs on it, be it that the
// answer is a refusal.
func TestSlowIsNotDead(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]error{"answers": nil, "refuses": rpctypes.ErrGRPCInvalidAuthToken} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, 2)
			log := &logged{}
			s := open(t, etcd.Config{Endpoints: f.endpoints, Logger: log.logger()})
			watch := s.Watch(t.Context(), "k", 1)
			f.sent(t, 1) // its read
			f.made()
			f.set(func(f *fakes) { f.asked, f.status = 0, status })
			// The member's gRPC may itself be the first to say that it is too late; then nobody suspects it.
			for probed := false; !probed; {
				slow := s.CurrentEndpoint()
				release := hang(t, f, 1)
				if _, _, err := s.Get(limit(t), "k"); err != nil {
					t.Fatalf("Get: %v", err)
				}
				release()
				if made := f.made(); len(made) != 2 || made[0] == made[1] || s.CurrentEndpoint() == slow {
					t.Errorf("sent %v, %s is in use after %s was slow", made, s.CurrentEndpoint(), slow)
				}
				eventually(t, "the probe", func(context.Context) error {
					if s.Probing() {
						return coord.ErrUnavailable
					}
					return nil
				})
				f.set(func(f *fakes) { probed = f.asked > 0 })
			}
			select {
			case b := <-watch:
				t.Errorf("the watch says %+v", b)
			default:
			}
			if said := strings.Join(log.all(), "\n"); strings.Contains(said, "closing its connection") {
				t.Errorf("it was taken for dead:\n%s", said)
			}
		})
	}
}

// hang lets the next n requests hang until release is called.
func hang(t *testing.T, f *fakes, n int) (release func()) {
	t.Helper()
	released := make(chan struct{})
	f.set(func(f *fakes) {
		f.calls = nil
		f.answer = func(_ context.Context, i int) (int64, error) {
			if i < n {
				<-released
			}
			return 1, nil
		}
	})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	return release
}

// The last link has all the time that the context allows, and so have writes on any.
func TestWhoHasNoPatienceToFear(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 2)
	s := f.open(t)
	release := hang(t, f, 5)
	results := make(chan error, 3)
	for i, method := range []string{"Txn", "Range", "Range"} {
		go func() { results <- requests(s)[method](t.Context()) }()
		// A Txn to the first link, a Range to both; and then another Range to both, which takes its Patience.
		f.sent(t, 1+2*i)
	}
	release()
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if made := f.made(); len(made) != 5 {
		t.Errorf("sent %v", made)
	}
}

// Who has less time than Patience does not stay on a silent link for that: it is left, and asked whether it lives.
func TestSilentLinkIsLeftByWhoHasLittleTime(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Range", "Txn", "LeaseKeepAlive"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, 3)
			s := f.open(t)
			first := s.CurrentEndpoint()
			f.set(func(f *fakes) {
				f.answer = func(ctx context.Context, n int) (int64, error) {
					if n == 0 {
						<-ctx.Done()
						return 0, ctx.Err()
					}
					return 1, nil
				}
			})
			left, leave := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- requests(s)[method](left) }()
			f.sent(t, 1)
			leave()
			<-ended
			if s.CurrentEndpoint() != first {
				t.Error("it was left though its caller had lost interest")
			}
			f.made()

			ctx, cancel := context.WithTimeout(t.Context(), etcd.Patience/2)
			defer cancel()
			_ = requests(s)[method](ctx) // it may be too late for the next link
			if s.CurrentEndpoint() == first {
				t.Error("the silent link is still in use")
			}
		})
	}
}

// While no endpoint works each is told of once, and again when it has worked meanwhile.
func TestATotalOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 3)
	log := &logged{}
	s := open(t, etcd.Config{Endpoints: f.endpoints, Logger: log.logger()})
	get := requests(s)["Range"]
	for round := range 2 {
		f.set(func(f *fakes) {
			f.answer = func(context.Context, int) (int64, error) { return 0, rpctypes.ErrGRPCNoLeader }
		})
		for range 10 {
			wantErr(t, "Get", get(t.Context()), coord.ErrUnavailable)
		}
		if n := strings.Count(strings.Join(log.all(), "\n"), "fails, using another"); n != 3+round {
			t.Errorf("round %d: told %d times", round, n)
		}
		f.set(func(f *fakes) { f.answer = nil })
		if err := get(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TTLs are rounded up to whole seconds.
func TestGrantRoundsUp(t *testing.T) {
	t.Parallel()
	s := newFakes(t, 1).open(t)
	for ttl, want := range map[time.Duration]time.Duration{
		-time.Hour: time.Second, 0: time.Second, 1: time.Second, 2 * time.Second: 2 * time.Second,
		2*time.Second + 1: 3 * time.Second, 2500 * time.Millisecond: 3 * time.Second,
	} {
		if lease, err := s.Grant(t.Context(), ttl); err != nil || lease.TTL != want {
			t.Errorf("Grant(%v) = %v, %v, want %v", ttl, lease.TTL, err, want)
		}
	}
}

// An endpoint that was down at Open is checked before it is used.
func TestLateEndpointIsChecked(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 1)
	late := freePort(t)
	s := open(t, etcd.Config{Endpoints: []string{f.endpoints[0], late}, DialTimeout: 20 * time.Second})
	old := newFakes(t, 0)
	old.version = "3.5.12"
	old.add(t, late)
	f.set(func(f *fakes) {
		f.answer = func(context.Context, int) (int64, error) { return 0, rpctypes.ErrGRPCNoLeader }
	})
	ctx := limit(t)
	for {
		_, _, err := s.Get(ctx, "k")
		if errors.Is(err, coord.ErrInvalid) || !errors.Is(err, coord.ErrUnavailable) {
			t.Fatalf("Get: %v, want ErrUnavailable alone", err)
		}
		if strings.Contains(err.Error(), "3.5.12") {
			break
		}
	}
	if made := old.made(); len(made) > 0 {
		t.Errorf("an endpoint that must not be used was asked %v", made)
	}
	f.set(func(f *fakes) { f.answer = nil })
	if _, _, err := s.Get(ctx, "k"); err != nil {
		t.Error(err)
	}
}
