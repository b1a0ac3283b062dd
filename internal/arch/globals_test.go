package arch_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// globalsFile is the only file of the module that may keep mutable state in
// package variables: the process's default server and registry.
const globalsFile = "goverseapi/default.go"

func TestNoMutableGlobals(t *testing.T) {
	t.Parallel()
	report(t, checkGlobals(tree(t)), "keep it in a value that its user creates; constants, functions with a switch and ctx need no globals")
}

// checkGlobals finds package variables other than the harmless kinds: error
// sentinels (Err…, err…, made where they are declared), interface assertions (_),
// compiled regular expressions and embedded files.
func checkGlobals(sources []source) []string {
	var violations []string
	for _, s := range sources {
		if s.isTest() || s.isGenerated() || s.path == globalsFile {
			continue
		}
		for _, declaration := range s.file.Decls {
			decl, ok := declaration.(*ast.GenDecl)
			if !ok || decl.Tok != token.VAR {
				continue
			}
			for _, spec := range decl.Specs {
				violations = append(violations, checkVariable(s, decl, spec)...)
			}
		}
	}
	slices.Sort(violations)
	return violations
}

func checkVariable(s source, decl *ast.GenDecl, spec ast.Spec) []string {
	value, ok := spec.(*ast.ValueSpec)
	if !ok || isEmbedded(decl.Doc) || isEmbedded(value.Doc) {
		return nil
	}
	var violations []string
	for i, name := range value.Names {
		made := i < len(value.Values)
		isSentinel := made && namesError(name.Name) && isError(s, value.Values[i])
		isRegexp := made && isRegexpCompile(s, value.Values[i])
		if name.Name != "_" && !isSentinel && !isRegexp {
			violations = append(violations, s.at(name)+": package variable "+name.Name)
		}
	}
	return violations
}

func namesError(name string) bool {
	return strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "err")
}

// isError recognises what makes an error that does not change: errors.New, fmt.Errorf,
// &Error{…} and object's NewError and Refuse; and another package's sentinel.
func isError(s source, value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CallExpr:
		return selects(v.Fun, s.localName("errors"), "New") || selects(v.Fun, s.localName("fmt"), "Errorf") ||
			selects(v.Fun, s.localName(module+"/object"), "NewError", "Refuse")
	case *ast.UnaryExpr:
		literal, ok := v.X.(*ast.CompositeLit)
		return ok && v.Op == token.AND && namesType(literal.Type, "Error")
	case *ast.SelectorExpr:
		return namesError(v.Sel.Name)
	}
	return false
}

// namesType tells whether an expression is a type's name, of this package or another.
func namesType(expr ast.Expr, name string) bool {
	switch e := expr.(type) {
	case *ast.Ident:
		return e.Name == name
	case *ast.SelectorExpr:
		return e.Sel.Name == name
	}
	return false
}

func isEmbedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

func isRegexpCompile(s source, value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	return ok && selects(call.Fun, s.localName("regexp"), "MustCompile")
}

// selects tells whether an expression is pkg.name, for any of the names.
func selects(expr ast.Expr, pkg string, names ...string) bool {
	selector, ok := expr.(*ast.SelectorExpr)
	if !ok || pkg == "" {
		return false
	}
	x, ok := selector.X.(*ast.Ident)
	return ok && x.Name == pkg && slices.Contains(names, selector.Sel.Name)
}

func TestGlobalsRuleFindsPlanted(t *testing.T) {
	t.Parallel()
	one := func(text string) map[string]string { return map[string]string{"a/a.go": "package a\n" + text} }
	try(t, checkGlobals, []planted{
		{"counter", one("var counter int\n"), []string{"a/a.go:2: package variable counter"}},
		{"exported", one("var Default = New()\n"), []string{"Default"}},
		{"table", one("var names = map[int]string{1: \"a\"}\n"), []string{"names"}},
		{"block", one("import \"errors\"\nvar (\n\tErrA = errors.New(\"a\")\n\ta, b int\n)\n"), []string{"variable a", "variable b"}},
		{"error in name only", one("var errCache = map[string]error{}\n"), []string{"variable errCache"}},
		{"error to be set", one("var errLast error\n"), []string{"variable errLast"}},
		{"pointer to other", one("var errs = &Errors{}\n"), []string{"variable errs"}},
		{"not errors", one("import \"x\"\nvar ErrA = x.New(\"a\")\n"), []string{"variable ErrA"}},
		{"in a program", map[string]string{"cmd/a/a.go": "package main\nvar flag bool\n"}, []string{"flag"}},
		{"not regexp", one("import \"x\"\nvar r = x.MustCompile(``)\n"), []string{"variable r"}},
		{"sentinel", one("import (\n\"errors\"\n\"fmt\"\n)\nvar ErrA, errB = errors.New(\"a\"), fmt.Errorf(\"b: %w\", ErrA)\n"), nil},
		{"coded", one("var ErrA, errB = &Error{Code: 1}, &object.Error{}\n"), nil},
		{"refusal", one("import \"" + module + "/object\"\nvar errA = object.Refuse(1, \"\")\n"), nil},
		{"another's", one("import \"x\"\nvar ErrA = x.ErrA\n"), nil},
		{"assertion", one("var _ I = (*T)(nil)\n"), nil},
		{"regexp", one("import \"regexp\"\nvar r = regexp.MustCompile(``)\n"), nil},
		{"embedded", one("import \"embed\"\n//go:embed dist\nvar dist embed.FS\n"), nil},
		{"constant", one("const c = 1\n"), nil},
		{"local", one("func f() { var x int; _ = x }\n"), nil},
		{"the one file", map[string]string{globalsFile: "package goverseapi\nvar server int\n"}, nil},
		{"generated", map[string]string{"a/a.go": "// Code generated by x. DO NOT EDIT.\n\npackage a\nvar x int\n"}, nil},
	})
}
