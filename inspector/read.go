package inspector

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/xiaonanln/goverse/inspector/internal/links"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// The most that a page may have, and how deep one may turn pages: a node sorts and sends all before.
const (
	maxPage   = 1000
	maxOffset = 10_000

	maxInterestTypes = 1000 // that a node lets a watcher name
)

// number reads a parameter; empty: def. What is not from 0 to most is invalid.
func number(q url.Values, name string, def, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, invalid(name + " is not a number from 0 to " + strconv.Itoa(most))
	}
	return n, nil
}

// flag reads a parameter that is 1, true, 0, false or absent.
func flag(q url.Values, name string) (bool, error) {
	text := q.Get(name)
	if text == "" {
		return false, nil
	}
	set, err := strconv.ParseBool(text)
	if err != nil {
		return false, invalid(name + " is neither 1 nor 0")
	}
	return set, nil
}

func (i *Inspector) node(r *http.Request) (any, error) {
	n, ok := i.model.Node(r.PathValue("incarnation"))
	if !ok {
		return nil, notFound("there is no such node")
	}
	return n, nil
}

func (i *Inspector) form(r *http.Request) (any, error) {
	info := i.model.MethodInfo(r.PathValue("type"), r.PathValue("method"))
	if info == nil {
		return nil, notFound("no node has such a method")
	}
	return i.forms.Form(info.GetRequest(), info.GetReply())
}

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
func compare(sort inspectpb.SearchRequest_Sort) func(a, b model.Object) int {
	return func(a, b model.Object) int {
		var c int
		switch sort {
		case inspectpb.SearchRequest_SORT_CALLS:
			c = cmp.Compare(b.Calls, a.Calls)
		case inspectpb.SearchRequest_SORT_TIME:
			c = cmp.Compare(b.Time, a.Time)
		case inspectpb.SearchRequest_SORT_WAITING:
			c = cmp.Compare(b.Waiting, a.Waiting)
		case inspectpb.SearchRequest_SORT_IDLE:
			c = cmp.Compare(b.Idle, a.Idle)
		case inspectpb.SearchRequest_SORT_AGE:
			c = cmp.Compare(a.Age, b.Age)
		default:
		}
		return cmp.Or(c, cmp.Compare(a.ID, b.ID))
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
}

// objects asks all nodes for their first objects, and merges them.
func (i *Inspector) objects(r *http.Request) (any, error) {
	q := r.URL.Query()
	req, limit, offset, err := search(q)
	if err != nil {
		return nil, err
	}
	begun := i.cfg.Clock.Monotonic()
	out := objectPage{Objects: []model.Object{}}
	answers, missing := links.Each(r.Context(), i.links, q.Get("node"), func(ctx context.Context, c inspectpb.InspectServiceClient) (found, error) {
		return first(ctx, c, req, offset+limit)
	})
	if out.Missing = missing; len(answers) == 0 && len(missing) > 0 {
		return nil, &fault{http.StatusServiceUnavailable, "Unavailable", "no node answers"}
	}
	for _, a := range answers {
		out.Total += a.Reply.total
		for _, o := range a.Reply.objects {
			out.Objects = append(out.Objects, model.ShapeObject(a.Node, o))
		}
	}
	slices.SortFunc(out.Objects, compare(req.GetSort()))
	out.Objects = out.Objects[min(offset, len(out.Objects)):min(offset+limit, len(out.Objects))]
	out.TookMS = float64(i.cfg.Clock.Monotonic()-begun) / float64(time.Millisecond)
	return out, nil
}

// found is the first objects of a node.
type found struct {
	objects []*inspectpb.ObjectInfo
	total   uint64
}

// first asks a node for its first n objects, a page at a time.
func first(ctx context.Context, c inspectpb.InspectServiceClient, like *inspectpb.SearchRequest, n int) (found, error) {
	var out found
	for {
		offset := len(out.objects)
		page, err := c.Search(ctx, &inspectpb.SearchRequest{
			Type: like.GetType(), Prefix: like.GetPrefix(), Busy: like.GetBusy(), MinWaiting: like.GetMinWaiting(), Sort: like.GetSort(),
			Limit: uint32(max(min(n-offset, maxPage), 1)), Offset: uint32(offset), //nolint:gosec // G115: small
		})
		if err != nil {
			return found{}, err
		}
		out.total = page.GetTotal()
		out.objects = append(out.objects, page.GetObjects()...)
		if len(page.GetObjects()) == 0 || len(out.objects) >= n {
			out.objects = out.objects[:min(n, len(out.objects))]
			return out, nil
		}
	}
}

// objectID checks an id that somebody has sent.
func objectID(id string) error {
	if _, _, err := object.ParseID(id); err != nil {
		return invalid("that is no object's id")
	}
	return nil
}

func (i *Inspector) object(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if err := objectID(id); err != nil {
		return nil, err
	}
	node, info, err := i.links.Describe(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return i.model.Known(id, node, info), nil
}

// client is a connected client.
type client struct {
	Object      string `json:"object"`
	Node        string `json:"node"`
	Connected   int64  `json:"connected"`
	Kind        string `json:"kind"`
	Calls       uint64 `json:"calls"`
	Queued      uint32 `json:"queued"`
	QueuedBytes uint64 `json:"queued_bytes"`
	Pushes      uint64 `json:"pushes"`
	Peer        string `json:"peer"`
}

// clientPage is a page of clients.
type clientPage struct {
	Clients []client `json:"clients"`
	Total   uint64   `json:"total"`
	Missing []string `json:"missing"`
}

// clients asks all nodes for their clients, the longest connected first.
func (i *Inspector) clients(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, err := number(q, "limit", 100, maxPage)
	if err != nil {
		return nil, err
	}
	offset, err := number(q, "offset", 0, maxOffset)
	if err != nil {
		return nil, err
	}
	out := clientPage{Clients: []client{}}
	answers, missing := links.Each(r.Context(), i.links, "", func(ctx context.Context, c inspectpb.InspectServiceClient) (*inspectpb.ClientsResponse, error) {
		return firstClients(ctx, c, offset+limit)
	})
	if out.Missing = missing; len(answers) == 0 && len(missing) > 0 {
		return nil, &fault{http.StatusServiceUnavailable, "Unavailable", "no node answers"}
	}
	for _, a := range answers {
		out.Total += a.Reply.GetTotal()
		for _, c := range a.Reply.GetClients() {
			out.Clients = append(out.Clients, client{
				c.GetObject(), a.Node, c.GetConnectedUs() / 1000, c.GetKind(), c.GetCalls(), c.GetQueued(), c.GetQueuedBytes(), c.GetPushes(), c.GetPeer(),
			})
		}
	}
	slices.SortFunc(out.Clients, func(a, b client) int {
		return cmp.Or(cmp.Compare(a.Connected, b.Connected), cmp.Compare(a.Object, b.Object))
	})
	out.Clients = out.Clients[min(offset, len(out.Clients)):min(offset+limit, len(out.Clients))]
	return out, nil
}

// firstClients asks a node for its first n clients, a page at a time.
func firstClients(ctx context.Context, c inspectpb.InspectServiceClient, n int) (*inspectpb.ClientsResponse, error) {
	out := &inspectpb.ClientsResponse{}
	for {
		offset := len(out.GetClients())
		page, err := c.Clients(ctx, &inspectpb.ClientsRequest{
			Limit: uint32(max(min(n-offset, maxPage), 1)), Offset: uint32(offset), //nolint:gosec // G115: small
		})
		if err != nil {
			return nil, err
		}
		out.Total = page.GetTotal()
		out.Clients = append(out.Clients, page.GetClients()...)
		if len(page.GetClients()) == 0 || len(out.GetClients()) >= n {
			return out, nil
		}
	}
}

// interestOf reads what a request is interested in.
func interestOf(q url.Values) (model.Interest, error) {
	objects, err := flag(q, "objects")
	if err != nil {
		return model.Interest{}, err
	}
	if focus := q.Get("focus"); focus != "" {
		if err := objectID(focus); err != nil {
			return model.Interest{}, err
		}
	}
	if types := q.Get("types"); len(types) > 8192 || strings.Count(types, ",") >= maxInterestTypes || !utf8.ValidString(types) {
		return model.Interest{}, invalid("too many types, or no names of any") // nodes would refuse again and again
	}
	return model.NewInterest(objects, q.Get("types"), q.Get("focus")), nil
}

func (i *Inspector) graph(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, err := number(q, "limit", graphLimit, maxPage)
	if err != nil {
		return nil, err
	}
	interest, err := interestOf(q)
	if err != nil {
		return nil, err
	}
	if err := i.model.Touch(interest); err != nil {
		return nil, err
	}
	return i.model.Graph(interest, q.Get("types"), max(limit, 1)), nil
}

func (i *Inspector) events(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, err := number(q, "limit", 200, maxPage)
	if err != nil {
		return nil, err
	}
	f := model.EventFilter{Kind: q.Get("kind"), Level: q.Get("level"), Object: q.Get("object"), Node: q.Get("node"), Limit: max(limit, 1)}
	if since := q.Get("since"); since != "" {
		if f.Since, err = strconv.ParseUint(since, 10, 64); err != nil {
			return nil, invalid("since is no event's number")
		}
	}
	return i.model.Events(f), nil
}
