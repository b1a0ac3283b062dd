package inspector

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/xiaonanln/goverse/inspector/internal/links"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// orders are the orders of objects, by their names in the API.
func orders(name string) (inspectpb.SearchRequest_Sort, bool) {
	switch name {
	case "", "id":
		return inspectpb.SearchRequest_SORT_UNSPECIFIED, true
	case "calls":
		return inspectpb.SearchRequest_SORT_CALLS, true
	case "time":
		return inspectpb.SearchRequest_SORT_TIME, true
	case "waiting":
		return inspectpb.SearchRequest_SORT_WAITING, true
	case "idle":
		return inspectpb.SearchRequest_SORT_IDLE, true
	case "age":
		return inspectpb.SearchRequest_SORT_AGE, true
	}
	return 0, false
}

// compare orders objects as nodes do.
func compare(sort inspectpb.SearchRequest_Sort) func(a, b *inspectpb.ObjectInfo) int {
	return func(a, b *inspectpb.ObjectInfo) int {
		var c int
		switch sort {
		case inspectpb.SearchRequest_SORT_CALLS:
			c = cmp.Compare(b.GetCalls(), a.GetCalls())
		case inspectpb.SearchRequest_SORT_TIME:
			c = cmp.Compare(b.GetTimeNs(), a.GetTimeNs())
		case inspectpb.SearchRequest_SORT_WAITING:
			c = cmp.Compare(b.GetWaiting(), a.GetWaiting())
		case inspectpb.SearchRequest_SORT_IDLE:
			c = cmp.Compare(b.GetIdleNs(), a.GetIdleNs())
		case inspectpb.SearchRequest_SORT_AGE:
			c = cmp.Compare(a.GetAgeNs(), b.GetAgeNs())
		default:
		}
		return cmp.Or(c, cmp.Compare(a.GetId(), b.GetId()))
	}
}

// search reads which objects are asked for.
func search(q url.Values) (req *inspectpb.SearchRequest, limit, offset int, err error) {
	limit, err = number(q, "limit", 50, maxPage)
	if err != nil {
		return nil, 0, 0, err
	}
	if offset, err = number(q, "offset", 0, maxOffset); err != nil {
		return nil, 0, 0, err
	}
	waiting, err := number(q, "min_waiting", 0, 1<<31-1)
	if err != nil {
		return nil, 0, 0, err
	}
	busy, err := flag(q, "busy")
	if err != nil {
		return nil, 0, 0, err
	}
	sort, ok := orders(q.Get("sort"))
	if !ok {
		return nil, 0, 0, invalid("there is no such order")
	}
	if len(q.Get("type")) > object.MaxIDBytes || len(q.Get("prefix")) > object.MaxIDBytes {
		return nil, 0, 0, invalid("no object has such a long name")
	}
	if !utf8.ValidString(q.Get("type") + q.Get("prefix")) { // nodes could not be asked
		return nil, 0, 0, invalid("no object has such a name")
	}
	return &inspectpb.SearchRequest{
		Type: q.Get("type"), Prefix: q.Get("prefix"), Busy: busy, MinWaiting: uint32(waiting), Sort: sort, //nolint:gosec // G115: checked
	}, limit, offset, nil
}

// objectPage is a page of objects.
type objectPage struct {
	Objects []model.Object `json:"objects"`
	Total   uint64         `json:"total"`
	TookMS  float64        `json:"took_ms"`
	Missing []string       `json:"missing"`
	Busy    []string       `json:"busy"` // of those missing

	Sampling uint32 `json:"sampling"`
}

// objects asks all nodes for their first objects, and merges them.
func (i *Inspector) objects(r *http.Request) (any, error) {
	q := r.URL.Query()
	req, limit, offset, err := search(q)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%d %q %q %q %t %d %d %d %d", i.changes.Load(), q.Get("node"), req.GetType(), req.GetPrefix(), req.GetBusy(), req.GetMinWaiting(), req.GetSort(), limit, offset)
	page, err := i.searches.get(r.Context(), key, func(ctx context.Context) (objectPage, error) {
		return i.searchFor(ctx, q.Get("node"), req, limit, offset)
	})
	return page, err
}

