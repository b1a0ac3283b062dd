package etcd_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// etcd cuts what is larger than 1.5 MiB into fragments, in the midst of a revision. Revisions are told whole.
func TestWatchOfFragments(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, nil)
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	const revs, keys = 5, 7
	value := strings.Repeat("x", 100<<10)
	var first int64
	for range revs {
		ops := make([]coord.Op, keys)
		for i := range ops {
			ops[i] = coord.Put(fmt.Sprint("k", i), []byte(value))
		}
		res, err := s.Txn(t.Context(), coord.Txn{Then: ops})
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = res.Rev
		}
	}
	f := follow(t, s, "k", first)
	for f.next < first+revs {
		from := f.next
		b := f.batch()
		if want := int(b.Rev-from+1) * keys; len(b.Events) != want {
			t.Fatalf("the batch from revision %d to %d has %d events, want %d", from, b.Rev, len(b.Events), want)
		}
		for i, e := range b.Events {
			if e.KV.Key != fmt.Sprint("k", i%keys) || e.KV.ModRev != from+int64(i/keys) || len(e.KV.Value) != len(value) {
				t.Errorf("event %d of the batch from %d: %s at %d", i, from, e.KV.Key, e.KV.ModRev)
			}
		}
	}

	_, err := s.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.Put("k", make([]byte, 1600<<10))}})
	wantErr(t, "a transaction of more than 1.5 MiB", err, coord.ErrInvalid)
	_, err = s.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.Put("k", make([]byte, 4<<20))}})
	if err == nil {
		t.Error("a transaction of 4 MiB was not refused")
	}
}

// A watch that has nothing to tell says how far that is true, and one of the future says nothing.
func TestWatchProgress(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, func(cfg *embed.Config) { cfg.WatchProgressNotifyInterval = 100 * time.Millisecond })
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	future := s.Watch(t.Context(), "", 1000)
	f := follow(t, s, "none", 1)
	var rev int64
	for range 3 {
		rev = put(t, s, "k", "", coord.NoLease)
	}
	for f.next <= rev {
		if b := f.batch(); len(b.Events) > 0 {
			t.Errorf("batch %+v", b)
		}
	}
	again := follow(t, s, "", f.next) // resumed where that was true: nothing is lost
	last := put(t, s, "l", "", coord.NoLease)
	if got := again.events(1)[0].KV; got.ModRev != last {
		t.Errorf("the resumed watch tells %+v, want revision %d", got, last)
	}
	for before := f.next; f.next < before+2; { // two more reports: the future had its chance
		put(t, s, "k", "", coord.NoLease)
		f.batch()
	}
	select {
	case b := <-future:
		t.Errorf("a watch of the future says %+v", b)
	default:
	}
}

// Who does not receive loses its watch to a compaction, and holds up nobody else.
func TestSlowWatch(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, nil)
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow := s.Watch(ctx, "k", 2)
	fast := follow(t, s, "k", 2)
	// More than all the buffers on the way hold: etcd's 1024 answers per stream, gRPC's windows, TCP's.
	const writers, each = 8, 250
	value := strings.Repeat("x", 4<<10)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				put(t, s, fmt.Sprint("k", w), value, coord.NoLease)
			}
		})
	}
	fast.events(writers * each)
	wg.Wait()
	if err := s.Compact(t.Context(), fast.next-1); err != nil {
		t.Fatal(err)
	}
	told := 0
	for b := range slow {
		if b.Err != nil {
			wantErr(t, "the slow watch", b.Err, coord.ErrCompacted)
			break
		}
		told += len(b.Events)
	}
	if told >= writers*each {
		t.Errorf("the slow watch was told all of %d events: nothing was compacted away", told)
	}
	if _, ok := <-slow; ok {
		t.Error("the watch goes on after its error")
	}
}

