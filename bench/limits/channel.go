package limits

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

// channelBuffer is the capacity of an object's request channel: of 0, 1, 16 and 128 the fastest in every workload.
// Where memory is weighed the channel has none, which is the lightest.
const channelBuffer = 128

// Channel is an object as a goroutine that owns its state and serves a channel of requests. A caller sends
// its request together with its own reply channel and waits for the answer. Messages are shared.
func Channel() peer.Peer { return channel{} }

// ChannelWithCopies is [Channel] with request and reply cloned on the way, so that object and caller share
// nothing: the same allocations as an isolated call.
func ChannelWithCopies() peer.Peer { return channel{copies: true} }

type channel struct{ copies bool }

func (c channel) Name() string {
	if c.copies {
		return "channel+copies"
	}
	return "channel"
}

func (channel) Module() string { return "" }

func (c channel) Open(_ context.Context, opt peer.Options) (peer.Target, error) {
	t := &channelTarget{
		copies:  c.copies,
		buffer:  channelBuffer,
		objects: make([]channelSlot, opt.Objects),
		callers: make([]chan channelReply, opt.Callers),
	}
	if opt.Transient {
		t.buffer = 0
	}
	for i := range t.callers {
		t.callers[i] = make(chan channelReply, 1)
	}
	return t, nil
}

type channelRequest struct {
	req  *benchpb.AddRequest
	to   chan<- channelReply
	hold <-chan struct{} // not nil: wait for it before anything else
}

type channelReply struct {
	resp *benchpb.AddResponse
	err  error
}

// channelSlot is where an object is found; its goroutine starts with the first call.
type channelSlot struct {
	once     sync.Once
	requests chan channelRequest
}

type channelTarget struct {
	copies  bool
	buffer  int
	objects []channelSlot
	callers []chan channelReply
	running sync.WaitGroup
}

func (t *channelTarget) Context(ctx context.Context) context.Context { return ctx }

func (t *channelTarget) Call(_ context.Context, caller, object int) (int64, error) {
	req := peer.NewRequest()
	if t.copies {
		req = proto.CloneOf(req)
	}
	to := t.callers[caller]
	t.requests(object) <- channelRequest{req: req, to: to}
	r := <-to
	return r.resp.GetValue(), r.err
}

// Hold occupies object 0 until ctx ends.
func (t *channelTarget) Hold(ctx context.Context) {
	to := make(chan channelReply, 1)
	t.requests(0) <- channelRequest{req: &benchpb.AddRequest{Note: peer.Note}, to: to, hold: ctx.Done()}
	<-to
}

func (t *channelTarget) requests(object int) chan channelRequest {
	slot := &t.objects[object]
	slot.once.Do(func() {
		slot.requests = make(chan channelRequest, t.buffer)
		t.running.Go(func() { t.serve(slot.requests) })
	})
	return slot.requests
}

func (t *channelTarget) serve(requests <-chan channelRequest) {
	var c peer.Counter
	for r := range requests {
		if r.hold != nil {
			<-r.hold
		}
		resp, err := c.Add(r.req)
		if t.copies && resp != nil {
			resp = proto.CloneOf(resp)
		}
		r.to <- channelReply{resp: resp, err: err}
	}
}

func (t *channelTarget) Close(context.Context) error {
	for i := range t.objects {
		slot := &t.objects[i]
		slot.once.Do(func() {})
		if slot.requests != nil {
			close(slot.requests)
		}
	}
	t.running.Wait()
	return nil
}
