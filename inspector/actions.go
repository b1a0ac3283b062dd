package inspector

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// actTimeout bounds an action.
const actTimeout = 30 * time.Second

// wish is the body of any action.
type wish struct {
	Node    string          `json:"node"`
	Shard   *uint32         `json:"shard"`
	To      string          `json:"to"`
	ID      string          `json:"id"`
	Method  string          `json:"method"`
	Request json.RawMessage `json:"request"`
	Object  string          `json:"object"`
	Confirm string          `json:"confirm"`
}

// deed is what an action comes to.
type deed struct {
	subject string // what has to be repeated
	node    string // who is asked; empty: anyone
	at      string // the object at whose node it is done; empty: none
	request *inspectpb.ActRequest
}

// act does what an operator wants.
func (i *Inspector) act(r *http.Request) (any, error) {
	if !i.cfg.Actions {
		return nil, &fault{http.StatusForbidden, "PermissionDenied", "the inspector was started without -actions"}
	}
	var w wish
	if err := read(r, &w); err != nil {
		return nil, err
	}
	d, err := i.deed(r.PathValue("action"), &w)
	if err != nil {
		return nil, err
	}
	if w.Confirm != d.subject {
		return nil, invalid("confirm does not repeat what the action is about")
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
	defer cancel()
	if err := i.find(ctx, &d); err != nil {
		return nil, err
	}
	d.request.Operator = operator(r)
	begun := i.cfg.Clock.Monotonic()
	reply, err := i.links.Act(ctx, d.node, d.request)
	if err != nil {
		return nil, err
	}
	if d.request.GetCall() == nil {
		return struct{}{}, nil
	}
	took := float64(i.cfg.Clock.Monotonic()-begun) / float64(time.Millisecond)
	text, err := i.forms.Decode(reply.GetMessage(), reply.GetReply())
	if err != nil {
		return nil, err
	}
	return map[string]any{"reply": text, "took": took}, nil
}

// operator is how nodes' logs name who acts: nothing else is known of them.
func operator(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "inspector at " + r.Host + ", from " + host
}

// deed says what a wish comes to.
func (i *Inspector) deed(action string, w *wish) (deed, error) {
	switch action {
	case "drain", "undrain":
		if w.Node == "" {
			return deed{}, invalid("node is missing")
		}
		if _, err := i.model.Address(w.Node); err != nil {
			return deed{}, notFound("there is no such node")
		}
		return deed{subject: w.Node, request: &inspectpb.ActRequest{
			Action: &inspectpb.ActRequest_Drain_{Drain: &inspectpb.ActRequest_Drain{Incarnation: w.Node, Undo: action == "undrain"}},
		}}, nil
	case "move":
		if w.Shard == nil || int64(*w.Shard) >= int64(i.model.ShardCount()) {
			return deed{}, invalid("there is no such shard")
		}
		if _, err := i.model.Address(w.To); err != nil {
			return deed{}, notFound("there is no such node")
		}
		return deed{subject: strconv.FormatUint(uint64(*w.Shard), 10), request: &inspectpb.ActRequest{
			Action: &inspectpb.ActRequest_Move_{Move: &inspectpb.ActRequest_Move{Shard: *w.Shard, To: w.To}},
		}}, nil
	case "deactivate":
		return deed{subject: w.ID, at: w.ID, request: &inspectpb.ActRequest{
			Action: &inspectpb.ActRequest_Deactivate_{Deactivate: &inspectpb.ActRequest_Deactivate{Id: w.ID}},
		}}, objectID(w.ID)
	case "disconnect":
		return deed{subject: w.Object, at: w.Object, request: &inspectpb.ActRequest{
			Action: &inspectpb.ActRequest_Disconnect_{Disconnect: &inspectpb.ActRequest_Disconnect{Object: w.Object}},
		}}, objectID(w.Object)
	case "call":
		return i.call(w)
	}
	return deed{}, notFound("there is no such action")
}

// call makes a call of JSON.
func (i *Inspector) call(w *wish) (deed, error) {
	if err := objectID(w.ID); err != nil {
		return deed{}, err
	}
	name, _, _ := object.ParseID(w.ID) // it was checked
	info := i.model.MethodInfo(name, w.Method)
	if info == nil {
		return deed{}, notFound("no node has such a method")
	}
	request := w.Request
	if string(request) == "null" {
		request = nil
	}
	encoded, err := i.forms.Encode(info.GetRequest(), request)
	if err != nil {
		return deed{}, invalid(err.Error())
	}
	return deed{subject: w.ID, request: &inspectpb.ActRequest{
		Action: &inspectpb.ActRequest_Call_{Call: &inspectpb.ActRequest_Call{Id: w.ID, Method: w.Method, Request: encoded}},
	}}, nil
}

// find finds the node that is to act.
func (i *Inspector) find(ctx context.Context, d *deed) error {
	if d.at == "" {
		if d.node = i.links.Any(i.model); d.node == "" {
			return &fault{http.StatusServiceUnavailable, "Unavailable", "no node answers"}
		}
		return nil
	}
	node, _, err := i.links.Describe(ctx, d.at)
	if err != nil {
		return err
	}
	if node == "" {
		return notFound("it is not in memory on any node that answers")
	}
	d.node = node
	return nil
}