// What was compacted while a watch was broken is lost, and said to be.
func TestCompactionBehindABrokenWatch(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, nil)
	start(t, members...)
	p := newProxy(t, members[0].endpoint)
	s := open(t, etcd.Config{Endpoints: []string{p.endpoint}})
	other := open(t, etcd.Config{Endpoints: endpoints(members)})
	rev := put(t, s, "k", "1", coord.NoLease)
	watch := s.Watch(t.Context(), "k", rev)
	if b := <-watch; b.Rev != rev {
		t.Fatalf("batch %+v", b)
	}
	p.cut()
	wantErr(t, "the watch", (<-watch).Err, coord.ErrUnavailable)
	put(t, other, "k", "2", coord.NoLease)
	if err := other.Compact(t.Context(), put(t, other, "k", "3", coord.NoLease)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the link is back", func(ctx context.Context) error {
		_, _, err := s.Get(ctx, "k")
		return err
	})
	wantErr(t, "the resumed watch", (<-s.Watch(t.Context(), "k", rev+1)).Err, coord.ErrCompacted)
}

// What a member says on a watch, and what is made of it.
func TestWatchAnswers(t *testing.T) {
	t.Parallel()
	put := func(key string, rev int64) *mvccpb.Event {
		return &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: rev}}
	}
	header := func(rev int64) *pb.ResponseHeader { return &pb.ResponseHeader{ClusterId: 1, Revision: rev} }
	for name, tc := range map[string]struct {
		says []*pb.WatchResponse
		want string
		err  error
	}{
		"fragments": {
			says: []*pb.WatchResponse{
				{Header: header(9), Events: []*mvccpb.Event{put("a", 5)}, Fragment: true},
				{Header: header(9), Events: []*mvccpb.Event{put("b", 5)}, Fragment: true},
				{Header: header(9), Events: []*mvccpb.Event{put("c", 5), put("d", 6)}},
				{Header: header(9), Events: []*mvccpb.Event{put("e", 9)}},
			},
			want: "6[a@5 b@5 c@5 d@6] 9[e@9]",
			err:  coord.ErrUnavailable,
		},
		"progress": {
			says: []*pb.WatchResponse{
				{Header: header(4)},
				{Header: header(7)},
				{Header: header(6)},
				{Header: header(8), Events: []*mvccpb.Event{put("a", 8)}},
				{Header: header(8)},
			},
			want: "7[] 8[a@8]",
			err:  coord.ErrUnavailable,
		},
		"half a revision": {
			says: []*pb.WatchResponse{{Header: header(9), Events: []*mvccpb.Event{put("a", 5)}, Fragment: true}},
			err:  coord.ErrUnavailable,
		},
		"compacted": {
			says: []*pb.WatchResponse{{Header: header(9), Canceled: true, CompactRevision: 8}},
			err:  coord.ErrCompacted,
		},
		"cancelled": {
			says: []*pb.WatchResponse{{Header: header(9), Canceled: true, CancelReason: "permission denied"}},
			err:  coord.ErrUnavailable,
		},
		"another cluster": {
			says: []*pb.WatchResponse{{Header: &pb.ResponseHeader{ClusterId: 2, Revision: 9}, Events: []*mvccpb.Event{put("a", 9)}}},
			err:  coord.ErrRestored,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, 1)
			f.watch = func(stream pb.Watch_WatchServer) error {
				for _, r := range tc.says {
					if err := stream.Send(r); err != nil {
						return err
					}
				}
				return nil
			}
			var told []string
			for b := range f.open(t).Watch(t.Context(), "", 5) {
				if b.Err != nil {
					wantErr(t, "the watch", b.Err, tc.err)
					continue
				}
				events := make([]string, len(b.Events))
				for i, e := range b.Events {
					events[i] = fmt.Sprint(e.KV.Key, "@", e.KV.ModRev)
				}
				told = append(told, fmt.Sprintf("%d%v", b.Rev, events))
			}
			if got := strings.Join(told, " "); got != tc.want {
				t.Errorf("told %s, want %s", got, tc.want)
			}
		})
	}
}
