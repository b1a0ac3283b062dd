package inspection

import (
	"testing"
	"time"
)

func TestWhatProcSays(t *testing.T) {
	t.Parallel()
	if got := statm([]byte("100 42 7 1 0 9 0\n")); got != 42 {
		t.Errorf("%d pages", got)
	}
	for _, bad := range []string{"", "1", "1 x"} {
		if got := statm([]byte(bad)); got != 0 {
			t.Errorf("%q: %d pages", bad, got)
		}
	}
	const line = "7 (a) name (b)) S 1 7 7 0 -1 4 5 6 7 8 9 10 11 12 20 0 9 0 250 1 2"
	if got, ok := stat([]byte(line)); !ok || got != 2500*time.Millisecond {
		t.Errorf("started at %v, %v", got, ok)
	}
	for _, bad := range []string{"", "7 (a) S 1 2", "7 (a) S 1 7 7 0 -1 4 5 6 7 8 9 10 11 12 20 0 9 0 x"} {
		if _, ok := stat([]byte(bad)); ok {
			t.Errorf("%q is understood", bad)
		}
	}
}
