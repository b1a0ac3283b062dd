package inspector

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
)

// Equal questions have one answer: those asked while it is looked for, and for a while after; an error is nobody else's later.
func TestEqualSearchesHaveOneAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := searches{clock: clock.Virtual()}
		asked := 0
		failure := error(nil)
		ask := func(ctx context.Context) (objectPage, error) {
			asked++
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			return objectPage{Total: uint64(asked)}, errors.Join(failure, ctx.Err())
		}
		want := func(ctx context.Context, key string, total uint64, asks int, cause error) {
			t.Helper()
			if p, err := s.get(ctx, key, ask); p.Total != total || asked != asks || !errors.Is(err, cause) {
				t.Errorf("told %d after asking %d times: %v; want %d, %d, %v", p.Total, asked, err, total, asks, cause)
			}
		}
		first, leave := context.WithCancel(t.Context())
		go want(first, "a", 1, 1, nil) // it leaves, the others have the answer all the same
		synctest.Wait()
		leave()
		go want(t.Context(), "a", 1, 1, nil)
		want(first, "a", 0, 1, context.Canceled)
		want(t.Context(), "a", 1, 1, nil)
		want(t.Context(), "a", 1, 1, nil)
		time.Sleep(searchKept) //nolint:forbidigo // virtual time
		synctest.Wait()
		want(t.Context(), "a", 2, 2, nil)
		want(t.Context(), "b", 3, 3, nil)
		failure = context.DeadlineExceeded
		want(t.Context(), "c", 4, 4, failure)
		failure = nil
		want(t.Context(), "c", 5, 5, nil)
		quick := func(context.Context) (objectPage, error) { return objectPage{}, nil }
		for n := range 3 * maxSearches {
			_, _ = s.get(t.Context(), strconv.Itoa(n), quick)
		}
		if n := len(s.all); n > maxSearches {
			t.Errorf("%d answers are kept", n)
		}
	})
}
