package arch_test

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guaranteesFile names the test that attacks each guarantee.
const guaranteesFile = "docs/guarantees.md"

func TestGuaranteesNameTestsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, guaranteesFile))
	if err != nil {
		t.Fatalf("read %s: %v", guaranteesFile, err)
	}
	if !strings.Contains(string(text), "`Test") {
		t.Fatalf("%s names no test", guaranteesFile)
	}
	report(t, checkGuarantees(string(text))(tree(t)), "a guarantee counts when a test attacks it: name one that exists, behind the folder of its package")
}

// quotedWord is a word in backquotes: the folder of a package, or a test of it.
var quotedWord = regexp.MustCompile("`([^` ]+)`")

// checkGuarantees finds the tests that a text names and that are not in the package whose
// folder it names before them.
func checkGuarantees(text string) func([]source) []string {
	return func(sources []source) []string {
		folders, tests := make(map[string]bool), make(map[string]bool)
		for _, s := range sources {
			folders[s.dir()] = true
			for _, d := range s.file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && s.isTest() && f.Recv == nil {
					tests[s.dir()+" "+f.Name.Name] = true
				}
			}
		}
		var violations []string
		for i, line := range strings.Split(text, "\n") {
			folder := "no folder"
			for _, match := range quotedWord.FindAllStringSubmatch(line, -1) {
				switch word := match[1]; {
				case folders[word]:
					folder = word
				case attack.MatchString("`"+word+"`") && !tests[folder+" "+word]:
					violations = append(violations, fmt.Sprintf("%s:%d: %s has no %s", guaranteesFile, i+1, folder, word))
				}
			}
		}
		violations = append(violations, checkAttacks(text)...)
		slices.Sort(violations)
		return violations
	}
}

// none is what a cell says that says nothing; as what a promise holds when, that it is none.
const none = "–"

// attack is a test in backquotes.
var attack = regexp.MustCompile("`(Test|Fuzz)[^` ]+`")

// checkAttacks finds the promises, rows of tables, that no test attacks: the last cell must
// name one, unless the second says that the promise holds never.
func checkAttacks(text string) (violations []string) {
	for i, line := range strings.Split(text, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 2 || cells[0] == "promise" {
			continue
		}
		if last := cells[len(cells)-1]; !attack.MatchString(last) && cells[1] != none {
			violations = append(violations, fmt.Sprintf("%s:%d: no test attacks %q", guaranteesFile, i+1, cells[0]))
		}
	}
	return violations
}

func TestGuaranteesRuleFindsPlanted(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"a/a_test.go": "package a\nfunc TestA() {}\nfunc (x) TestMethod() {}\n",
		"b/b_test.go": "package b\nfunc TestB() {}\n",
		"b/b.go":      "package b\nfunc TestNone() {}\n",
	}
	for text, want := range map[string][]string{
		"| P1 | `a`: `TestA`; `b`: `TestB` |":                                                   nil,
		"| promise | holds when | attacked by |\n|---|---|---|\n| P1 | always | `a`: `TestA` |": nil,
		"| P1 | – | – |":                               nil,
		"| P1 | always | – |":                          {`docs/guarantees.md:1: no test attacks "P1"`},
		"| P1 | always | `a`, `b` |":                   {`no test attacks "P1"`},
		"| P1 | see `a`: `TestA` | the model test |":   {`no test attacks "P1"`},
		"| P1 | `a`: `FuzzA` |":                        {"a has no FuzzA"},
		"| P1 | `memory:` | `a`: the suite, `TestA` |": nil,
		"text\n| P2 | `a`: `TestGone` |":               {"docs/guarantees.md:2: a has no TestGone"},
		"| P1 | `a`: `TestB` |":                        {"a has no TestB"},
		"| P1 | `a`: `TestMethod` |":                   {"a has no TestMethod"},
		"| P1 | `b`: `TestNone` |":                     {"b has no TestNone"},
		"| P1 | `c`: `TestA` |":                        {"no folder has no TestA"},
	} {
		try(t, checkGuarantees(text), []planted{{text, files, want}})
	}
}
