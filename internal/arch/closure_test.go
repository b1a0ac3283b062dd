package arch_test

import (
	"os/exec"
	"strings"
	"testing"
)

// closures are the rules about everything a package brings with it, through
// however many imports.
var closures = []struct {
	pkg    string
	denied []string
	reason string
}{
	{
		pkg:    "./object",
		denied: []string{module + "/", "google.golang.org/grpc"},
		reason: "object is the vocabulary everybody imports: the standard library, protobuf and itself",
	},
	{
		pkg:    "./node",
		denied: []string{"google.golang.org/grpc", "go.etcd.io", "database/sql", "modernc.org", "github.com/jackc", "net/http"},
		reason: "node knows no connections, no etcd and no SQL: they reach it through interfaces",
	},
	{
		pkg:    "./internal/shard",
		denied: []string{"net", "database/sql", "google.golang.org", "go.etcd.io"},
		reason: "the state machines of internal/shard are pure: no clock, no I/O, no goroutine",
	},
	{
		pkg: "./samples/chat/client",
		denied: []string{
			module + "/goverseapi", module + "/server", module + "/node", module + "/cluster", module + "/storage",
			module + "/internal/transport", module + "/internal/coord", module + "/internal/shard",
			"go.etcd.io", "database/sql", "modernc.org", "github.com/jackc",
		},
		reason: "a client needs the .proto and gRPC, not the runtime",
	},
}

func TestClosures(t *testing.T) {
	t.Parallel()
	for _, c := range closures {
		t.Run(c.pkg, func(t *testing.T) {
			t.Parallel()
			self := module + strings.TrimPrefix(c.pkg, ".")
			report(t, deniedIn(dependencies(t, c.pkg), self, c.denied), c.reason)
		})
	}
}

// TestClosureRuleFindsPlanted asks of this very package's neighbours what is
// known to be false: the client service does bring gRPC.
func TestClosureRuleFindsPlanted(t *testing.T) {
	t.Parallel()
	found := deniedIn(dependencies(t, "./client/proto"), module+"/client/proto", []string{"google.golang.org/grpc"})
	if len(found) == 0 {
		t.Error("client/proto brings gRPC, and the rule does not see it")
	}
}

func deniedIn(dependencies []string, self string, denied []string) []string {
	var violations []string
	for _, dependency := range dependencies {
		for _, prefix := range denied {
			if dependency != self && within(dependency, strings.TrimSuffix(prefix, "/")) {
				violations = append(violations, self+" brings "+dependency)
			}
		}
	}
	return violations
}

// dependencies returns the import paths of all a package links, itself too.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	return strings.Fields(run(t, "go", "list", "-deps", pkg))
}

// run executes a command in the repository's root and returns its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = root
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, stderr.String())
	}
	return string(out)
}
