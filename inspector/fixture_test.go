package inspector_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/inspector"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/shard"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	prefix = "/goverse/test/"
	shards = 16
)

// world is a coordination store with the records of a cluster, nodes that tell what the
// test wants, and an inspector over a real socket.
type world struct {
	*testing.T

	store   *mem.Store
	link    *mem.Client
	address string
	url     string
	token   string
	client  *http.Client
	stop    func()
}

// change changes the configuration of a world's inspector.
type change func(*inspector.Config)

func newWorld(t *testing.T, changes ...change) *world {
	t.Helper()
	w := &world{T: t, store: mem.New(clock.System(), mem.Options{}), client: &http.Client{Transport: &http.Transport{}}}
	w.link = w.store.Connect()
	t.Cleanup(func() { w.link.Close(); w.store.Close() })
	ready := make(chan struct{})
	config := inspector.Config{
		Address: "localhost:0", Cluster: "test", Etcd: []string{"etcd:2379"}, Logger: slog.New(slog.DiscardHandler), Clock: clock.System(),
		Open: func(context.Context) (coord.Store, func(), error) {
			link := w.store.Connect()
			return link, link.Close, nil
		},
		Assets: fstest.MapFS{"index.html": {Data: []byte("<!doctype html>the page")}, "assets/app-1a2b.js": {Data: []byte(strings.Repeat("code;", 1000))}},
		Ready: func(address, token string) {
			w.address, w.token = address, token
			close(ready)
		},
	}
	for _, c := range changes {
		c(&config)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- inspector.New(config).Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		w.client.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Errorf("the inspector ended with %v", err)
		}
	})
	t.Cleanup(w.stop)
	<-ready
	_, port, _ := net.SplitHostPort(w.address)
	w.url = "http://localhost:" + port
	return w
}

// cluster writes the records of a cluster of these nodes, who share the shards.
func (w *world) cluster(nodes ...*fake) {
	w.Helper()
	w.put("meta", shard.Meta{Shards: shards, Hash: shard.HashName, UUID: "a-cluster", Format: shard.Format}.Encode())
	revs := make([]int64, len(nodes))
	for i, n := range nodes {
		revs[i] = w.join(n)
	}
	for i := range shards {
		n := i % len(nodes)
		w.give(i, nodes[n].id, revs[n], uint64(i+1))
	}
	w.put("allocator", []byte(nodes[0].id))
}

func (w *world) join(n *fake) int64 {
	w.Helper()
	return w.put("nodes/"+n.id, shard.NodeRecord{
		Address: n.address, Shards: shards, Hash: shard.HashName, Weight: 1, MinProtocol: 1, MaxProtocol: 1, Cluster: "a-cluster",
	}.Encode())
}

func (w *world) give(n int, id string, rev int64, epoch uint64) {
	w.Helper()
	w.put(fmt.Sprintf("shards/%04d", n), shard.Record{Owner: id, OwnerRev: rev, Epoch: epoch}.Encode())
}

func (w *world) put(key string, value []byte) int64 {
	w.Helper()
	res, err := w.link.Txn(w.Context(), coord.Txn{Then: []coord.Op{coord.Put(prefix+key, value)}})
	if err != nil {
		w.Fatal(err)
	}
	return res.Rev
}

func (w *world) del(key string) {
	w.Helper()
	if _, err := w.link.Txn(w.Context(), coord.Txn{Then: []coord.Op{coord.Delete(prefix + key)}}); err != nil {
		w.Fatal(err)
	}
}

// request asks, and returns status and body.
func (w *world) request(method, path, body string, headers ...string) (int, string, http.Header) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// get asks and decodes a good answer.
func get[T any](w *world, path string) T {
	w.Helper()
	code, body, _ := w.request(http.MethodGet, path, "")
	var v T
	if code != http.StatusOK {
		w.Fatalf("GET %s: %d %s", path, code, body)
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		w.Fatalf("GET %s: %v in %s", path, err, body)
	}
	return v
}

// await waits until something is so.
func (w *world) await(what string, cond func() bool) {
	w.Helper()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for range 1000 {
		if cond() {
			return
		}
		<-every.C
	}
	w.Fatalf("no %s", what)
}

