package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func readAll(in string) (all []line, last error) {
	r := bufio.NewReader(strings.NewReader(in))
	for {
		l, err := readLine(r)
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
}

func TestReadLine(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", maxText)
	const tooLong = "the line is longer than the 4096 bytes a message can have"
	for _, tt := range []struct {
		name, in string
		want     []string // texts, or "!" and the problem
	}{
		{"nothing", "", nil},
		{"lines", "a\nb b\n", []string{"a", "b b"}},
		{"no end", "a\nb", []string{"a", "b"}},
		{"empty lines", "\n\n", []string{"", ""}},
		{"carriage returns", "a\r\n\r\nb\r", []string{"a", "", "b"}},
		{"bytes", "\x00\x1b\n", []string{"\x00\x1b"}},
		{"not UTF-8", "ok\n\xc3\n\xff\xfe\nok", []string{"ok", "!the line is not valid UTF-8", "!the line is not valid UTF-8", "ok"}},
		{"longest", longest + "\n" + longest + "\r\n" + longest, []string{longest, longest, longest}},
		{"too long", longest + "x\nok\n" + longest + "x", []string{"!" + tooLong, "ok", "!" + tooLong}},
		{"much too long", strings.Repeat("x", 1<<20) + "\nok\n", []string{"!" + tooLong, "ok"}},
		{"cut within a letter", longest + "ü\n", []string{"!" + tooLong}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lines, err := readAll(tt.in)
			if !errors.Is(err, io.EOF) {
				t.Errorf("ended with %v", err)
			}
			var got []string
			for _, l := range lines {
				if l.problem != "" {
					l.text = "!" + l.problem
				}
				got = append(got, l.text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadLineKeepsLittleOfALongLine(t *testing.T) {
	t.Parallel()
	lines, _ := readAll(strings.Repeat("x", 8<<20))
	if len(lines) != 1 || len(lines[0].text) > maxText+2 {
		t.Errorf("%d lines, the first has %d bytes", len(lines), len(lines[0].text))
	}
}

func FuzzReadLine(f *testing.F) {
	f.Add("a\nb\r\n", 3)
	f.Add(strings.Repeat("x", maxText+1), 1)
	f.Fuzz(func(t *testing.T, in string, _ int) {
		lines, _ := readAll(in)
		want := strings.Split(strings.TrimSuffix(in, "\n"), "\n")
		if in == "" {
			want = nil
		}
		if len(lines) != len(want) {
			t.Fatalf("%d lines of %q, want %d", len(lines), in, len(want))
		}
		for i, l := range lines {
			text := strings.TrimSuffix(want[i], "\r")
			switch {
			case len(text) > maxText || !utf8.ValidString(text):
				if l.problem == "" {
					t.Errorf("line %d passes", i)
				}
			case l.problem != "" || l.text != text:
				t.Errorf("line %d is %q (%s), want %q", i, l.text, l.problem, text)
			}
		}
	})
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                               "",
		"plain, Ünïcode 房间 שלום":         "plain, Ünïcode 房间 שלום",
		"tab\there":                      "tab\there",
		"no\u00a0break":                  "no\u00a0break",
		"👩‍👩‍👧 ❤️ e\u0301":               "👩‍👩‍👧 ❤️ e\u0301",
		"\x1b[31mred":                    `\x1b[31mred`,
		"two\nlines\r":                   `two\nlines\r`,
		"\x00\a\b\x7f":                   `\x00\a\b\x7f`,
		"\u0085\u009b":                   `\u0085\u009b`,
		"\u202e\u2066\u2028\u200b\ufeff": `\u202e\u2066\u2028\u200b\ufeff`,
		"\U000e0041\ue000":               `\U000e0041\ue000`,
		"\xff":                           `�`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[0m\u202e")
	f.Fuzz(func(t *testing.T, in string) {
		out := printable(in)
		if strings.ContainsFunc(out, func(r rune) bool {
			return r < 0x20 && r != '\t' || r >= 0x7f && r <= 0x9f || r == 0x202e || r == 0x2028
		}) {
			t.Errorf("%q is shown as %q", in, out)
		}
	})
}
