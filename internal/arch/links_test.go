package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentsLinkToWhatExists follows the relative links of all documents.
func TestDocumentsLinkToWhatExists(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "*", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, document := range append(documents, more...) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		found, broken := brokenLinks(string(text), filepath.Dir(document))
		links += found
		for _, link := range broken {
			t.Errorf("%s links to %s, which does not exist", document, link)
		}
	}
	if links == 0 {
		t.Error("no document has a link: the test looks for the wrong thing")
	}
}

func brokenLinks(text, dir string) (found int, broken []string) {
	for _, match := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
		link, _, _ := strings.Cut(match[1], "#")
		if link == "" || strings.Contains(link, "://") {
			continue
		}
		found++
		if _, err := os.Stat(filepath.Join(dir, link)); err != nil {
			broken = append(broken, link)
		}
	}
	return found, broken
}

func TestBrokenLinksAreFound(t *testing.T) {
	t.Parallel()
	found, broken := brokenLinks("[a](links_test.go) [b](no.md#part) [c](https://example.org) [d](#here)", ".")
	if found != 2 || len(broken) != 1 || broken[0] != "no.md" {
		t.Errorf("%d links, broken %q", found, broken)
	}
}
