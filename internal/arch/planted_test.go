package arch_test

import (
	"strings"
	"testing"
)

// planted is a rule tried on sources made up to break or to keep it.
type planted struct {
	name  string
	files map[string]string // path to text
	want  []string          // what each violation must mention, in order; none: the rule holds
}

// try runs a rule on planted sources and compares what it finds.
func try(t *testing.T, rule func([]source) []string, cases []planted) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var sources []source
			for name, text := range c.files {
				sources = append(sources, parse(t, name, text))
			}
			got := rule(sources)
			if len(got) != len(c.want) {
				t.Fatalf("found %d violations, want %d:\n%s", len(got), len(c.want), strings.Join(got, "\n"))
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("violation %d is %q, want it to mention %q", i, got[i], want)
				}
			}
		})
	}
}