// fake is a node that tells what the test wants.
type fake struct {
	inspectpb.UnimplementedInspectServiceServer

	id, address string
	server      *grpc.Server

	mu      sync.Mutex // guards the fields below
	objects []*inspectpb.ObjectInfo
	clients []*inspectpb.ClientInfo
	events  []*inspectpb.Event
	watches map[string]int // open streams by focus
	acts    []*inspectpb.ActRequest
	reply   func(*inspectpb.ActRequest) (*inspectpb.ActResponse, error)
	filler  string // makes what it tells longer

	mute     bool // it does not say what it knows of objects
	searches int  // how often it was asked
	most     int  // objects that it tells at once; 0: all
	busy     bool // it searches for others
}

func newFake(t *testing.T, id string) *fake {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{id: id, address: lis.Addr().String(), server: grpc.NewServer(), watches: make(map[string]int)}
	inspectpb.RegisterInspectServiceServer(f.server, f)
	served := make(chan struct{})
	go func() { defer close(served); f.server.Serve(lis) }()
	t.Cleanup(func() { f.server.Stop(); <-served })
	return f
}

// Watch tells the same again and again, each 20 ms.
func (f *fake) Watch(s grpc.BidiStreamingServer[inspectpb.WatchRequest, inspectpb.WatchResponse]) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	f.count(first.GetFocus(), 1)
	defer f.count(first.GetFocus(), -1)
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	told := first.GetSince()
	for n := uint64(1); ; n++ {
		if err := s.Send(f.report(first, &told, n)); err != nil {
			return err
		}
		select {
		case <-every.C:
		case <-s.Context().Done():
			return nil
		}
	}
}

func (f *fake) count(focus string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watches[focus] += n
}

// report is 10 calls in 20 ms, of which one fails.
func (f *fake) report(want *inspectpb.WatchRequest, told *uint64, n uint64) *inspectpb.WatchResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &inspectpb.WatchResponse{
		Vitals: &inspectpb.Vitals{
			Incarnation: f.id, Address: f.address, Version: "v1" + f.filler, Pid: 7, CpuNs: int64(n) * int64(10*time.Millisecond), Lease: "valid",
			ValidForNs: int64(time.Second), Objects: uint64(len(f.objects)), Clients: uint64(len(f.clients)), Activations: n, Processors: 2,
		},
		Methods: []*inspectpb.MethodStats{{
			Type: "Room", Method: "Say", Calls: 10, Errors: 1, Latency: []uint64{0, 0, 0, 0, 10}, LastCode: "NotFound", LastError: "no <b>room</b>", TotalNs: 1e6,
		}},
		TypeEdges: []*inspectpb.Edge{{From: "", To: "User", Calls: 4}, {From: "User", To: "Room", Calls: 10, Errors: 1, TotalNs: 1e7}},
		Types:     []*inspectpb.TypeCount{{Type: "Room", Objects: uint64(len(f.objects))}},
		Sampling:  1, IntervalNs: int64(20 * time.Millisecond),
	}
	for _, e := range f.events {
		if e.GetSeq() > *told {
			r.Events, *told = append(r.Events, e), e.GetSeq()
		}
	}
	if want.GetFocus() != "" {
		r.ObjectEdges = []*inspectpb.Edge{{From: "User-u", To: want.GetFocus(), Calls: 1, TotalNs: 1000}, {From: want.GetFocus(), To: "List-l", Calls: 1}}
		r.Turns = []*inspectpb.Turn{{Id: n, Method: "Say", Caller: "User-u", ArrivedUs: int64(n), RanNs: 5}}
	} else if want.GetObjects() {
		r.ObjectEdges = []*inspectpb.Edge{{From: "User-u", To: "Room-r", Calls: 2}, {From: "Room-r", To: "User-u", Calls: 3, Push: true}}
	}
	return r
}

func (f *fake) happen(e *inspectpb.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.Seq, e.AtUs = uint64(len(f.events)+1), time.Now().UnixMicro()
	f.events = append(f.events, e)
}

func (f *fake) has(ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		typ, _, _ := strings.Cut(id, "-")
		f.objects = append(f.objects, &inspectpb.ObjectInfo{Id: id, Type: typ, Shard: 3, Epoch: 4, Phase: "live", Calls: uint64(len(f.objects))})
	}
}

