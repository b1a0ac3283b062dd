package etcd

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/xiaonanln/goverse/internal/coord"
)

// watch is one watch, with a gRPC stream of its own: a slow receiver fills the window of that stream alone.
type watch struct {
	store  *Store
	prefix string
	next   int64 // the revision to tell next
	out    chan coord.Batch
}

// Watch implements coord.Watcher. It begins with a linearizable read, and is therefore refused where there is no quorum.
func (s *Store) Watch(ctx context.Context, prefix string, fromRev int64) <-chan coord.Batch {
	w := &watch{store: s, prefix: prefix, next: fromRev, out: make(chan coord.Batch)}
	if !s.start(func() { w.run(ctx) }) {
		close(w.out)
	}
	return w.out
}

// run tells the watch and then why it is over, unless nobody listens.
func (w *watch) run(ctx context.Context) {
	defer close(w.out)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	err := w.tell(ctx)
	if ctx.Err() != nil {
		return
	}
	w.send(ctx, coord.Batch{Err: fmt.Errorf("watch %q: %w", w.prefix, err)})
}

// send is false if nobody listens any more.
func (w *watch) send(ctx context.Context, b coord.Batch) bool {
	select {
	case w.out <- b:
		return true
	case <-ctx.Done():
	case <-w.store.closing: // the closed channel says it as well
	}
	return false
}

// tell opens the stream and passes on what comes, until something is wrong.
func (w *watch) tell(ctx context.Context) error {
	if w.next < 1 {
		return fmt.Errorf("from revision %d: %w", w.next, coord.ErrInvalid)
	}
	p, err := w.reach(ctx)
	if err != nil {
		return err
	}
	stream, err := w.create(ctx, p)
	if err != nil {
		return w.broke(p, err)
	}
	var pending []*mvccpb.Event // of fragments
	for {
		res, err := stream.Recv()
		if err != nil {
			return w.broke(p, err)
		}
		if err := w.store.past.same(res.GetHeader()); err != nil {
			return err
		}
		switch {
		case res.GetCompactRevision() != 0:
			return fmt.Errorf("from revision %d, the oldest is %d: %w", w.next, res.GetCompactRevision(), coord.ErrCompacted)
		case res.GetCanceled():
			return fmt.Errorf("%w: etcd endpoint %s ended the watch: %s", coord.ErrUnavailable, p.link.endpoint, res.GetCancelReason())
		case res.GetCreated():
			continue
		}
		pending = append(pending, res.GetEvents()...)
		if res.GetFragment() {
			continue
		}
		if !w.pass(ctx, res.GetHeader().GetRevision(), pending) {
			return coord.ErrUnavailable // to nobody
		}
		pending = nil
	}
}

// reach finds the path for the stream. It reads to that end: an etcd that was restored to the past would take the watch
// for one of the future, and say nothing for as long as it takes to get there.
func (w *watch) reach(ctx context.Context) (p path, err error) {
	floor := w.store.past.seen.Load()
	from, to := span(w.prefix)
	var res *pb.RangeResponse
	err = w.store.call(ctx, repeatable, func(ctx context.Context, via path) (err error) {
		p = via
		res, err = pb.NewKVClient(via.conn).Range(ctx, &pb.RangeRequest{Key: from, RangeEnd: to, CountOnly: true, Limit: 1})
		return err
	})
	if err != nil {
		return path{}, err
	}
	return p, w.store.past.later(res.GetHeader(), floor)
}

func (w *watch) create(ctx context.Context, p path) (pb.Watch_WatchClient, error) {
	stream, err := pb.NewWatchClient(p.conn).Watch(p.outgoing(ctx))
	if err != nil {
		return nil, err
	}
	from, to := span(w.prefix)
	create := &pb.WatchCreateRequest{Key: from, RangeEnd: to, StartRevision: w.next, ProgressNotify: true, Fragment: true}
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})
	if err != nil {
		// The reason, if there is one, is what Recv says.
		if _, why := stream.Recv(); why != nil {
			err = why
		}
		return nil, err
	}
	return stream, nil
}

// pass tells whole revisions; rev is the store's. It is false if nobody listens any more.
func (w *watch) pass(ctx context.Context, rev int64, events []*mvccpb.Event) bool {
	b := coord.Batch{Rev: rev, Events: make([]coord.Event, len(events))}
	for i, e := range events {
		b.Events[i] = coord.Event{Deleted: e.GetType() == mvccpb.Event_DELETE, KV: fromKV(e.GetKv())}
		b.Rev = e.GetKv().GetModRevision() // of a watch that lags behind, the header's may be of what is still to come
	}
	if b.Rev < w.next {
		return true // progress of a watch of the future
	}
	w.next = b.Rev + 1
	return w.send(ctx, b)
}

// broke is why the stream ended.
func (w *watch) broke(p path, err error) error {
	_, err = judge(err)
	return fmt.Errorf("etcd endpoint %s: %w", p.link.endpoint, err)
}
