package etcd

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/xiaonanln/goverse/internal/coord"
)

// Get implements coord.Reader.
func (s *Store) Get(ctx context.Context, key string) (kv coord.KV, rev int64, err error) {
	if key == "" {
		return coord.KV{}, 0, fmt.Errorf("get an empty key: %w", coord.ErrInvalid)
	}
	res, err := s.read(ctx, &pb.RangeRequest{Key: []byte(key)})
	if err != nil {
		return coord.KV{}, 0, fmt.Errorf("get key %q: %w", key, err)
	}
	if kvs := res.GetKvs(); len(kvs) > 0 {
		kv = fromKV(kvs[0])
	}
	return kv, res.GetHeader().GetRevision(), nil
}

// Range implements coord.Reader.
func (s *Store) Range(ctx context.Context, prefix string, opts coord.RangeOptions) (coord.Page, error) {
	if opts.Limit < 0 || opts.Rev < 0 {
		return coord.Page{}, fmt.Errorf("range over %q with a negative option: %w", prefix, coord.ErrInvalid)
	}
	from, to := span(prefix)
	if opts.StartKey > string(from) {
		from = []byte(opts.StartKey)
	}
	res, err := s.read(ctx, &pb.RangeRequest{Key: from, RangeEnd: to, Limit: int64(opts.Limit), Revision: opts.Rev})
	if err != nil {
		return coord.Page{}, fmt.Errorf("range over %q: %w", prefix, err)
	}
	page := coord.Page{Rev: opts.Rev, More: res.GetMore(), KVs: make([]coord.KV, len(res.GetKvs()))}
	if page.Rev == 0 {
		page.Rev = res.GetHeader().GetRevision()
	}
	for i, kv := range res.GetKvs() {
		page.KVs[i] = fromKV(kv)
	}
	return page, nil
}

// read sends a linearizable read.
func (s *Store) read(ctx context.Context, req *pb.RangeRequest) (res *pb.RangeResponse, err error) {
	floor := s.past.seen.Load()
	err = s.call(ctx, repeatable, func(ctx context.Context, p path) (err error) {
		res, err = pb.NewKVClient(p.conn).Range(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, s.past.later(res.GetHeader(), floor)
}

// Compact implements coord.Compactor.
func (s *Store) Compact(ctx context.Context, rev int64) error {
	var res *pb.CompactionResponse
	err := s.call(ctx, once, func(ctx context.Context, p path) (err error) {
		res, err = pb.NewKVClient(p.conn).Compact(ctx, &pb.CompactionRequest{Revision: rev})
		return err
	})
	if err == nil {
		err = s.past.same(res.GetHeader())
	}
	if err != nil {
		return fmt.Errorf("compact at revision %d: %w", rev, err)
	}
	return nil
}

// span is the range of the keys that begin with prefix, in etcd's way of saying it.
func span(prefix string) (from, to []byte) {
	if prefix == "" {
		return []byte{0}, []byte{0} // all
	}
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return []byte(prefix), end[:i+1]
		}
	}
	return []byte(prefix), []byte{0} // to the last
}

func fromKV(kv *mvccpb.KeyValue) coord.KV {
	return coord.KV{
		Key:       string(kv.GetKey()),
		Value:     kv.GetValue(),
		CreateRev: kv.GetCreateRevision(),
		ModRev:    kv.GetModRevision(),
		Version:   kv.GetVersion(),
		Lease:     coord.LeaseID(kv.GetLease()),
	}
}
