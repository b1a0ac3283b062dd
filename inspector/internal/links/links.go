package links

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/forms"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// How nodes are asked.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	silence      = 2 * model.HoldFor // after which a node that tells nothing is taken for unreachable
	askTimeout   = 2 * time.Second
	describeEach = time.Second
	maxMessage   = 8 << 20
	window       = 1 << 20 // bytes under way
)

// ErrNoLink is the error of asking a node that cannot be reached.
var ErrNoLink = errors.New("the node is no member of the cluster")

// Links are connections to nodes. The zero value is of no use: see New.
type Links struct {
	model *model.Model
	forms *forms.Descriptors
	clock clock.Clock

	wg    sync.WaitGroup
	mu    sync.Mutex       // guards the field below
	peers map[string]*peer // by incarnation
}

// peer is a node.
type peer struct {
	id      string
	address string
	conn    *grpc.ClientConn
	client  inspectpb.InspectServiceClient
	ctx     context.Context //nolint:containedctx // of all that is done with the peer
	end     context.CancelFunc
	watched map[model.Interest]context.CancelFunc // Serve's

	mu     sync.Mutex
	base   inspectpb.InspectService_WatchClient // guarded by mu: the stream without an interest; nil: there is none
	wanted *inspectpb.WatchRequest              // guarded by mu: what base was asked last
}

// ask begins a base stream.
func (p *peer) ask(base inspectpb.InspectService_WatchClient, wanted *inspectpb.WatchRequest, attended func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted.Unattended = !attended() // what changes from now on, attend tells
	p.base, p.wanted = base, wanted
	return base.Send(wanted)
}

// attend tells the node whether somebody looks at what it tells, as it is by the time that it can be told.
func (p *peer) attend(attended func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if there := attended(); p.base != nil && p.wanted.GetUnattended() == there {
		p.wanted.Unattended = !there
		_ = p.base.Send(p.wanted) // what is wrong with the stream, who receives from it hears
	}
}

// forget ends what ask began.
func (p *peer) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.base = nil
}

// New returns links to nobody, for a model.
func New(m *model.Model, f *forms.Descriptors, c clock.Clock) *Links {
	return &Links{model: m, forms: f, clock: c, peers: make(map[string]*peer)}
}

