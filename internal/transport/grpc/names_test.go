package grpc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Names cross once, and are bounded on both sides, whatever comes.
func TestNamesCrossOnceAndAreBounded(t *testing.T) {
	t.Parallel()
	said, known := vocabulary{}, names{}
	crosses := func(name string, want bool) {
		t.Helper()
		b, added := said.learn(nil, name, name)
		for rest := b; len(rest) > 0; {
			k, payload, after, err := nextFrame(rest)
			if err != nil || k != kindName || known.learn(payload) != nil {
				t.Fatalf("%d, %v", k, err)
			}
			rest = after
		}
		if (added == 1) != want {
			t.Fatalf("%q: %d names are said", name, added)
		}
		c := cursor{rest: said.appendName(nil, name)}
		if got := c.name(known); got != name || c.end("a name") != nil {
			t.Fatalf("%q arrives as %q", name, got)
		}
	}
	crosses("Echo", true)
	crosses("Echo", false)
	crosses("", false)
	crosses(strings.Repeat("x", maxNameBytes), true)
	crosses(strings.Repeat("x", maxNameBytes+1), false)
	for i := range 2 * maxNames {
		crosses(fmt.Sprint(i), i < maxNames-2)
	}
	if err := known.learn([]byte("one too many")); !errors.Is(err, errGarbage) {
		t.Errorf("one too many: %v", err)
	}
	for what, name := range map[string]string{"empty": "", "long": strings.Repeat("x", maxNameBytes+1)} {
		if err := new(names).learn([]byte(name)); !errors.Is(err, errGarbage) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, number := range []byte{maxNames % 128, 1} {
		c := cursor{rest: []byte{number}}
		if c.name(nil); !errors.Is(c.end("a name"), errGarbage) {
			t.Errorf("the name %d of none is known", number)
		}
	}
}
