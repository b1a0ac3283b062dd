package arch_test

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const goroutineList = "goroutines.txt"

func TestEveryGoroutineHasAReason(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(goroutineList)
	if err != nil {
		t.Fatalf("read the list: %v", err)
	}
	listed, violations := parseGoroutineList(string(text))
	violations = append(violations, checkGoroutines(tree(t), listed)...)
	report(t, violations, "the list is internal/arch/"+goroutineList+"; the reason names the owner who waits for the goroutine")
}

// parseGoroutineList reads lines of the form `path: reason`.
func parseGoroutineList(text string) (listed, violations []string) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		file, reason, ok := strings.Cut(line, ":")
		switch {
		case !ok || strings.TrimSpace(reason) == "":
			violations = append(violations, fmt.Sprintf("%s:%d: %q gives no reason", goroutineList, i+1, line))
		case slices.Contains(listed, file):
			violations = append(violations, fmt.Sprintf("%s:%d: %s is listed twice", goroutineList, i+1, file))
		}
		listed = append(listed, file)
	}
	return listed, violations
}

// checkGoroutines compares the files that start goroutines with the list.
func checkGoroutines(sources []source, listed []string) []string {
	starts := map[string]string{} // file to its first start
	for _, s := range sources {
		if s.isTest() || s.isTestKit() || s.isMain() || s.isGenerated() {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			if how := goroutineStart(node); how != "" && starts[s.path] == "" {
				starts[s.path] = s.at(node) + " starts a goroutine (" + how + ")"
			}
			return true
		})
	}
	var violations []string
	for _, file := range slices.Sorted(maps.Keys(starts)) {
		if !slices.Contains(listed, file) {
			violations = append(violations, fmt.Sprintf("%s; add to %s:\n%s: <who owns it and waits for it>", starts[file], goroutineList, file))
		}
	}
	for _, file := range listed {
		if starts[file] == "" {
			violations = append(violations, fmt.Sprintf("%s: no goroutine is started in %s; remove the line", goroutineList, file))
		}
	}
	return violations
}

// goroutineStart recognises a go statement and a call x.Go(f), as of
// sync.WaitGroup and errgroup.Group, or "".
func goroutineStart(node ast.Node) string {
	switch n := node.(type) {
	case *ast.GoStmt:
		return "go statement"
	case *ast.CallExpr:
		if selector, ok := n.Fun.(*ast.SelectorExpr); ok && selector.Sel.Name == "Go" && len(n.Args) == 1 {
			return "call of Go"
		}
	}
	return ""
}

func TestGoroutineRuleFindsPlanted(t *testing.T) {
	t.Parallel()
	withList := func(listed ...string) func([]source) []string {
		return func(sources []source) []string { return checkGoroutines(sources, listed) }
	}
	statement := map[string]string{"a/a.go": "package a\nfunc f() { go f() }\n"}
	group := map[string]string{"a/a.go": "package a\nfunc f(g group) { g.Go(func() {}) }\n"}
	try(t, withList(), []planted{
		{"statement", statement, []string{"a/a.go:2 starts a goroutine (go statement)"}},
		{"group", group, []string{"a/a.go:2 starts a goroutine (call of Go)"}},
		{"nested", map[string]string{"a/a.go": "package a\nvar f = func() { func() { go f() }() }\n"}, []string{"a/a.go:2"}},
		{"none", map[string]string{"a/a.go": "package a\nfunc f() { f() }\n"}, nil},
		{"program", map[string]string{"a/a.go": "package main\nfunc f() { go f() }\n"}, nil},
		{"test", map[string]string{"a/a_test.go": "package a\nfunc f() { go f() }\n"}, nil},
	})
	try(t, withList("a/a.go"), []planted{
		{"listed statement", statement, nil},
		{"listed group", group, nil},
		{"left over", map[string]string{"a/a.go": "package a\n"}, []string{"remove the line"}},
	})
}

func TestGoroutineListNeedsReasons(t *testing.T) {
	t.Parallel()
	listed, violations := parseGoroutineList("# comment\n\na.go: because\nb.go:\nc.go\na.go: again\n")
	if !slices.Equal(listed, []string{"a.go", "b.go", "c.go", "a.go"}) {
		t.Errorf("listed %v", listed)
	}
	if len(violations) != 3 {
		t.Errorf("found %v, want the two without a reason and the repeated one", violations)
	}
}
