package arch_test

import (
	"encoding/json"
	"slices"
	"testing"
)

// toolModules are programs of the workshop. They belong to tools/go.mod or to
// the Makefile: what the root go.mod requires, every user's module graph gets.
var toolModules = []string{
	"github.com/bufbuild/buf",
	"github.com/golangci/golangci-lint",
	"golang.org/x/vuln",
	"google.golang.org/grpc/cmd/protoc-gen-go-grpc",
	"mvdan.cc/gofumpt",
	module + "/bench",
	module + "/tools",
}

// goMod is what `go mod edit -json` says of a go.mod.
type goMod struct {
	Require []struct{ Path string }
	Replace []struct{ Old struct{ Path string } }
	Tool    []struct{ Path string }
}

func TestRootModuleHasNoTools(t *testing.T) {
	t.Parallel()
	var mod goMod
	if err := json.Unmarshal([]byte(run(t, "go", "mod", "edit", "-json")), &mod); err != nil {
		t.Fatalf("decode go.mod: %v", err)
	}
	if len(mod.Require) == 0 {
		t.Fatal("read no requirement: go.mod was not understood")
	}
	report(t, checkGoMod(mod), "tools are pinned in tools/go.mod or by version in the Makefile")
}

func checkGoMod(mod goMod) []string {
	var violations []string
	for _, required := range mod.Require {
		if slices.ContainsFunc(toolModules, func(tool string) bool { return within(required.Path, tool) }) {
			violations = append(violations, "go.mod requires "+required.Path)
		}
	}
	for _, tool := range mod.Tool {
		violations = append(violations, "go.mod has the tool "+tool.Path)
	}
	for _, replaced := range mod.Replace {
		violations = append(violations, "go.mod replaces "+replaced.Old.Path+", which no user of the module would get")
	}
	return violations
}

func TestGoModRuleFindsPlanted(t *testing.T) {
	t.Parallel()
	var mod goMod
	text := `{"Require": [{"Path": "google.golang.org/grpc"}, {"Path": "github.com/golangci/golangci-lint/v2"}],
		"Tool": [{"Path": "a/b"}], "Replace": [{"Old": {"Path": "c/d"}, "New": {"Path": "../d"}}]}`
	if err := json.Unmarshal([]byte(text), &mod); err != nil {
		t.Fatal(err)
	}
	if got := checkGoMod(mod); len(got) != 3 {
		t.Errorf("found %v, want the linter, the tool and the replacement", got)
	}
}
