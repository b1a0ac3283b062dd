package arch_test

import (
	"go/ast"
	"slices"
	"testing"
)

// clockless are the folders whose time comes through util/clock, so that tests
// and simulations can own it.
var clockless = []string{"node", "cluster", "storage", "internal/shard"}

// wallClock are the functions of package time that read or wait for real time.
var wallClock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

func TestCoreReadsTheClockThroughOneSeam(t *testing.T) {
	t.Parallel()
	report(t, checkClock(tree(t)), "take the clock from util/clock, given to the constructor")
}

// checkClock finds uses of the real clock in the folders that must not.
func checkClock(sources []source) []string {
	var violations []string
	for _, s := range sources {
		if s.isTest() || !slices.ContainsFunc(clockless, func(dir string) bool { return within(s.dir(), dir) }) {
			continue
		}
		name := s.localName("time")
		if name == "." {
			violations = append(violations, s.path+": imports time into its own names")
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			if expr, ok := node.(*ast.SelectorExpr); ok && selects(expr, name, wallClock...) {
				violations = append(violations, s.at(expr)+": time."+expr.Sel.Name)
			}
			return true
		})
	}
	slices.Sort(violations)
	return violations
}

func TestClockRuleFindsPlanted(t *testing.T) {
	t.Parallel()
	now := "package a\nimport \"time\"\nfunc f() { time.Now() }\n"
	try(t, checkClock, []planted{
		{"node", map[string]string{"node/a.go": now}, []string{"node/a.go:3: time.Now"}},
		{"below", map[string]string{"storage/sqlite/a.go": now}, []string{"time.Now"}},
		{"as a value", map[string]string{"cluster/a.go": "package a\nimport \"time\"\nvar now = time.Now\n"}, []string{"time.Now"}},
		{"renamed", map[string]string{"node/a.go": "package a\nimport t \"time\"\nfunc f() { t.Sleep(1) }\n"}, []string{"time.Sleep"}},
		{"dot", map[string]string{"node/a.go": "package a\nimport . \"time\"\nfunc f() { Now() }\n"}, []string{"own names"}},
		{"duration", map[string]string{"node/a.go": "package a\nimport \"time\"\nconst d = time.Second\n"}, nil},
		{"elsewhere", map[string]string{"util/clock/a.go": now}, nil},
		{"test", map[string]string{"node/a_test.go": now}, nil},
	})
}
