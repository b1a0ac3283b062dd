package inspection

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// maxOperator is how many bytes of an operator's name are written down.
const maxOperator = 256

// actTimeout bounds an action whose rpc has no deadline.
const actTimeout = time.Minute

// action is what an operator wants, and what is written down about it: never what a call asks or is answered.
type action struct {
	what                 string // "drain", …
	node, object, method string // what it is about; empty: not about one
	shard                int32  // -1: about none
	problem              error  // not nil: it is not tried
	do                   func(ctx context.Context) (*inspectpb.ActResponse, error)
}

// Act implements the rpc.
func (s *Service) Act(ctx context.Context, req *inspectpb.ActRequest) (res *inspectpb.ActResponse, err error) {
	defer s.rescue(ctx, "act", &err)
	a := s.action(req)
	res, err = &inspectpb.ActResponse{}, a.problem
	if err == nil {
		limited, cancel := ctx, context.CancelFunc(func() {})
		if a.what != "call" { // whose limit is its method's
			limited, cancel = context.WithTimeout(ctx, actTimeout)
		}
		defer cancel()
		res, err = s.carryOut(limited, a)
	}
	s.record(ctx, operator(req.GetOperator()), a, err)
	if err != nil {
		return nil, toStatus(err)
	}
	return res, nil
}

// carryOut does it. A panic is an outcome like another, to be written down.
func (s *Service) carryOut(ctx context.Context, a action) (res *inspectpb.ActResponse, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = s.crashed(ctx, a.what, reason)
		}
	}()
	return a.do(ctx)
}

// action says what a request means.
func (s *Service) action(req *inspectpb.ActRequest) action {
	switch want := req.GetAction().(type) {
	case *inspectpb.ActRequest_Drain_:
		return s.drain(want.Drain)
	case *inspectpb.ActRequest_Move_:
		return s.move(want.Move)
	case *inspectpb.ActRequest_Deactivate_:
		id := want.Deactivate.GetId()
		return about("deactivate", id, "", func(ctx context.Context) (*inspectpb.ActResponse, error) {
			return &inspectpb.ActResponse{}, s.cfg.Node.Deactivate(ctx, id)
		})
	case *inspectpb.ActRequest_Call_:
		return s.call(want.Call)
	case *inspectpb.ActRequest_Disconnect_:
		return s.disconnect(want.Disconnect)
	}
	return action{what: "unknown", shard: -1, problem: object.Refuse(object.CodeInvalidArgument, "", "act", "", "", "no action, or one that this version does not know")}
}

// about is an action on an object.
func about(what, id, method string, do func(ctx context.Context) (*inspectpb.ActResponse, error)) action {
	a := action{what: what, object: id, method: method, shard: -1, do: do}
	if _, _, err := object.ParseID(id); err != nil {
		a.object, a.problem = "", err // which names it, escaped and cut
	}
	return a
}

func (s *Service) drain(want *inspectpb.ActRequest_Drain) action {
	a := action{what: "drain", node: want.GetIncarnation(), shard: -1, do: func(ctx context.Context) (*inspectpb.ActResponse, error) {
		return &inspectpb.ActResponse{}, s.cfg.Cluster.Drain(ctx, want.GetIncarnation(), want.GetUndo())
	}}
	if want.GetUndo() {
		a.what = "undrain"
	}
	return a.checkNode()
}

func (s *Service) move(want *inspectpb.ActRequest_Move) action {
	a := action{what: "move", node: want.GetTo(), shard: -1, do: func(ctx context.Context) (*inspectpb.ActResponse, error) {
		return &inspectpb.ActResponse{}, s.cfg.Cluster.Move(ctx, want.GetShard(), want.GetTo())
	}}
	if want.GetShard() >= 1<<16 {
		a.problem = object.Refuse(object.CodeInvalidArgument, "", "move shard", "", "", "there is no such shard")
		return a
	}
	a.shard = int32(want.GetShard()) //nolint:gosec // G115: less than 1<<16
	return a.checkNode()
}