// Serve keeps a link to each member, as members says whenever the model has been told of others, until
// ctx ends.
func (l *Links) Serve(ctx context.Context, members func() []cluster.MemberInfo) {
	defer l.wg.Wait()
	defer l.drop(nil)
	described := make(map[string]context.CancelFunc)
	for {
		changed := l.model.Sought()
		interests := l.model.Interests()
		l.meet(ctx, members())
		for _, p := range l.all() {
			l.watchAs(p, interests)                        //nolint:contextcheck // each peer has a context of its own, of ctx
			l.wg.Go(func() { p.attend(l.model.Attended) }) // not here: a stream that begins may make it wait
		}
		l.describeAs(ctx, described, interests)
		if !l.pause(ctx, 50*time.Millisecond) { // changes come in swarms
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// meet connects to new members and forgets those that are gone.
func (l *Links) meet(ctx context.Context, members []cluster.MemberInfo) {
	there := make(map[string]bool)
	for _, m := range members {
		l.mu.Lock()
		p := l.peers[m.Incarnation]
		l.mu.Unlock()
		there[m.Incarnation] = true
		if p != nil && p.address == m.Address {
			continue
		}
		if p != nil {
			there[m.Incarnation] = false
			l.drop(there)
			there[m.Incarnation] = true
		}
		l.connect(ctx, m)
	}
	l.drop(there)
}

// connect begins to talk to a member. It does not wait for it.
func (l *Links) connect(ctx context.Context, m cluster.MemberInfo) {
	conn, err := grpc.NewClient("passthrough:///"+m.Address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		// Of its own accord gRPC would answer each message with a ping to find the best window.
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window))
	if err != nil {
		l.model.Unreachable(m.Incarnation, err)
		return
	}
	p := &peer{id: m.Incarnation, address: m.Address, conn: conn, client: inspectpb.NewInspectServiceClient(conn), watched: make(map[model.Interest]context.CancelFunc)}
	p.ctx, p.end = context.WithCancel(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers[p.id] = p
}

// drop ends the links to all but some.
func (l *Links) drop(but map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.peers {
		if !but[id] {
			p.end()
			_ = p.conn.Close() // its streams have ended
			delete(l.peers, id)
		}
	}
}

func (l *Links) all() []*peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*peer, 0, len(l.peers))
	for _, p := range l.peers {
		all = append(all, p)
	}
	return all
}

// watchAs watches a node as closely as somebody is interested.
func (l *Links) watchAs(p *peer, interests []model.Interest) {
	wanted := map[model.Interest]bool{{}: true}
	for _, i := range interests {
		wanted[i] = true
	}
	for i, end := range p.watched {
		if !wanted[i] {
			end()
			delete(p.watched, i)
		}
	}
	for i := range wanted {
		if p.watched[i] != nil {
			continue
		}
		ctx, end := context.WithCancel(p.ctx)
		p.watched[i] = end
		l.wg.Go(func() { l.watch(ctx, p, i) })
	}
}

// watch takes over what a node tells, through broken links, until ctx ends.
func (l *Links) watch(ctx context.Context, p *peer, i model.Interest) {
	for tries := 0; ; tries++ {
		if tries > 0 {
			d := min(firstPause<<min(tries, 10), longestPause)
			if !l.pause(ctx, d/2+rand.N(d)) { //nolint:gosec // G404: jitter
				return
			}
		}
		told, err := l.listen(ctx, p, i)
		if ctx.Err() != nil {
			return
		}
		if i == (model.Interest{}) {
			l.model.Unreachable(p.id, err)
		}
		if told {
			tries = 0
		}
	}
}

// listen takes over what a node tells until the stream ends, and says whether it told anything.
func (l *Links) listen(parent context.Context, p *peer, i model.Interest) (told bool, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	quiet := l.clock.AfterFunc(silence, func() { cancel(fmt.Errorf("it has told nothing for %v", silence)) })
	defer quiet.Stop()
	base := i == (model.Interest{})
	if base {
		if err := l.learn(ctx, p); err != nil {
			return false, plain(ctx, err)
		}
	}
	stream, err := p.client.Watch(ctx)
	if err != nil {
		return false, plain(ctx, err)
	}
	wanted := &inspectpb.WatchRequest{Objects: i.Objects && i.Focus == "", Types: i.TypeNames(), Focus: i.Focus, Since: l.model.Told(p.id), DetailsOnly: !base}
	if base {
		wanted.HoldNs = int64(model.HoldFor)
		err = p.ask(stream, wanted, l.model.Attended)
		defer p.forget()
	} else {
		err = stream.Send(wanted)
	}
	if err != nil {
		_, err = stream.Recv()
		return false, plain(ctx, err)
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return told, plain(ctx, err)
		}
		quiet.Reset(silence)
		told = true
		if base {
			l.model.Report(p.id, r)
		} else {
			l.model.Detail(p.id, i, r)
		}
	}
}

// learn asks a node for its types.
func (l *Links) learn(ctx context.Context, p *peer) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	types, err := p.client.Types(ctx, &inspectpb.TypesRequest{})
	if err != nil {
		return err
	}
	if err := l.forms.Learn(types.GetDescriptors()); err != nil {
		return fmt.Errorf("read its message descriptors: %w", err)
	}
	l.model.Registered(p.id, types.GetTypes())
	return nil
}

// describeAs asks for each object in focus where and how it is, each second.
func (l *Links) describeAs(ctx context.Context, described map[string]context.CancelFunc, interests []model.Interest) {
	wanted := make(map[string]bool)
	for _, i := range interests {
		if i.Focus != "" {
			wanted[i.Focus] = true
		}
	}
	for id, end := range described {
		if !wanted[id] {
			end()
			delete(described, id)
		}
	}
	for id := range wanted {
		if described[id] != nil {
			continue
		}
		each, end := context.WithCancel(ctx)
		described[id] = end
		l.wg.Go(func() { l.describe(each, id) })
	}
}

// describe asks for an object until ctx ends.
func (l *Links) describe(ctx context.Context, id string) {
	for {
		node, info, err := l.Describe(ctx, id)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			l.model.Described(id, node, info)
		}
		if !l.pause(ctx, describeEach) {
			return
		}
	}
}

func (l *Links) pause(ctx context.Context, d time.Duration) bool {
	timer := l.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
