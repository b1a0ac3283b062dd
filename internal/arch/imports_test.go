package arch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// zone is a part of the house: a folder with all below it, and its floor.
// A package may import its own zone and the zones on lower floors, never a
// sibling on its own floor and never upward.
type zone struct {
	folder string
	floor  int
}

// zones, the most specific folder first. A package in none of them has no place
// in the architecture yet: whoever adds it decides its floor here.
var zones = []zone{
	// What is written as a user would: applications and the users' test kit.
	{"samples/chat/server", 8},
	{"goversetest", 8},
	// Real processes, a nemesis and a judge: it runs the whole house from outside.
	{"internal/chaos", 8},
	{"goverseapi", 7},
	{"internal/simtest", 7},
	// Programs that look at a cluster from outside.
	{"cmd/inspector", 7},
	{"cmd/goverse", 7},
	{"samples/chat/client", 7},
	// The one place where parts are wired.
	{"server", 6},
	// What makes many nodes one: it moves calls and objects between the parts.
	{"internal/routing", 5},
	// What looks at a cluster from outside: it reads the records by way of cluster, and asks the nodes over the wire.
	{"inspector", 5},
	// What a client program links: the wire, not the runtime.
	{"client/goverseclient", 3},
	{"client/proto", 0},
	// The parts. They meet through interfaces that the server connects.
	{"client", 4},
	{"node", 4},
	{"cluster", 4},
	{"internal/transport", 4},
	// The seams and the pure rules.
	{"internal/shard", 3},
	{"internal/coord", 3},
	{"storage", 3},
	// Small support packages: lifecycle, grpcerr, …
	{"internal", 2},
	// The vocabulary.
	{"object", 1},
	// The ground.
	{"util", 0},
	{"proto", 0},
	{"samples/chat/proto", 0},
}

func zoneOf(dir string) (zone, bool) {
	i := slices.IndexFunc(zones, func(z zone) bool { return within(dir, z.folder) })
	if i < 0 {
		return zone{}, false
	}
	return zones[i], true
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	report(t, checkArrows(tree(t)), "the floors are the table in internal/arch/imports_test.go, which says who lies above whom")
}

// checkArrows finds the imports that do not point down. Tests are free: they
// wire what they test.
func checkArrows(sources []source) []string {
	var violations []string
	for _, s := range sources {
		if s.isTest() {
			continue
		}
		from, ok := zoneOf(s.dir())
		if !ok {
			violations = append(violations, s.path+": the folder is on no floor of the architecture")
			continue
		}
		for _, imported := range s.imports() {
			dir, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			if reason := forbidden(from, dir); reason != "" {
				violations = append(violations, fmt.Sprintf("%s imports %s: %s", s.path, dir, reason))
			}
		}
	}
	slices.Sort(violations)
	return violations
}

// forbidden says why a zone may not import a folder, or "".
func forbidden(from zone, dir string) string {
	to, ok := zoneOf(dir)
	switch {
	case within(dir, "bench"):
		return "bench is a module of its own and imported by nobody"
	case !ok:
		return "the imported folder is on no floor of the architecture"
	case to == from:
		return ""
	case from.folder == "object":
		return "object is the leaf: it imports nothing of ours"
	case to.folder == "goverseapi" && from.floor < 8:
		return "the facade is the top: the core takes its runtime from ctx"
	case from.floor == to.floor:
		return fmt.Sprintf("%s and %s are siblings: declare an interface, server connects them", from.folder, to.folder)
	case from.floor < to.floor:
		return fmt.Sprintf("imports point down, and %s lies above %s", to.folder, from.folder)
	}
	return ""
}

func TestImportRuleFindsPlanted(t *testing.T) {
	t.Parallel()
	file := func(pkg string, imported ...string) string {
		text := "package " + pkg + "\n"
		for _, i := range imported {
			text += "import _ \"" + i + "\"\n"
		}
		return text
	}
	try(t, checkArrows, []planted{
		{"down", map[string]string{"server/a.go": file("server", module+"/node", module+"/util/clock", "os")}, nil},
		{"own zone", map[string]string{"internal/coord/etcd/a.go": file("etcd", module+"/internal/coord")}, nil},
		{"test", map[string]string{"node/a_test.go": file("node", module+"/cluster")}, nil},
		{"siblings", map[string]string{"node/a.go": file("node", module+"/cluster")}, []string{"siblings"}},
		{"transport to client", map[string]string{"internal/transport/grpc/a.go": file("grpc", module+"/client")}, []string{"siblings"}},
		{"routing on parts", map[string]string{"internal/routing/a.go": file("routing", module+"/cluster", module+"/internal/transport")}, nil},
		{"part on routing", map[string]string{"node/a.go": file("node", module+"/internal/routing")}, []string{"point down"}},
		{"up", map[string]string{"storage/a.go": file("storage", module+"/node")}, []string{"point down"}},
		{"support up", map[string]string{"internal/lifecycle/a.go": file("lifecycle", module+"/internal/coord")}, []string{"point down"}},
		{"leaf", map[string]string{"object/a.go": file("object", module+"/util/clock")}, []string{"leaf"}},
		{"facade", map[string]string{"server/a.go": file("server", module+"/goverseapi")}, []string{"facade"}},
		{"cmd on facade", map[string]string{"cmd/goverse/a.go": file("main", module+"/goverseapi")}, []string{"facade"}},
		{"bench", map[string]string{"server/a.go": file("server", module+"/bench/peer")}, []string{"bench"}},
		{"no floor", map[string]string{"stuff/a.go": file("stuff")}, []string{"no floor"}},
		{"to no floor", map[string]string{"server/a.go": file("server", module+"/stuff")}, []string{"no floor"}},
	})
}
