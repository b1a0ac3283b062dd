package inspector

import (
	"net/http"
	"strconv"

	"github.com/xiaonanln/goverse/inspector/internal/model"
)

func (i *Inspector) node(r *http.Request) (any, error) {
	n, ok := i.model.Node(r.PathValue("incarnation"))
	if !ok {
		return nil, notFound("there is no such node")
	}
	return n, nil
}

func (i *Inspector) methodHistory(r *http.Request) (any, error) {
	h, ok := i.model.MethodHistory(r.PathValue("type"), r.PathValue("method"))
	if !ok {
		return nil, notFound("no node has such a method")
	}
	return h, nil
}

func (i *Inspector) form(r *http.Request) (any, error) {
	info := i.model.MethodInfo(r.PathValue("type"), r.PathValue("method"))
	if info == nil {
		return nil, notFound("no node has such a method")
	}
	return i.forms.Form(info.GetRequest(), info.GetReply())
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
	f := model.EventFilter{
		Kinds: list(q.Get("kind")), Levels: list(q.Get("level")), Object: q.Get("object"), Node: q.Get("node"), Text: q.Get("text"), Limit: max(limit, 1), First: q.Get("since") != "",
	}
	for name, to := range map[string]*uint64{"since": &f.Since, "before": &f.Before} {
		if text := q.Get(name); text != "" {
			if *to, err = strconv.ParseUint(text, 10, 64); err != nil {
				return nil, invalid(name + " is no event's number")
			}
		}
	}
	return i.model.Events(f), nil
}
