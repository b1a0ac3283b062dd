package routing

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// opHandover carries a piece of what the objects of a shard keep through a move. Epoch is that of the shard after the
// move, Revision the move's tag.
const opHandover transport.Op = 100

const (
	pieceBytes = 4 << 20
	// handoverPatience is how long a target may take to answer for a piece before the move is given up: meanwhile the
	// shard's calls wait.
	handoverPatience = 3 * time.Second
	// handoverTries is how often a target that cannot be reached is tried.
	handoverTries = 5
)

// piece is a part of a hand-over.
type piece struct {
	index, count, total int
	data                []byte
}

// handOver sends what the objects of a shard keep to the shard's next owner. What has arrived twice has arrived.
func (r *Router) handOver(ctx context.Context, shard uint32, target cluster.Route, tag int64, kept []node.Kept) error {
	v := r.view.Load()
	if v.table == nil {
		return errors.New("the node is no member of the cluster")
	}
	for _, body := range cut(pack(kept)) {
		c := &transport.Call{
			Request: object.Request{Body: body}, CallID: newCallID(), Op: opHandover,
			Shard: shard, Epoch: target.Epoch, Revision: tag,
		}
		if err := r.sendPiece(ctx, v, target, c); err != nil {
			return err
		}
	}
	return nil
}

func (r *Router) sendPiece(ctx context.Context, v *view, target cluster.Route, c *transport.Call) error {
	ctx, cancel := context.WithTimeout(ctx, handoverPatience)
	defer cancel()
	for tries := 0; ; tries++ {
		reply, err := v.links.to(target).Call(ctx, c)
		if err == nil && reply.Err == nil {
			return nil
		}
		if err == nil {
			err = reply.Err
		}
		if object.CodeOf(err) != object.CodeUnavailable || tries+1 == handoverTries || !r.pause(ctx, v, tries) {
			return err
		}
	}
}

// receive takes a piece that has arrived.
func (h *Host) receive(c *transport.Call) error {
	p, err := readPiece(c.Body)
	if err == nil {
		err = h.limbo.put(c.Shard, origin{tag: c.Revision, epoch: c.Epoch, from: c.From}, p)
	}
	if err != nil {
		e := object.FromError(err)
		return object.Refuse(e.Code, "", c.Op.String(), "", "", e.Message)
	}
	return nil
}

// cut makes pieces of what is packed.
func cut(data []byte) (pieces [][]byte) {
	count := (len(data) + pieceBytes - 1) / pieceBytes
	for i := range count {
		part := data[i*pieceBytes : min((i+1)*pieceBytes, len(data))]
		b := make([]byte, 0, len(part)+3*binary.MaxVarintLen64)
		for _, n := range []int{i, count, len(data)} {
			b = binary.AppendUvarint(b, uint64(n)) //nolint:gosec // G115: not negative
		}
		pieces = append(pieces, append(b, part...))
	}
	return pieces
}

var errGarbage = errors.New("the hand-over is garbage")

// readPiece reads a piece that [cut] has made, or that somebody else says is one.
func readPiece(b []byte) (p piece, err error) {
	const most = 1 << 40 / pieceBytes
	for _, n := range []*int{&p.index, &p.count, &p.total} {
		x, size := binary.Uvarint(b)
		if size <= 0 || x > most*pieceBytes {
			return piece{}, object.NewError(object.CodeInvalidArgument, errGarbage.Error())
		}
		*n, b = int(x), b[size:]
	}
	if p.index >= p.count || p.count > most || len(b) > pieceBytes || len(b) > p.total {
		return piece{}, object.NewError(object.CodeInvalidArgument, errGarbage.Error())
	}
	p.data = b
	return p, nil
}

// pack encodes what objects keep.
func pack(kept []node.Kept) (b []byte) {
	size := 0
	for _, k := range kept {
		size += len(k.ID) + len(k.Message) + len(k.Body) + 3*binary.MaxVarintLen32
	}
	b = make([]byte, 0, size)
	for _, k := range kept {
		b = appendString(b, k.ID)
		b = appendString(b, k.Message)
		b = appendString(b, k.Body)
	}
	return b
}

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// unpack reads what [pack] has made. The bodies are parts of b.
func unpack(b []byte) (kept []node.Kept, err error) {
	next := func() (part []byte) {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) { //nolint:gosec // G115: not negative
			err, b = errGarbage, nil
			return nil
		}
		part, b = b[size:size+int(n)], b[size+int(n):] //nolint:gosec // G115: it is at most the length
		return part
	}
	for len(b) > 0 {
		k := node.Kept{ID: string(next()), Message: string(next()), Body: next()}
		if err != nil {
			return nil, err
		}
		kept = append(kept, k)
	}
	return kept, nil
}
