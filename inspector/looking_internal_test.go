package inspector

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xiaonanln/goverse/util/clock"
)

// Who asks for figures looks at them, so that they are of this moment the next time; who asks for what is not made of
// them leaves nodes in peace.
func TestWhoAsksForFiguresLooksAtThem(t *testing.T) {
	t.Parallel()
	for path, looks := range map[string]bool{
		"overview": true, "nodes": true, "nodes/n": true, "types": true, "types/T/methods/M/history": true, "graph": true, "graph?objects=1": true, "objects/T-x": true,
		"meta": false, "shards": false, "events": false, "clients": false, "objects": false, "types/T/methods/M/form": false,
	} {
		i := New(Config{Clock: clock.System(), Logger: slog.New(slog.DiscardHandler)})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/"+path, http.NoBody)
		answer := httptest.NewRecorder()
		i.routes().ServeHTTP(answer, r)
		if got := i.model.Attended(); got != looks || answer.Code >= http.StatusInternalServerError {
			t.Errorf("%s: %t, want %t; %d %s", path, got, looks, answer.Code, answer.Body)
		}
	}
}
