package grpc

import (
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
)

// LimitedCallFrame is a call with a deadline, so long after the link was made.
func LimitedCallFrame(number uint64, deadline time.Duration, c *transport.Call) []byte {
	return appendCall(nil, &callHeader{number: number, limited: true, deadline: deadline}, c, nil)
}

// KindPart is the kind of a part.
const KindPart = kindPart
