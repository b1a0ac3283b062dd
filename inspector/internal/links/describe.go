package links

import (
	"context"
	"errors"
	"sync"
	"time"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// homeFirst is how long the node that should have an object is asked alone.
const homeFirst = 100 * time.Millisecond

// ErrNoAnswer is the error of looking for an object that may be where nobody answers.
var ErrNoAnswer = errors.New("a node that may have the object does not answer")

// described is what a node says of an object.
type described struct {
	node string
	info *inspectpb.DescribeResponse
	err  error
}

// Describe finds an object. node is where it is, empty if nowhere. Its home is asked first, the other nodes only where that
// does not know or is slow; the first that has the object is waited for, no other. It fails where the object may be with
// a node that does not answer, for two seconds.
func (l *Links) Describe(ctx context.Context, id string) (node string, info *inspectpb.DescribeResponse, err error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel() // who did not answer yet need not
	home, peers := l.model.Home(id), l.all()
	answers, asked := make(chan described, len(peers)), make(map[string]bool, len(peers))
	ask := func(wanted func(p *peer) bool) {
		for _, p := range peers {
			if asked[p.id] || !wanted(p) {
				continue
			}
			asked[p.id] = true
			wg.Go(func() {
				reply, err := p.client.Describe(ctx, &inspectpb.DescribeRequest{Id: id})
				answers <- described{p.id, reply, err}
			})
		}
	}
	ask(func(p *peer) bool { return p.id == home })
	alone := l.clock.NewTimer(homeFirst)
	defer alone.Stop()
	if len(asked) == 0 {
		ask(everybody)
	}
	silent := false
	for heard := 0; heard < len(asked); {
		select {
		case <-alone.C:
			ask(everybody)
			continue
		case a := <-answers:
			heard++
			switch {
			case a.err != nil:
				silent = true
			case a.info.GetFound():
				return a.node, a.info, nil
			case a.info.GetOwned() && a.node == home:
				return "", a.info, nil
			case info == nil || a.info.GetOwned():
				info = a.info
			}
			ask(everybody)
		}
	}
	if silent {
		return "", nil, ErrNoAnswer
	}
	return "", info, nil
}

func everybody(*peer) bool { return true }
