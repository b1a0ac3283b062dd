package arch_test

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"slices"
	"strconv"
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

// allowance is a line of the list: how many places of a file may start goroutines.
type allowance struct {
	file   string
	starts int
}

// parseGoroutineList reads lines of the form `path: reason` and, for a file that starts
// goroutines in several places, `path 2: reason`.
func parseGoroutineList(text string) (listed []allowance, violations []string) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		place, reason, ok := strings.Cut(line, ":")
		file, count, several := strings.Cut(place, " ")
		starts, err := 1, error(nil)
		if several {
			starts, err = strconv.Atoi(count)
		}
		switch {
		case !ok || strings.TrimSpace(reason) == "":
			violations = append(violations, fmt.Sprintf("%s:%d: %q gives no reason", goroutineList, i+1, line))
		case err != nil || several && starts < 2:
			violations = append(violations, fmt.Sprintf("%s:%d: %q is not a number from 2", goroutineList, i+1, count))
		case slices.ContainsFunc(listed, func(a allowance) bool { return a.file == file }):
			violations = append(violations, fmt.Sprintf("%s:%d: %s is listed twice", goroutineList, i+1, file))
		}
		listed = append(listed, allowance{file, starts})
	}
	return listed, violations
}

// checkGoroutines compares the places that start goroutines with the list: another one in a
// file that is listed needs an owner as well.
func checkGoroutines(sources []source, listed []allowance) []string {
	starts := map[string][]string{} // file to its starts
	for _, s := range sources {
		if s.isTest() || s.isTestKit() || s.isMain() || s.isGenerated() {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			if how := goroutineStart(node); how != "" {
				starts[s.path] = append(starts[s.path], s.at(node)+" starts a goroutine ("+how+")")
			}
			return true
		})
	}
	var violations []string
	for _, a := range listed {
		switch found := starts[a.file]; {
		case len(found) == 0:
			violations = append(violations, fmt.Sprintf("%s: no goroutine is started in %s; remove the line", goroutineList, a.file))
		case len(found) != a.starts:
			violations = append(violations, fmt.Sprintf("%s: %d places of %s start goroutines, %d are listed; say who owns them:\n%s",
				goroutineList, len(found), a.file, a.starts, strings.Join(found, "\n")))
		}
		delete(starts, a.file)
	}
	for _, file := range slices.Sorted(maps.Keys(starts)) {
		found := starts[file]
		place := file
		if len(found) > 1 {
			place += " " + strconv.Itoa(len(found))
		}
		violations = append(violations, fmt.Sprintf("%s; add to %s:\n%s: <who owns it and waits for it>", strings.Join(found, "\n"), goroutineList, place))
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
	withList := func(listed ...allowance) func([]source) []string {
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
	both := map[string]string{"a/a.go": "package a\nfunc f(g group) {\n\tgo f()\n\tg.Go(func() {})\n}\n"}
	try(t, withList(), []planted{{"two, not listed", both, []string{"a/a.go 2: <who owns it"}}})
	try(t, withList(allowance{"a/a.go", 1}), []planted{
		{"listed statement", statement, nil},
		{"listed group", group, nil},
		{"left over", map[string]string{"a/a.go": "package a\n"}, []string{"remove the line"}},
		{"one more", both, []string{"2 places of a/a.go start goroutines, 1 are listed"}},
	})
	try(t, withList(allowance{"a/a.go", 2}), []planted{
		{"both listed", both, nil},
		{"one less", statement, []string{"1 places of a/a.go start goroutines, 2 are listed"}},
	})
}

func TestGoroutineListNeedsReasons(t *testing.T) {
	t.Parallel()
	listed, violations := parseGoroutineList("# comment\n\na.go: because\nb.go:\nc.go\na.go: again\nd.go 3: because\ne.go 1: because\nf.go x: because\n")
	want := []allowance{{"a.go", 1}, {"b.go", 1}, {"c.go", 1}, {"a.go", 1}, {"d.go", 3}, {"e.go", 1}, {"f.go", 0}}
	if !slices.Equal(listed, want) {
		t.Errorf("listed %v, want %v", listed, want)
	}
	if len(violations) != 5 {
		t.Errorf("found %v, want the two without a reason, the repeated one, and the two without a number", violations)
	}
}
