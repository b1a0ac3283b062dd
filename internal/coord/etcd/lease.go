package etcd

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/xiaonanln/goverse/internal/coord"
)

// Grant implements coord.Leases. When an answer was lost it may leave a lease behind that nobody knows, which expires.
func (s *Store) Grant(ctx context.Context, ttl time.Duration) (coord.Lease, error) {
	seconds := int64(ttl / time.Second)
	if ttl%time.Second > 0 {
		seconds++
	}
	var res *pb.LeaseGrantResponse
	err := s.call(ctx, repeatable, func(ctx context.Context, p path) (err error) {
		res, err = pb.NewLeaseClient(p.conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: max(seconds, 1)})
		return err
	})
	if err == nil {
		err = s.past.same(res.GetHeader())
	}
	if err != nil {
		return coord.Lease{}, fmt.Errorf("grant lease: %w", err)
	}
	return coord.Lease{ID: coord.LeaseID(res.GetID()), TTL: time.Duration(res.GetTTL()) * time.Second}, nil
}

// KeepAliveOnce implements coord.Leases.
func (s *Store) KeepAliveOnce(ctx context.Context, lease coord.LeaseID) (time.Duration, error) {
	var res *pb.LeaseKeepAliveResponse
	err := s.call(ctx, repeatable, func(ctx context.Context, p path) (err error) {
		res, err = keepAlive(ctx, p, lease)
		return err
	})
	if err == nil {
		err = s.past.same(res.GetHeader())
	}
	if err == nil && res.GetTTL() <= 0 {
		err = coord.ErrLeaseNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("keep lease %x alive: %w", lease, err)
	}
	return time.Duration(res.GetTTL()) * time.Second, nil
}

// keepAlive sends one keepalive on a stream of its own.
func keepAlive(ctx context.Context, p path, lease coord.LeaseID) (*pb.LeaseKeepAliveResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := pb.NewLeaseClient(p.conn).LeaseKeepAlive(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(lease)}); err != nil {
		// The reason, if there is one, is what Recv says.
		if _, why := stream.Recv(); why != nil {
			err = why
		}
		return nil, err
	}
	return stream.Recv()
}

// Revoke implements coord.Leases.
func (s *Store) Revoke(ctx context.Context, lease coord.LeaseID) error {
	var res *pb.LeaseRevokeResponse
	err := s.call(ctx, once, func(ctx context.Context, p path) (err error) {
		res, err = pb.NewLeaseClient(p.conn).LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: int64(lease)})
		return err
	})
	if err == nil {
		err = s.past.same(res.GetHeader())
	}
	if err != nil {
		return fmt.Errorf("revoke lease %x: %w", lease, err)
	}
	return nil
}
