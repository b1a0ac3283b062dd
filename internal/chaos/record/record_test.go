//go:build linux

package record_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/xiaonanln/goverse/internal/chaos/record"
)

func TestReadTakesWhatAKillHasLeft(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "r.jsonl")
	whole := `{"kind":"turn","obj":"Log-1","value":7,"start":5,"end":9}` + "\n"
	for text, want := range map[string]int{"": 0, whole: 1, whole + whole[:20]: 1, whole + "nonsense\n": -1} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := record.Read(name, "n1")
		if (err != nil) != (want < 0) || want >= 0 && len(got) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if want == 1 && (got[0].Value != 7 || got[0].Node != "n1") {
			t.Errorf("read %+v", got[0])
		}
	}
}

func TestNowGoesForward(t *testing.T) {
	t.Parallel()
	a, err := record.Now()
	b, again := record.Now()
	if err != nil || again != nil || a <= 0 || b < a {
		t.Errorf("%v %v, then %v %v", a, err, b, again)
	}
}
