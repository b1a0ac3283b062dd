package etcd

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/xiaonanln/goverse/internal/coord"
)

// Txn implements coord.Transactor. etcd refuses requests of more than 1.5 MiB with coord.ErrInvalid.
func (s *Store) Txn(ctx context.Context, txn coord.Txn) (coord.TxnResult, error) {
	if err := txn.Validate(); err != nil {
		return coord.TxnResult{}, fmt.Errorf("run transaction: %w", err)
	}
	req := &pb.TxnRequest{Compare: toCompares(txn.If), Success: toOps(txn.Then), Failure: toOps(txn.Else)}
	floor := s.past.seen.Load()
	var res *pb.TxnResponse
	err := s.call(ctx, repeat(readsOnly(txn)), func(ctx context.Context, p path) (err error) {
		res, err = pb.NewKVClient(p.conn).Txn(ctx, req)
		return err
	})
	if err == nil {
		err = s.past.later(res.GetHeader(), floor)
	}
	if err != nil {
		return coord.TxnResult{}, fmt.Errorf("run transaction: %w", err)
	}
	return fromTxn(res), nil
}

// readsOnly says whether a transaction changes nothing, whichever branch is taken.
func readsOnly(txn coord.Txn) bool {
	for _, branch := range [][]coord.Op{txn.Then, txn.Else} {
		for _, op := range branch {
			if op.Kind != coord.OpGet {
				return false
			}
		}
	}
	return true
}

func toCompares(in []coord.Compare) []*pb.Compare {
	out := make([]*pb.Compare, len(in))
	for i, c := range in {
		out[i] = &pb.Compare{Key: []byte(c.Key), Result: pb.Compare_EQUAL}
		switch c.Target {
		case coord.TargetCreateRev:
			out[i].Target, out[i].TargetUnion = pb.Compare_CREATE, &pb.Compare_CreateRevision{CreateRevision: c.Rev}
		case coord.TargetModRev:
			out[i].Target, out[i].TargetUnion = pb.Compare_MOD, &pb.Compare_ModRevision{ModRevision: c.Rev}
		case coord.TargetValue:
			out[i].Target, out[i].TargetUnion = pb.Compare_VALUE, &pb.Compare_Value{Value: c.Value}
		}
	}
	return out
}

func toOps(in []coord.Op) []*pb.RequestOp {
	out := make([]*pb.RequestOp, len(in))
	for i, op := range in {
		out[i] = toOp(op)
	}
	return out
}

func toOp(op coord.Op) *pb.RequestOp {
	key := []byte(op.Key)
	switch op.Kind {
	case coord.OpPut:
		put := &pb.PutRequest{Key: key, Value: op.Value, Lease: int64(op.Lease)}
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}}
	case coord.OpDelete:
		del := &pb.DeleteRangeRequest{Key: key}
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: del}}
	case coord.OpDeletePrefix:
		from, to := span(op.Key)
		del := &pb.DeleteRangeRequest{Key: from, RangeEnd: to}
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: del}}
	case coord.OpGet:
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key}}}
}

func fromTxn(res *pb.TxnResponse) coord.TxnResult {
	out := coord.TxnResult{
		Succeeded: res.GetSucceeded(),
		Rev:       res.GetHeader().GetRevision(),
		Results:   make([]coord.OpResult, len(res.GetResponses())),
	}
	for i, r := range res.GetResponses() {
		if kvs := r.GetResponseRange().GetKvs(); len(kvs) > 0 {
			out.Results[i].KV = fromKV(kvs[0])
		}
		out.Results[i].Deleted = r.GetResponseDeleteRange().GetDeleted()
	}
	return out
}
