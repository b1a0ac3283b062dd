package inspector

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/xiaonanln/goverse/inspector/internal/links"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

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
