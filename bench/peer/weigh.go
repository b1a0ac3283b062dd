package peer

import (
	"fmt"
	"runtime"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/bench/benchpb"
)

// MessageAllocations returns how often a call to another process allocates for its messages whatever carries it: making
// the request, decoding it there, making the reply, decoding it here. Encoding is not counted: it can go to a buffer
// that is there.
func MessageAllocations(payload int) (float64, error) {
	const rounds = 1000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var (
		body    = make([]byte, payload)
		buf     []byte
		objects Tally
		before  runtime.MemStats
		after   runtime.MemStats
	)
	for i := range rounds + 1 {
		if i == 1 { // the first round fills caches
			runtime.ReadMemStats(&before)
		}
		var err error
		if buf, err = exchange(buf, &objects, body); err != nil {
			return 0, fmt.Errorf("weigh messages: %w", err)
		}
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / rounds), nil
}

// exchange does what a call does to its messages.
func exchange(buf []byte, object *Tally, body []byte) ([]byte, error) {
	var marshal proto.MarshalOptions
	buf, err := marshal.MarshalAppend(buf[:0], &benchpb.BumpRequest{Payload: body})
	if err != nil {
		return nil, err
	}
	arrived := new(benchpb.BumpRequest)
	if err := proto.Unmarshal(buf, arrived); err != nil {
		return nil, err
	}
	buf, err = marshal.MarshalAppend(buf[:0], object.Bump(arrived))
	if err != nil {
		return nil, err
	}
	return buf, proto.Unmarshal(buf, new(benchpb.BumpResponse))
}