func (f *fake) Search(_ context.Context, req *inspectpb.SearchRequest) (*inspectpb.SearchResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.searches++; f.busy {
		return nil, status.Error(codes.ResourceExhausted, "busy")
	}
	var found []*inspectpb.ObjectInfo
	for _, o := range f.objects {
		if req.GetType() == "" || o.GetType() == req.GetType() {
			found = append(found, o)
		}
	}
	order := func(a, b *inspectpb.ObjectInfo) int {
		c := 0
		if req.GetSort() == inspectpb.SearchRequest_SORT_CALLS {
			c = cmp.Compare(b.GetCalls(), a.GetCalls())
		}
		return cmp.Or(c, strings.Compare(a.GetId(), b.GetId()))
	}
	if !slices.IsSortedFunc(found, order) { // many objects are sorted slowly
		slices.SortFunc(found, order)
	}
	limit := int(req.GetLimit())
	if f.most > 0 {
		limit = min(limit, f.most)
	}
	from, to := min(int(req.GetOffset()), len(found)), min(int(req.GetOffset())+limit, len(found))
	return &inspectpb.SearchResponse{Objects: found[from:to], Total: uint64(len(found))}, nil
}

func (f *fake) Describe(ctx context.Context, req *inspectpb.DescribeRequest) (*inspectpb.DescribeResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mute {
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return nil, ctx.Err()
	}
	for _, o := range f.objects {
		if o.GetId() == req.GetId() {
			return &inspectpb.DescribeResponse{Found: true, Info: o, Shard: o.GetShard(), Owned: true, IdleTimeoutNs: int64(time.Minute)}, nil
		}
	}
	return &inspectpb.DescribeResponse{Shard: 3}, nil
}

func (f *fake) Clients(_ context.Context, req *inspectpb.ClientsRequest) (*inspectpb.ClientsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, to := min(int(req.GetOffset()), len(f.clients)), min(int(req.GetOffset()+req.GetLimit()), len(f.clients))
	return &inspectpb.ClientsResponse{Clients: f.clients[from:to], Total: uint64(len(f.clients))}, nil
}

// Types registers Room.Say, which takes and returns a StringValue.
func (f *fake) Types(context.Context, *inspectpb.TypesRequest) (*inspectpb.TypesResponse, error) {
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(wrapperspb.File_google_protobuf_wrappers_proto)}})
	if err != nil {
		return nil, err
	}
	const text = "google.protobuf.StringValue"
	return &inspectpb.TypesResponse{Descriptors: set, Types: []*inspectpb.TypeInfo{
		{Name: "Room", Methods: []*inspectpb.MethodInfo{{Name: "Say", Request: text, Reply: text, Mode: "sequential"}}}, {Name: "User", Client: true},
	}}, nil
}

func (f *fake) Act(_ context.Context, req *inspectpb.ActRequest) (*inspectpb.ActResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acts = append(f.acts, req)
	if f.reply != nil {
		return f.reply(req)
	}
	if call := req.GetCall(); call != nil {
		return &inspectpb.ActResponse{Reply: call.GetRequest(), Message: "google.protobuf.StringValue"}, nil
	}
	return &inspectpb.ActResponse{}, nil
}

func (f *fake) acted() []*inspectpb.ActRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acts
}

func refusal() error { return status.Error(codes.FailedPrecondition, "it is not to be") }

// message is an event of a stream.
type message struct{ topic, id, data string }

// tab is a stream that is read.
type tab struct {
	w    *world
	body io.ReadCloser
	in   *bufio.Reader
}

func (w *world) open(query string, headers ...string) *tab {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, w.url+"/api/stream?"+query, nil)
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req) //nolint:bodyclose // the tab closes it
	if err != nil {
		w.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(resp.Body)
		w.Fatalf("stream %s: %d %s", query, resp.StatusCode, text)
	}
	t := &tab{w, resp.Body, bufio.NewReader(resp.Body)}
	w.Cleanup(t.close)
	return t
}

func (t *tab) close() { t.body.Close() }

// next is the next message.
func (t *tab) next() message {
	t.w.Helper()
	var m message
	for {
		line, err := t.in.ReadString('\n')
		if err != nil {
			t.w.Fatalf("read stream: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && m.topic != "":
			return m
		case name == "event":
			m.topic = value
		case name == "id":
			m.id = value
		case name == "data":
			m.data = value
		}
	}
}

// until reads to the first message of a topic that is like it.
func (t *tab) until(topic string, like func(m message) bool) message {
	t.w.Helper()
	for range 1000 {
		if m := t.next(); m.topic == topic && (like == nil || like(m)) {
			return m
		}
	}
	t.w.Fatalf("no such %s", topic)
	return message{}
}

func decode[T any](t *tab, m message) T {
	t.w.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader([]byte(m.data)))
	if err := d.Decode(&v); err != nil {
		t.w.Fatalf("%s: %v in %s", m.topic, err, m.data)
	}
	return v
}
