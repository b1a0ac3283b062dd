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

// Expected is how many callers of a link have been woken and have not run.
func Expected(l transport.Link) int64 { return l.(*link).conn.Load().expected.Load() }

// ExpectedBy is how many calls an endpoint has accepted that have not begun.
func ExpectedBy(e transport.Endpoint) (n int64) {
	for _, c := range e.(*endpoint).accepted() {
		n += c.expected.Load()
	}
	return n
}
