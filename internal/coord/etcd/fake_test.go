package etcd_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// fakes are endpoints that speak etcd's protocol and say what a test wants.
type fakes struct {
	endpoints []string

	mu      sync.Mutex // guards the fields below
	version string
	cluster uint64
	calls   []string // "0 Range", "1 Txn", …
	asked   int      // how often for the status

	// status is the error that the status is answered with.
	status error
	// answer is what a request is answered with; nil: revision 1. n counts the requests, from 0.
	answer func(ctx context.Context, n int) (rev int64, err error)
	// watch serves a watch that has been created; nil: says nothing.
	watch func(pb.Watch_WatchServer) error
	// login serves a login; nil: authentication is not enabled.
	login func() (string, error)
}

// fake is one of them.
type fake struct {
	pb.UnimplementedKVServer
	pb.UnimplementedLeaseServer
	pb.UnimplementedWatchServer
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedAuthServer

	all   *fakes
	index int
}

func newFakes(t *testing.T, n int) *fakes {
	t.Helper()
	f := &fakes{version: "3.7.3", cluster: 1}
	for range n {
		f.add(t, "127.0.0.1:0")
	}
	return f
}

// add starts another one.
func (f *fakes) add(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	one := &fake{all: f, index: len(f.endpoints)}
	f.endpoints = append(f.endpoints, l.Addr().String())
	s := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: embed.DefaultGRPCKeepAliveMinTime}))
	pb.RegisterKVServer(s, one)
	pb.RegisterLeaseServer(s, one)
	pb.RegisterWatchServer(s, one)
	pb.RegisterMaintenanceServer(s, one)
	pb.RegisterAuthServer(s, one)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.Stop()
		wg.Wait()
	})
}

func (f *fakes) open(t *testing.T) *etcd.Store {
	t.Helper()
	return open(t, etcd.Config{Endpoints: f.endpoints})
}

// set changes what the fakes say.
func (f *fakes) set(change func(*fakes)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// made is the requests so far, of all endpoints, without their numbers, and forgets them.
func (f *fakes) made() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.calls = nil }()
	return slices.Clone(f.calls)
}

// sent waits until n requests were sent since they were last forgotten.
func (f *fakes) sent(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprint("request ", n), func(context.Context) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.calls) < n {
			return coord.ErrUnavailable
		}
		return nil
	})
}

func (f *fakes) header(rev int64) *pb.ResponseHeader {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &pb.ResponseHeader{ClusterId: f.cluster, Revision: rev}
}

// ask notes a request and is its answer.
func (f *fake) ask(ctx context.Context, method string) (*pb.ResponseHeader, error) {
	f.all.mu.Lock()
	n, answer := len(f.all.calls), f.all.answer
	f.all.calls = append(f.all.calls, fmt.Sprint(f.index, " ", method))
	f.all.mu.Unlock()
	if answer == nil {
		return f.all.header(1), nil
	}
	rev, err := answer(ctx, n)
	return f.all.header(rev), err
}

func (f *fake) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	f.all.mu.Lock()
	f.all.asked++
	version, err := f.all.version, f.all.status
	f.all.mu.Unlock()
	return &pb.StatusResponse{Header: f.all.header(1), Version: version}, err
}

func (f *fake) Range(ctx context.Context, _ *pb.RangeRequest) (*pb.RangeResponse, error) {
	h, err := f.ask(ctx, "Range")
	return &pb.RangeResponse{Header: h}, err
}

func (f *fake) Txn(ctx context.Context, _ *pb.TxnRequest) (*pb.TxnResponse, error) {
	h, err := f.ask(ctx, "Txn")
	return &pb.TxnResponse{Header: h, Succeeded: true}, err
}

func (f *fake) Compact(ctx context.Context, _ *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	h, err := f.ask(ctx, "Compact")
	return &pb.CompactionResponse{Header: h}, err
}

func (f *fake) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	h, err := f.ask(ctx, "LeaseGrant")
	return &pb.LeaseGrantResponse{Header: h, ID: 7, TTL: r.GetTTL()}, err
}

func (f *fake) LeaseRevoke(ctx context.Context, _ *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	h, err := f.ask(ctx, "LeaseRevoke")
	return &pb.LeaseRevokeResponse{Header: h}, err
}

func (f *fake) LeaseKeepAlive(stream pb.Lease_LeaseKeepAliveServer) error {
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	h, err := f.ask(stream.Context(), "LeaseKeepAlive")
	if err != nil {
		return err
	}
	return stream.Send(&pb.LeaseKeepAliveResponse{Header: h, ID: req.GetID(), TTL: 5})
}

func (f *fake) Watch(stream pb.Watch_WatchServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	f.all.mu.Lock()
	watch := f.all.watch
	f.all.mu.Unlock()
	if err := stream.Send(&pb.WatchResponse{Header: f.all.header(1), Created: true}); err != nil {
		return err
	}
	if watch == nil {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	return watch(stream)
}

func (f *fake) Authenticate(context.Context, *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	f.all.mu.Lock()
	login := f.all.login
	f.all.mu.Unlock()
	token, err := login()
	return &pb.AuthenticateResponse{Header: f.all.header(1), Token: token}, err
}