// searchFor asks all nodes, or only one, for a page of objects.
func (i *Inspector) searchFor(ctx context.Context, node string, req *inspectpb.SearchRequest, limit, offset int) (objectPage, error) {
	begun := i.cfg.Clock.Monotonic()
	out := objectPage{Objects: []model.Object{}, Busy: []string{}, Sampling: i.model.Overview(false).Sampling}
	answers, missing := links.Each(ctx, i.links, node, func(ctx context.Context, c inspectpb.InspectServiceClient) (found, error) {
		return first(ctx, c, req, offset+limit)
	})
	out.Missing = missing
	answers = slices.DeleteFunc(answers, func(a links.Answer[found]) bool {
		if a.Reply.busy {
			out.Busy, out.Missing = append(out.Busy, a.Node), append(out.Missing, a.Node)
		}
		return a.Reply.busy
	})
	slices.Sort(out.Busy)
	slices.Sort(out.Missing)
	switch {
	case len(answers) > 0 || len(out.Missing) == 0:
	case len(out.Busy) > 0:
		return objectPage{}, &fault{http.StatusTooManyRequests, "ResourceExhausted", "the nodes are busy with other searches: try again"}
	default:
		return objectPage{}, &fault{http.StatusServiceUnavailable, "Unavailable", "no node answers"}
	}
	for _, a := range answers {
		out.Total += a.Reply.total
	}
	for _, at := range merge(answers, compare(req.GetSort()), offset, limit) {
		out.Objects = append(out.Objects, model.ShapeObject(at.Node, at.Reply))
	}
	out.TookMS = float64(i.cfg.Clock.Monotonic()-begun) / float64(time.Millisecond)
	return out, nil
}

// found is the first objects of a node.
type found struct {
	objects []*inspectpb.ObjectInfo
	total   uint64
	busy    bool // it has found nothing, as it searches for others
}

// first asks a node for its first n objects, at once: each time it is asked, it looks at all that it has. One that
// answers with fewer than it has allows no more at a time.
func first(ctx context.Context, c inspectpb.InspectServiceClient, like *inspectpb.SearchRequest, n int) (found, error) {
	var out found
	for {
		offset := len(out.objects)
		page, err := c.Search(ctx, &inspectpb.SearchRequest{
			Type: like.GetType(), Prefix: like.GetPrefix(), Busy: like.GetBusy(), MinWaiting: like.GetMinWaiting(), Sort: like.GetSort(),
			Limit: uint32(max(n-offset, 1)), Offset: uint32(offset), //nolint:gosec // G115: small
		})
		if object.CodeOf(grpcerr.FromError(err)) == object.CodeResourceExhausted {
			return found{busy: true}, nil
		}
		if err != nil {
			return found{}, err
		}
		out.total = page.GetTotal()
		out.objects = append(out.objects, page.GetObjects()...)
		if len(page.GetObjects()) == 0 || len(out.objects) >= n || uint64(len(out.objects)) >= out.total {
			out.objects = out.objects[:min(n, len(out.objects))]
			return out, nil
		}
	}
}

// merge merges what nodes have found, each in order, and takes a page of it. What changed its place while its node
// looked at it may be a little out of order.
func merge(answers []links.Answer[found], order func(a, b *inspectpb.ObjectInfo) int, offset, limit int) (page []links.Answer[*inspectpb.ObjectInfo]) {
	for n := range offset + limit {
		best := -1
		for i, a := range answers {
			if len(a.Reply.objects) > 0 && (best < 0 || order(a.Reply.objects[0], answers[best].Reply.objects[0]) < 0) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		from := &answers[best]
		if n >= offset {
			page = append(page, links.Answer[*inspectpb.ObjectInfo]{Node: from.Node, Reply: from.Reply.objects[0]})
		}
		from.Reply.objects = from.Reply.objects[1:]
	}
	return page
}

func (i *Inspector) object(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if err := objectID(id); err != nil {
		return nil, err
	}
	i.model.Glance(model.NewInterest(true, "", id))
	node, info, err := i.links.Describe(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return i.model.Known(id, node, info), nil
}
