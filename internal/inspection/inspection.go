// Package inspection is what a node tells an inspector, and does for its operators: the gRPC InspectService of
// proto/inspect, over interfaces that the server connects to the node, its clients and its cluster.
//
// It promises that nobody who looks can harm the node: streams are bounded in number, one whose receiver stops reading
// ends, pages and texts are bounded, searches come one after the other and leave calls their time, what costs something to know is captured only while somebody watches it, and a
// panic is the end of what was asked, with code Internal and its stack in the log, and not of the process. Every
// action leaves a line in the log and an event in the journal, whatever came of it. Nothing that it tells has a
// client's secret id, and no body of a call is logged.
//
// It does not ask who calls: it is served on the node port, which is trusted as the links between nodes are. Whoever
// reaches that port may inspect and act. It is the inspector that asks people for a token, and that acts only where it
// was told to.
//
// Each Watch stream has two goroutines beside that of gRPC, which end with it; [Service.Wait] waits for them.
package inspection

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/internal/journal"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/tally"
)

// Node is what can be seen of the objects of a node. All methods are safe for concurrent use.
type Node interface {
	// Observe begins to look. What it costs ends with the observation's Close.
	Observe() Observation
	// Search lists objects in memory.
	Search(ctx context.Context, req *inspectpb.SearchRequest) *inspectpb.SearchResponse
	// Describe tells what is known of an object.
	Describe(id string) *inspectpb.DescribeResponse
	// Deactivate lets an object go from memory as if it were idle.
	Deactivate(ctx context.Context, id string) error
}

// Observation is one observer's look at a node. It belongs to one goroutine.
type Observation interface {
	// Aim says what it is interested in; before, nothing in particular.
	Aim(req *inspectpb.WatchRequest)
	// Collect returns what happened since the last Collect, without vitals, events and interval.
	Collect() *inspectpb.WatchResponse
	// Close ends it.
	Close()
}

// Clients is what can be seen of the clients of a node.
type Clients interface {
	// List lists the clients that are connected, the longest connected first.
	List(req *inspectpb.ClientsRequest) *inspectpb.ClientsResponse
	// Kick disconnects a client.
	Kick(ctx context.Context, id string) error
}

// Cluster is what operators can do to the cluster that the node is a member of. Errors have the codes that the operator
// is told.
type Cluster interface {
	// Drain writes the wish that a member be emptied of its shards; undo takes it back.
	Drain(ctx context.Context, incarnation string, undo bool) error
	// Move moves a shard to a member, and returns when it is there.
	Move(ctx context.Context, shard uint32, to string) error
}

// Config is what a service is made of. All but Clients is required.
type Config struct {
	Registry *object.Registry
	Node     Node
	Clients  Clients // nil: the server has no client service
	Cluster  Cluster
	// Call calls a method of an object wherever it is, as from outside any object.
	Call func(ctx context.Context, id, method string, req proto.Message) (proto.Message, error)
	// Vitals fills in what the process does not know of itself: membership, objects, clients.
	Vitals  func(v *inspectpb.Vitals)
	Journal *journal.Journal
	Clock   clock.Clock
	Logger  *slog.Logger
}

// Service implements the InspectService. It may be registered with several gRPC servers. Use [New].
type Service struct {
	inspectpb.UnimplementedInspectServiceServer

	cfg      Config
	process  process
	resident resident
	streams  tally.Tally   // goroutines of Watch streams
	slots    chan struct{} // one for each Watch stream
	details  chan struct{} // one for each Watch stream that wants detail
	search   queue
}

// New returns a service, which starts nothing by itself.
func New(cfg Config) *Service {
	return &Service{
		cfg: cfg, process: newProcess(cfg.Clock.Now()),
		slots: make(chan struct{}, MaxStreams), details: make(chan struct{}, MaxDetailed), search: newQueue(),
	}
}

// Register adds the service to a gRPC server.
func (s *Service) Register(r grpc.ServiceRegistrar) { inspectpb.RegisterInspectServiceServer(r, s) }

// Wait returns when no goroutine of the service runs any more, which is soon after its gRPC servers have stopped; else
// the cause of ctx's end.
func (s *Service) Wait(ctx context.Context) error { return s.streams.Wait(ctx) }

// Search implements the rpc. There is one at a time; others wait for it, but not too many.
func (s *Service) Search(ctx context.Context, req *inspectpb.SearchRequest) (res *inspectpb.SearchResponse, err error) {
	defer s.rescue(ctx, "search", &err)
	if _, known := inspectpb.SearchRequest_Sort_name[int32(req.GetSort())]; !known {
		return nil, refuse("search", "", "there is no such order")
	}
	leave, err := s.search.enter(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	defer leave()
	req.Limit = page(req.GetLimit(), DefaultObjects, MaxObjects)
	res = s.cfg.Node.Search(ctx, req)
	if err := ctx.Err(); err != nil {
		return nil, toStatus(err)
	}
	return res, nil
}

// Describe implements the rpc.
func (s *Service) Describe(ctx context.Context, req *inspectpb.DescribeRequest) (res *inspectpb.DescribeResponse, err error) {
	defer s.rescue(ctx, "describe", &err)
	if _, _, err := object.ParseID(req.GetId()); err != nil {
		return nil, toStatus(err)
	}
	return s.cfg.Node.Describe(req.GetId()), nil
}

// Clients implements the rpc.
func (s *Service) Clients(ctx context.Context, req *inspectpb.ClientsRequest) (res *inspectpb.ClientsResponse, err error) {
	defer s.rescue(ctx, "clients", &err)
	if s.cfg.Clients == nil {
		return &inspectpb.ClientsResponse{}, nil
	}
	req.Limit = page(req.GetLimit(), DefaultClients, MaxClients)
	return s.cfg.Clients.List(req), nil
}

// The sizes of pages. Who merges the objects of several nodes needs all before a page from each of them: it
// asks once for as many as MaxObjects, which are at most about 6 MiB.
const (
	DefaultObjects = 50
	DefaultClients = 100
	MaxObjects     = 11_000
	MaxClients     = 1000
)

// page is how many of something are told.
func page(asked, usual, most uint32) uint32 {
	if asked == 0 {
		return usual
	}
	return min(asked, most)
}

func toStatus(err error) error { return grpcerr.ToStatus(err).Err() }

func refuse(op, id, why string) error {
	return toStatus(object.Refuse(object.CodeInvalidArgument, "", op, id, "", why))
}
