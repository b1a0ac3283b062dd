package links

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/xiaonanln/goverse/inspector/internal/model"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// Answer is what a node said.
type Answer[T any] struct {
	Node  string
	Reply T
}

// plain is an error as people read it, with the cause of an ended context.
func plain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return grpcerr.FromError(err)
}

// Each asks all nodes, or only one, at the same time, for at most two seconds, and says who
// did not answer.
func Each[T any](ctx context.Context, l *Links, only string, ask func(context.Context, inspectpb.InspectServiceClient) (T, error)) (answers []Answer[T], missing []string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards the results
	missing = []string{}
	for _, p := range l.all() {
		if only != "" && only != p.id {
			continue
		}
		wg.Go(func() {
			reply, err := ask(ctx, p.client)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				missing = append(missing, p.id)
				return
			}
			answers = append(answers, Answer[T]{p.id, reply})
		})
	}
	wg.Wait()
	slices.Sort(missing)
	return answers, missing
}

// Act asks a node to do something.
func (l *Links) Act(ctx context.Context, node string, req *inspectpb.ActRequest) (*inspectpb.ActResponse, error) {
	l.mu.Lock()
	p := l.peers[node]
	l.mu.Unlock()
	if p == nil {
		return nil, ErrNoLink
	}
	reply, err := p.client.Act(ctx, req)
	if err != nil {
		return nil, plain(ctx, err)
	}
	return reply, nil
}

// Any is a node that can be asked: the preferred one, if it is well, else one that is well if there is one; empty: there
// is none.
func (l *Links) Any(m *model.Model, preferred string) string {
	states := []string{"live", "draining", "suspect", "stopping"} // the best first: one that stops makes no calls
	best, found := 2*len(states), ""
	for _, n := range m.Nodes().Nodes {
		at := slices.Index(states, n.State)
		if at < 0 || n.Seen == 0 {
			continue
		}
		if n.SilentFor > 0 { // it may hang
			at += len(states)
		}
		switch {
		case n.Incarnation == preferred && at < slices.Index(states, "suspect"):
			return preferred
		case at < best:
			best, found = at, n.Incarnation
		}
	}
	return found
}
