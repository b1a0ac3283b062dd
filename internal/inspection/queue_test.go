package inspection_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/internal/inspection"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// Searches are carried out one after the other, in order; who finds too many is told to try again later.
func TestSearchesWaitForEachOther(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		w.searching, w.searched = make(chan string), make(chan struct{})
		results := make([]chan error, inspection.MaxSearches)
		ctx, leave := context.WithCancel(t.Context())
		ask := func(ctx context.Context, i int) chan error {
			result := make(chan error, 1)
			go func() {
				_, err := w.service.Search(ctx, &inspectpb.SearchRequest{Prefix: strconv.Itoa(i)})
				result <- err
			}()
			synctest.Wait()
			return result
		}
		for i := range results {
			results[i] = ask(map[bool]context.Context{true: ctx, false: t.Context()}[i == 2], i)
		}
		if err := <-ask(t.Context(), 99); codeOf(err) != object.CodeResourceExhausted || grpcerr.FromError(err).RetryAfter < time.Second {
			t.Errorf("one more: %v", err)
		}
		leave()
		if err := <-results[2]; codeOf(err) != object.CodeCanceled {
			t.Errorf("one that has left: %v", err)
		}
		results = append(results, ask(t.Context(), len(results))) //nolint:makezero // one more than there is room for
		for i := range results {
			if i == 2 {
				continue
			}
			if got := <-w.searching; got != strconv.Itoa(i) {
				t.Errorf("search %s instead of %d", got, i)
			}
			synctest.Wait()
			select {
			case got := <-w.searching:
				t.Fatalf("search %s beside %d", got, i)
			default:
			}
			w.searched <- struct{}{}
			if err := <-results[i]; err != nil {
				t.Errorf("search %d: %v", i, err)
			}
		}
	})
}

// A search that panics leaves its place.
func TestABrokenSearchLeaves(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.isBroken(true)
		for range 2 * inspection.MaxSearches {
			if _, err := w.service.Search(w.t.Context(), &inspectpb.SearchRequest{}); codeOf(err) != object.CodeInternal {
				w.t.Errorf("it broke with %v", err)
			}
		}
	})
}
