package inspector

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// The longest bodies that are read, in bytes: of an action, whose form has a message of maxRequest as JSON, and of a login,
// which anybody may send.
const (
	maxBody  = 1 << 20
	maxLogin = 4 << 10
)

// Meta is the inspector itself.
type meta struct {
	Version  string   `json:"version"`
	Cluster  string   `json:"cluster"`
	Etcd     []string `json:"etcd"`
	Actions  bool     `json:"actions"`
	Auth     bool     `json:"auth"`
	Instance string   `json:"instance"`
	Now      int64    `json:"now"`
}

func (i *Inspector) meta() meta {
	return meta{
		Version: i.version, Cluster: i.cfg.Cluster, Etcd: append([]string{}, i.cfg.Etcd...), Actions: i.cfg.Actions,
		Auth: i.cfg.Token != "", Instance: i.instance, Now: i.cfg.Clock.Now().UnixMilli(),
	}
}

// routes are the API and the page.
func (i *Inspector) routes() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc("GET /api/"+path, answered(f))
	}
	get("meta", func(*http.Request) (any, error) { return i.meta(), nil })
	figures := func(path string, f func(r *http.Request) (any, error)) {
		get(path, func(r *http.Request) (any, error) {
			i.model.Look()
			return f(r)
		})
	}
	figures("overview", func(*http.Request) (any, error) { return i.model.Overview(true), nil })
	figures("nodes", func(*http.Request) (any, error) { return i.model.Nodes(), nil })
	figures("nodes/{incarnation}", i.node)
	get("shards", func(*http.Request) (any, error) { return i.model.Shards(), nil })
	figures("types", func(*http.Request) (any, error) { return i.model.Types(), nil })
	get("types/{type}/methods/{method}/form", i.form)
	figures("types/{type}/methods/{method}/history", i.methodHistory)
	get("objects", i.objects)
	get("objects/{id}", i.object)
	get("clients", i.clients)
	get("graph", i.graph)
	get("events", i.events)
	mux.HandleFunc("GET /api/stream", i.stream)
	mux.HandleFunc("POST /api/login", i.login)
	mux.HandleFunc("POST /api/actions/{action}", answered(i.act))
	mux.HandleFunc("/api/", i.nothing)
	if i.cfg.Assets != nil {
		mux.HandleFunc("/", i.asset)
	}
	return mux
}

// nothing answers requests that the API does not have.
func (i *Inspector) nothing(w http.ResponseWriter, r *http.Request) {
	post := r.URL.Path == "/api/login" || strings.HasPrefix(r.URL.Path, "/api/actions/")
	if post && r.Method != http.MethodPost || !post && r.Method != http.MethodGet && r.Method != http.MethodHead {
		allow := "GET, HEAD"
		if post {
			allow = "POST"
		}
		w.Header().Set("Allow", allow)
		refuse(w, http.StatusMethodNotAllowed, "Unimplemented", "this is not asked for in that way")
		return
	}
	refuse(w, http.StatusNotFound, "NotFound", "the API has no such path")
}

// read reads a JSON body of at most so many bytes into v.
func read(r *http.Request, v any, atMost int64) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return invalid("the body must be application/json")
	}
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, atMost))
	if err != nil {
		return invalid("the body cannot be read: " + err.Error())
	}
	if err := json.Unmarshal(text, v); err != nil {
		return invalid("the body is not what is expected: " + err.Error())
	}
	return nil
}

// login gives who knows the token a cookie.
func (i *Inspector) login(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token string `json:"token"`
	}
	if err := read(r, &body, maxLogin); err != nil {
		told := asFault(err)
		refuse(w, told.status, told.code, told.message)
		return
	}
	if i.guard.Try(w, r, body.Token) {
		i.guard.LogIn(w)
		answered(func(*http.Request) (any, error) { return struct{}{}, nil })(w, r)
	}
}

// asset answers with a file of the page. Paths that are none are the page itself, which
// looks at them; those that look like files are not there.
func (i *Inspector) asset(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "Unimplemented", "files can only be read")
		return
	}
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if name == "" {
		name = "index.html"
	}
	body, err := fs.ReadFile(i.cfg.Assets, name)
	if err != nil && !strings.Contains(path.Base(name), ".") {
		name = "index.html"
		body, err = fs.ReadFile(i.cfg.Assets, name)
	}
	if err != nil {
		refuse(w, http.StatusNotFound, "NotFound", "there is no such file")
		return
	}
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	w.Header().Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "assets/") { // named by what is in them
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if strings.HasPrefix(kind, "image/png") || strings.HasPrefix(kind, "font/") {
		w.Header().Set("Content-Type", kind)
		_, _ = io.Copy(w, bytes.NewReader(body)) // who does not take it has gone
		return
	}
	send(w, r, kind, body)
}
