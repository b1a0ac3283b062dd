package arch_test

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestReadmeProgramsCompile(t *testing.T) {
	t.Parallel()
	programs := goPrograms(readme(t))
	if len(programs) == 0 {
		t.Fatal("README.md shows no Go program: no ```go block with a package clause")
	}
	for i, program := range programs {
		t.Run(fmt.Sprintf("line %d", program.line), func(t *testing.T) {
			t.Parallel()
			if err := compile(t, fmt.Sprintf("readme%d", i), program.text); err != nil {
				t.Errorf("the Go block at README.md:%d: %v", program.line, err)
			}
		})
	}
}

func TestReadmeCommandsExist(t *testing.T) {
	t.Parallel()
	commands := blocks(readme(t), "bash", "sh", "shell", "console")
	if len(commands) == 0 {
		t.Fatal("README.md shows no commands: no ```bash block")
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatalf("read the Makefile: %v", err)
	}
	for _, block := range commands {
		report(t, missingCommands(block.text, string(makefile), exists), fmt.Sprintf("the commands at README.md:%d", block.line))
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatalf("read the README: %v", err)
	}
	return string(text)
}

// block is the text of one fenced block, and the line of its fence.
type block struct {
	line int
	text string
}

// blocks returns the fenced blocks of a Markdown text in any of the languages.
func blocks(markdown string, languages ...string) []block {
	var found []block
	var current *block
	var wanted bool
	for i, line := range strings.SplitAfter(markdown, "\n") {
		language, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && current == nil:
			current, wanted = &block{line: i + 1}, slices.Contains(languages, language)
		case isFence:
			if wanted {
				found = append(found, *current)
			}
			current = nil
		case current != nil:
			current.text += line
		}
	}
	return found
}

// goPrograms returns the Go blocks that are whole files: with a package clause.
func goPrograms(markdown string) []block {
	return slices.DeleteFunc(blocks(markdown, "go"), func(b block) bool {
		_, err := parser.ParseFile(token.NewFileSet(), "", b.text, parser.PackageClauseOnly)
		return err != nil
	})
}

// compile builds a file as a package of the module, without writing
// into the tree: an overlay shows it to the go command. As a user's code it may
// import only what a user can.
func compile(t *testing.T, name, text string) error {
	t.Helper()
	for _, imported := range parse(t, name+".go", text).imports() {
		if strings.HasPrefix(imported, module+"/internal/") {
			return fmt.Errorf("imports %s, which a user cannot", imported)
		}
	}
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	absolute, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	replace := map[string]map[string]string{"Replace": {filepath.Join(absolute, name, "main.go"): file}}
	encoded, err := json.Marshal(replace)
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, encoded, 0o600); err != nil {
		return err
	}
	command := exec.CommandContext(t.Context(), "go", "build", "-overlay="+overlay, "-o", os.DevNull, "./"+name)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// missingCommands finds the go run, python3 and make commands of a block whose
// folder, script or target is not there.
func missingCommands(text, makefile string, exists func(string) bool) []string {
	var missing []string
	paths := regexp.MustCompile(`\b(?:go run|python3) (?:-\S+ )*(\S+)`)
	for _, match := range paths.FindAllStringSubmatch(text, -1) {
		if !exists(match[1]) {
			missing = append(missing, match[0]+": no such folder or script")
		}
	}
	for _, match := range regexp.MustCompile(`(?m)^\s*(?:\$ )?make ([a-z0-9-]+)`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains("\n"+makefile, "\n"+match[1]+":") {
			missing = append(missing, "make "+match[1]+": no such target")
		}
	}
	return missing
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil
}

func TestReadmeRulesFindPlanted(t *testing.T) {
	t.Parallel()
	markdown := "# T\n```go\npackage main\n\nfunc main() {}\n```\ntext\n```go\nx := 1\n```\n```bash\ngo run ./a/ -x\ngo run ./b\nmake test\nmake nothing # c\npython3 c.py\n```\n"
	if programs := goPrograms(markdown); len(programs) != 1 || programs[0].line != 2 {
		t.Errorf("found the programs %v, want the one at line 2", programs)
	}
	shell := blocks(markdown, "bash")
	if len(shell) != 1 {
		t.Fatalf("found the blocks %v, want one", shell)
	}
	missing := missingCommands(shell[0].text, "a: b\ntest: x\n", func(name string) bool { return name == "./a/" })
	want := []string{"go run ./b: no such folder or script", "python3 c.py: no such folder or script", "make nothing: no such target"}
	if !slices.Equal(missing, want) {
		t.Errorf("found %q, want %q", missing, want)
	}
}

func TestCompileFindsPlanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"good", "package main\n\nfunc main() { println(1) }\n", ""},
		{"type error", "package main\n\nfunc main() { var s string = 1; _ = s }\n", "cannot use 1"},
		{"unused", "package main\n\nimport \"fmt\"\n\nfunc main() {}\n", "imported and not used"},
		{"internal", "package main\n\nimport _ \"" + module + "/internal/arch\"\n\nfunc main() {}\n", "a user cannot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := compile(t, "readmeplanted", c.text)
			if c.want == "" && err != nil {
				t.Errorf("failed: %v", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want an error that mentions %q", err, c.want)
			}
		})
	}
}
