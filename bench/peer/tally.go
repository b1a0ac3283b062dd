package peer

import "github.com/xiaonanln/goverse/bench/benchpb"

// Tally is the state of a peer's object in another process, and its work. It does not lock.
type Tally struct{ value int64 }

// Bump adds one and answers with the request's payload.
func (t *Tally) Bump(req *benchpb.BumpRequest) *benchpb.BumpResponse {
	t.value++
	return &benchpb.BumpResponse{Value: t.value, Payload: req.GetPayload()}
}
