package echo

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

// Messages is Batched with what no object call does without: the user's messages, made and read on both sides, and an
// object of a name on the other side, that is locked meanwhile.
func Messages() peer.Remote { return messages{} }

type messages struct{ batched }

func (messages) Name() string { return "batched gRPC messages" }

func (messages) Serve(ctx context.Context, _ []string, opt peer.RemoteOptions) (peer.Server, error) {
	objects := make(objects, opt.Objects)
	for i := range opt.Objects {
		objects[objectName(i)] = new(object)
	}
	return serveBatched(ctx, objects.answer)
}

func objectName(object int) string { return "Tally-" + strconv.Itoa(object) }

// objects are the objects of a server, by name. They are all there from the start: no lock guards the map.
type objects map[string]*object

type object struct {
	mu    sync.Mutex // guards tally
	tally peer.Tally
}

// answer calls the objects of all whole frames of in, one after the other, and appends what they answer. It returns what
// is left of in: a frame that is no call of an object is left too.
func (o objects) answer(out, in []byte) (answers, rest []byte) {
	for {
		number, call, rest, whole := cutFrame(in)
		if !whole {
			return out, in
		}
		answered, ok := o.call(openFrame(out, number), call)
		if !ok {
			return out, in
		}
		out, in = closeFrame(answered, len(out)), rest
	}
}

// call calls an object and appends its response; false: there is no such object, or that is no call. A call is the length
// of the object's name in a byte, the name, and the request.
func (o objects) call(out, call []byte) ([]byte, bool) {
	if len(call) == 0 || len(call) <= int(call[0]) {
		return nil, false
	}
	end := 1 + int(call[0])
	called, known := o[string(call[1:end])]
	req := new(benchpb.BumpRequest)
	if !known || proto.Unmarshal(call[end:], req) != nil {
		return nil, false
	}
	called.mu.Lock()
	resp := called.tally.Bump(req)
	called.mu.Unlock()
	out, err := proto.MarshalOptions{}.MarshalAppend(out, resp)
	return out, err == nil
}

func (messages) Drive(ctx context.Context, before []string, opt peer.RemoteOptions) (peer.Driver, error) {
	d, err := driveBatched(ctx, before[0], opt)
	if err != nil {
		return nil, err
	}
	names := make([]string, opt.Objects)
	for i := range names {
		names[i] = objectName(i)
	}
	return &messageDriver{batchDriver: d, names: names, scratch: make([]scratch, opt.Callers)}, nil
}

type messageDriver struct {
	*batchDriver

	names   []string
	scratch []scratch
}

// Audit implements [peer.Auditor].
func (d *messageDriver) Audit(ctx context.Context, made int64) error {
	var counted int64
	for object := range d.names {
		v, err := d.Call(ctx, 0, object)
		if err != nil {
			return err
		}
		counted += v - 1
	}
	if counted != made {
		return fmt.Errorf("the objects show %d calls, but %d were made", counted, made)
	}
	return nil
}

// scratch is where a caller's call is written, on cache lines of its own.
type scratch struct {
	call []byte
	_    [104]byte
}

func (d *messageDriver) Call(_ context.Context, caller, object int) (int64, error) {
	s := &d.scratch[caller]
	name := d.names[object]
	call, err := proto.MarshalOptions{}.MarshalAppend(
		append(append(s.call[:0], byte(len(name))), name...), &benchpb.BumpRequest{Payload: d.stamps.Next(caller)})
	if err != nil {
		return 0, fmt.Errorf("write request: %w", err)
	}
	s.call = call
	reply, err := d.exchange(caller, call)
	if err != nil {
		return 0, err
	}
	resp := new(benchpb.BumpResponse)
	if err := proto.Unmarshal(reply, resp); err != nil {
		return 0, fmt.Errorf("read response: %w", err)
	}
	return resp.GetValue(), d.stamps.Check(caller, resp.GetPayload())
}
