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

const (
	// actTimeout bounds an action.
	actTimeout = 30 * time.Second
	// maxRequest is the longest message that a call by form carries, in bytes: what nodes take from an inspector is bounded.
	maxRequest = 128 << 10
)

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
	node    string // who is asked, if it is well, so that the line in its log is where it is looked for; empty: anyone
	at      string // the object at whose node it is done; empty: none
	absent  bool   // the object need not be in memory
	request *inspectpb.ActRequest
}

// act does what an operator wants. What is refused before a node is asked stands in the inspector's log; all else in that
// of the node.
func (i *Inspector) act(r *http.Request) (any, error) {
	action := r.PathValue("action")
	d, err := i.wanted(r, action)
	if err != nil {
		i.cfg.Logger.WarnContext(r.Context(), "action refused", "action", action, "operator", operator(r), "reason", err.Error())
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
	defer cancel()
	if err := i.find(ctx, &d); err != nil {
		return nil, err
	}
	d.request.Operator = operator(r)
	begun := i.cfg.Clock.Monotonic()
	reply, err := i.links.Act(ctx, d.node, d.request)
	i.changes.Add(1)
	if err != nil {
		return nil, err
	}
	if d.request.GetCall() == nil {
		return struct{}{}, nil
	}
	a := called{Took: float64(i.cfg.Clock.Monotonic()-begun) / float64(time.Millisecond)}
	if a.Reply, err = i.forms.Decode(reply.GetMessage(), reply.GetReply()); err != nil {
		a.Problem, a.Raw = "The call was executed, but its reply cannot be shown: "+err.Error()+".", reply.GetReply()
	}
	return a, nil
}

// called is what a call by form comes to. Where the reply has no JSON, Problem says why and Raw is its bytes: the call
// has been executed all the same.
type called struct {
	Reply   json.RawMessage `json:"reply"`
	Took    float64         `json:"took"` // ms
	Problem string          `json:"problem,omitempty"`
	Raw     []byte          `json:"raw,omitempty"`
}

// wanted is what a request is for, if it may be done.
func (i *Inspector) wanted(r *http.Request, action string) (deed, error) {
	if !i.cfg.Actions {
		return deed{}, &fault{http.StatusForbidden, "PermissionDenied", "the inspector was started without -actions"}
	}
	var w wish
	if err := read(r, &w, maxBody); err != nil {
		return deed{}, err
	}
	d, err := i.deed(action, &w)
	if err == nil && w.Confirm != d.subject {
		err = invalid("confirm does not repeat what the action is about")
	}
	return d, err
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
		if action == "drain" && !i.model.OthersLive(w.Node) {
			return deed{}, &fault{http.StatusConflict, "FailedPrecondition", "no other node is live: its shards could go nowhere"}
		}
		return deed{subject: w.Node, node: w.Node, request: &inspectpb.ActRequest{
			Action: &inspectpb.ActRequest_Drain_{Drain: &inspectpb.ActRequest_Drain{Incarnation: w.Node, Undo: action == "undrain"}},
		}}, nil
	case "move":
		if w.Shard == nil || int64(*w.Shard) >= int64(i.model.ShardCount()) {
			return deed{}, invalid("there is no such shard")
		}
		if _, err := i.model.Address(w.To); err != nil {
			return deed{}, notFound("there is no such node")
		}
		return deed{subject: strconv.FormatUint(uint64(*w.Shard), 10), node: w.To, request: &inspectpb.ActRequest{
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
	if len(encoded) > maxRequest {
		return deed{}, invalid("the request is a message of " + strconv.Itoa(len(encoded)) + " bytes; a form can send " + strconv.Itoa(maxRequest))
	}
	return deed{subject: w.ID, at: w.ID, absent: true, request: &inspectpb.ActRequest{
		Action: &inspectpb.ActRequest_Call_{Call: &inspectpb.ActRequest_Call{Id: w.ID, Method: w.Method, Request: encoded}},
	}}, nil
}

// find finds the node that is to act.
func (i *Inspector) find(ctx context.Context, d *deed) error {
	if d.at != "" {
		node, _, err := i.links.Describe(ctx, d.at)
		switch {
		case node != "":
			d.node = node
			return nil
		case err != nil:
			return err
		case !d.absent:
			return notFound("it is not in memory on any node that answers")
		}
	}
	if d.node = i.links.Any(i.model, d.node); d.node == "" {
		return &fault{http.StatusServiceUnavailable, "Unavailable", "no node answers"}
	}
	return nil
}