// checkNode refuses what cannot be an incarnation.
func (a action) checkNode() action {
	if n := len(a.node); n == 0 || n > object.MaxIDBytes {
		a.node = ""
		a.problem = object.Refuse(object.CodeInvalidArgument, "", a.what, "", "", "no node is named so")
	}
	return a
}

func (s *Service) disconnect(want *inspectpb.ActRequest_Disconnect) action {
	id := want.GetObject()
	return about("disconnect", id, "", func(ctx context.Context) (*inspectpb.ActResponse, error) {
		if s.cfg.Clients == nil {
			return nil, object.Refuse(object.CodeNotFound, "", "disconnect", id, "", "the node serves no clients")
		}
		return &inspectpb.ActResponse{}, s.cfg.Clients.Kick(ctx, id)
	})
}

// call decodes the request as the method's type, and calls.
func (s *Service) call(want *inspectpb.ActRequest_Call) action {
	id, name := want.GetId(), want.GetMethod()
	a := about("call", id, "", nil)
	if a.problem != nil {
		return a
	}
	typ, _, _ := object.ParseID(id) // it was checked
	t := s.cfg.Registry.Lookup(typ)
	if t == nil {
		a.problem = object.Refuse(object.CodeNotFound, object.NotRegistered, "call", id, "", "its type is not registered on this node")
		return a
	}
	m := t.Method(name)
	if m == nil {
		a.problem = object.Refuse(object.CodeUnimplemented, object.UnknownMethod, "call", id, "", "its type has no such method")
		return a
	}
	a.method = name
	req := m.NewRequest()
	if err := proto.Unmarshal(want.GetRequest(), req); err != nil {
		a.problem = object.Refuse(object.CodeInvalidArgument, "", "call", id, name, "the request is no "+m.RequestName())
		return a
	}
	a.do = func(ctx context.Context) (*inspectpb.ActResponse, error) {
		reply, err := s.cfg.Call(ctx, id, name, req)
		if err != nil {
			return nil, err
		}
		body, err := proto.Marshal(reply)
		if err != nil {
			return nil, object.Refuse(object.CodeInternal, "", "call", id, name, "encode the reply: "+err.Error()).WithExecuted(object.ExecutedYes)
		}
		return &inspectpb.ActResponse{Reply: body, Message: m.ReplyName()}, nil
	}
	return a
}

// operator is an operator's name as it is written down.
func operator(name string) string {
	switch {
	case name == "":
		return "unknown"
	case len(name) > maxOperator:
		name = strings.ToValidUTF8(name[:maxOperator], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, name)
}

// record writes down what an operator did.
func (s *Service) record(ctx context.Context, who string, a action, err error) {
	outcome, level := "done", "info"
	if err != nil {
		outcome, level = object.CodeOf(err).String(), "warning"
	}
	attrs := []slog.Attr{slog.String("operator", who), slog.String("action", a.what)}
	text := strings.Builder{}
	text.WriteString(a.what)
	for _, part := range []struct{ name, value string }{{"object", a.object}, {"method", a.method}, {"node", a.node}} {
		if part.value != "" {
			attrs = append(attrs, slog.String(part.name, part.value))
			text.WriteString(" " + part.name + " " + part.value)
		}
	}
	if a.shard >= 0 {
		attrs = append(attrs, slog.Int("shard", int(a.shard)))
		text.WriteString(" shard " + strconv.Itoa(int(a.shard)))
	}
	attrs = append(attrs, slog.String("outcome", outcome))
	if err != nil && a.what != "call" { // whose error is the application's words
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "operator action", attrs...)
	s.cfg.Journal.Add(&inspectpb.Event{
		Kind: "action", Level: level, Object: a.object, Method: a.method, Shard: a.shard,
		Text: text.String() + " by " + who + ": " + outcome,
	})
}
