package inspector

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/xiaonanln/goverse/inspector/internal/forms"
	"github.com/xiaonanln/goverse/inspector/internal/links"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	"github.com/xiaonanln/goverse/object"
)

// worthGzip is from how many bytes on answers are compressed.
const worthGzip = 1024

// fault is a refusal as the API tells it.
type fault struct {
	status  int
	code    string
	message string
}

// Error implements error.
func (f *fault) Error() string { return f.message }

func invalid(message string) error {
	return &fault{http.StatusBadRequest, "InvalidArgument", message}
}

func notFound(message string) error { return &fault{http.StatusNotFound, "NotFound", message} }

// refuse answers a refused request.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	body.Error.Code, body.Error.Message = code, message
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // who does not take it has gone
}

// asFault says how an error is told.
func asFault(err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	switch {
	case errors.Is(err, links.ErrNoLink), errors.Is(err, links.ErrNoAnswer):
		return &fault{http.StatusServiceUnavailable, "Unavailable", err.Error()}
	case errors.Is(err, forms.ErrUnknown):
		return &fault{http.StatusNotFound, "NotFound", err.Error()}
	case errors.Is(err, model.ErrTooMany):
		return &fault{http.StatusTooManyRequests, "ResourceExhausted", err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return &fault{http.StatusGatewayTimeout, "DeadlineExceeded", err.Error()}
	}
	o, ok := errors.AsType[*object.Error](err)
	if !ok {
		return &fault{http.StatusInternalServerError, "Internal", err.Error()}
	}
	return &fault{statusOf(o.Code), nameOf(o.Code), o.Message}
}

// statusOf is the HTTP status of a code.
func statusOf(c object.Code) int {
	switch c {
	case object.CodeInvalidArgument, object.CodeOutOfRange:
		return http.StatusBadRequest
	case object.CodeUnauthenticated:
		return http.StatusUnauthorized
	case object.CodePermissionDenied:
		return http.StatusForbidden
	case object.CodeNotFound, object.CodeUnimplemented:
		return http.StatusNotFound
	case object.CodeFailedPrecondition, object.CodeAlreadyExists, object.CodeAborted:
		return http.StatusConflict
	case object.CodeResourceExhausted:
		return http.StatusTooManyRequests
	case object.CodeUnavailable:
		return http.StatusServiceUnavailable
	case object.CodeDeadlineExceeded, object.CodeCanceled:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// nameOf is a code as the API names it, "NotFound".
func nameOf(c object.Code) string {
	var b strings.Builder
	for part := range strings.SplitSeq(c.String(), "_") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

// answered makes a handler of what answers with JSON or fails.
func answered(f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reply, err := f(r)
		if err != nil {
			told := asFault(err)
			refuse(w, told.status, told.code, told.message)
			return
		}
		text, err := json.Marshal(reply)
		if err != nil {
			refuse(w, http.StatusInternalServerError, "Internal", err.Error())
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		send(w, r, "application/json; charset=utf-8", text)
	}
}

// send sends a body, compressed if that is worth it and wanted.
func send(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Add("Vary", "Accept-Encoding")
	if len(body) >= worthGzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write(body)
		if err = errors.Join(err, z.Close()); err == nil {
			h.Set("Content-Encoding", "gzip")
			body = packed.Bytes()
		}
	}
	_, _ = w.Write(body) //nolint:gosec // G705: JSON or the page's own files, as their type says; who does not take it has gone
}
