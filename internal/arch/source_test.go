package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// module is the root module's path.
const module = "github.com/xiaonanln/goverse"

// root is the repository, seen from this package's folder, where tests run.
const root = "../.."

// source is one parsed Go file of the root module.
type source struct {
	path string // from the root, with slashes: "node/turn.go"
	fset *token.FileSet
	file *ast.File
}

func (s source) dir() string { return path.Dir(s.path) }

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// isTestKit reports whether the file belongs to a conformance suite: tests that other
// packages run, which wait for what they start.
func (s source) isTestKit() bool { return strings.HasSuffix(s.dir(), "test") }

func (s source) isMain() bool { return s.file.Name.Name == "main" }

func (s source) isGenerated() bool { return ast.IsGenerated(s.file) }

// at says where a node is, as "node/turn.go:12".
func (s source) at(node ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(node.Pos()).Line)
}

// imports returns the import paths of the file.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// localName returns the name by which the file knows an imported package, or
// "" when it does not import it.
func (s source) localName(importPath string) string {
	for _, spec := range s.file.Imports {
		if spec.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// within tells whether a slashed path is the folder or lies below it.
func within(p, folder string) bool {
	return p == folder || strings.HasPrefix(p, folder+"/")
}

// parse turns text into a source; for the tree and for planted violations.
func parse(t *testing.T, name, text string) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("parse %s: %v", name, err)
	}
	return source{path: name, fset: fset, file: file}
}

// tree parses every Go file of the root module. Other modules below it (bench,
// tools), hidden folders, testdata and node_modules are not part of it.
func tree(t *testing.T) []source {
	t.Helper()
	var sources []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != root && isOutside(name, entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		sources = append(sources, parse(t, filepath.ToSlash(rel), string(text)))
		return nil
	})
	if err != nil {
		t.Fatalf("walk the tree: %v", err)
	}
	if len(sources) == 0 {
		t.Fatal("found no Go file")
	}
	return sources
}

func isOutside(dir, base string) bool {
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// report fails the test with every violation, and says what to do about them.
func report(t *testing.T, violations []string, advice string) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
	if len(violations) > 0 {
		t.Log(advice)
	}
}
