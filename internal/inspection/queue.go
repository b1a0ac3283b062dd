package inspection

import (
	"context"
	"fmt"
	"time"

	"github.com/xiaonanln/goverse/object"
)

const (
	// MaxSearches bounds the searches at a time: the one that is under way, and those that wait for it.
	MaxSearches = 9
	// searchAgain is when who finds more than that should try again: most of them are over by then.
	searchAgain = time.Second
)

// queue lets one in after the other, in the order in which they came.
type queue struct {
	all   chan struct{} // one for each who is in or waits
	place chan struct{}
}

func newQueue() queue { return queue{make(chan struct{}, MaxSearches), make(chan struct{}, 1)} }

// enter returns when it is the caller's turn, until leave is called, or with an error: there are too many, or ctx has ended.
func (q queue) enter(ctx context.Context) (leave func(), err error) {
	select {
	case q.all <- struct{}{}:
	default:
		refused := object.Refuse(object.CodeResourceExhausted, object.Overloaded, "search", "", "",
			fmt.Sprintf("%d searches are under way on the node, as many as it allows", MaxSearches))
		refused.RetryAfter = searchAgain
		return nil, refused
	}
	select {
	case q.place <- struct{}{}:
		return func() { <-q.place; <-q.all }, nil
	case <-ctx.Done():
		<-q.all
		return nil, ctx.Err()
	}
}
