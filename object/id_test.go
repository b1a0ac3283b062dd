package object_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/xiaonanln/goverse/object"
)

func TestParseIDAccepts(t *testing.T) {
	tests := map[string]struct{ id, typ, name string }{
		"the contract's example": {"ChatRoom-General", "ChatRoom", "General"},
		"shortest":               {"a-b", "a", "b"},
		"several dashes":         {"User-1-2-3", "User", "1-2-3"},
		"name is a dash":         {"T--", "T", "-"},
		"name starts with dash":  {"T--x", "T", "-x"},
		"name ends with dash":    {"T-x-", "T", "x-"},
		"unicode":                {"Zimmer-Größe-日本-🎈", "Zimmer", "Größe-日本-🎈"},
		"not normalised":         {"T-e\u0301", "T", "e\u0301"},
		"space and punctuation":  {`T- a.b:c\"'`, "T", ` a.b:c\"'`},
		"first rune after C1":    {"T-\u00a0", "T", "\u00a0"},
		"last before DEL":        {"T-~", "T", "~"},
		"format character":       {"T-\u200b", "T", "\u200b"},
		"replacement character":  {"T-\ufffd", "T", "\ufffd"},
		"256 bytes":              {"T-" + strings.Repeat("x", 254), "T", strings.Repeat("x", 254)},
		"256 bytes of runes":     {"T-" + strings.Repeat("ü", 127), "T", strings.Repeat("ü", 127)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			typ, name, err := object.ParseID(tt.id)
			if err != nil {
				t.Fatalf("ParseID(%q): %v", tt.id, err)
			}
			if typ != tt.typ || name != tt.name {
				t.Errorf("ParseID(%q) = %q, %q; want %q, %q", tt.id, typ, name, tt.typ, tt.name)
			}
		})
	}
}

func TestParseIDRefuses(t *testing.T) {
	tests := map[string]struct{ id, reason string }{
		"empty":                   {"", "it is empty"},
		"no dash":                 {"ChatRoom", "no '-' between"},
		"other dash":              {"ChatRoom\u2013General", "no '-' between"},
		"only a dash":             {"-", "the type before"},
		"leading dash":            {"-General", "the type before"},
		"two dashes":              {"--", "the type before"},
		"trailing dash":           {"ChatRoom-", "the name after"},
		"257 bytes":               {"T-" + strings.Repeat("x", 255), "257 bytes, at most 256"},
		"257 bytes in 130 runes":  {"T-x" + strings.Repeat("ü", 127), "257 bytes, at most 256"},
		"a megabyte":              {"T-" + strings.Repeat("x", 1<<20), "1048578 bytes"},
		"invalid UTF-8 in name":   {"T-\xff", "not valid UTF-8"},
		"invalid UTF-8 in type":   {"\xc3-x", "not valid UTF-8"},
		"surrogate half":          {"T-\xed\xa0\x80", "not valid UTF-8"},
		"overlong slash":          {"T-\xc0\xaf", "not valid UTF-8"},
		"truncated rune":          {"T-\xe2\x82", "not valid UTF-8"},
		"C0 first":                {"T-\x00", "control character U+0000"},
		"C0 newline":              {"T-a\nb", "control character U+000A"},
		"C0 tab in type":          {"T\t-b", "control character U+0009"},
		"C0 escape":               {"T-\x1b[31m", "control character U+001B"},
		"C0 last":                 {"T-\x1f", "control character U+001F"},
		"DEL":                     {"T-\x7f", "control character U+007F"},
		"C1 first":                {"T-\u0080", "control character U+0080"},
		"C1 next line":            {"T-\u0085", "control character U+0085"},
		"C1 last":                 {"T-\u009f", "control character U+009F"},
		"slash in name":           {"T-a/b", "'/' is not allowed"},
		"slash in type":           {"a/T-b", "'/' is not allowed"},
		"slash last":              {"T-/", "'/' is not allowed"},
		"control character alone": {"\x01", "control character U+0001"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			typ, name, err := object.ParseID(tt.id)
			if err == nil {
				t.Fatalf("ParseID(%q) = %q, %q; want an error", tt.id, typ, name)
			}
			if typ != "" || name != "" {
				t.Errorf("ParseID(%q) = %q, %q beside an error; want empty halves", tt.id, typ, name)
			}
			if !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("ParseID(%q): %v; want the reason %q", tt.id, err, tt.reason)
			}
			checkRefusedID(t, err)
		})
	}
}

// checkRefusedID checks what every refusal of an ID promises.
func checkRefusedID(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*object.Error](err)
	if !ok {
		t.Fatalf("error is %T, want *object.Error", err)
	}
	if e.Code != object.CodeInvalidArgument || !errors.Is(err, object.ErrInvalidArgument) {
		t.Errorf("code %v, want invalid_argument", e.Code)
	}
	if x := object.Executed(err); x != object.ExecutedNo {
		t.Errorf("executed %v, want no", x)
	}
	if text := err.Error(); !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }) {
		t.Errorf("error text %q could harm a log or a terminal", text)
	}
	if n := len(err.Error()); n > 8*object.MaxIDBytes {
		t.Errorf("error text has %d bytes: a long ID must be cut", n)
	}
}

func FuzzParseID(f *testing.F) {
	for _, id := range []string{
		"", "-", "a-b", "ChatRoom-General", "--", "T-", "-x", "T-a-b", "T-\x00", "T-\x7f", "T-\u0080", "T-/", "T-\xff",
		"T-" + strings.Repeat("x", 254), "T-" + strings.Repeat("x", 255), "Größe-日本", "T-\u2028",
	} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		typ, name, err := object.ParseID(id)
		if err != nil {
			if typ != "" || name != "" {
				t.Errorf("ParseID(%q) = %q, %q beside an error", id, typ, name)
			}
			checkRefusedID(t, err)
			if legal(id) {
				t.Errorf("ParseID(%q) refuses a legal ID: %v", id, err)
			}
			return
		}
		if !legal(id) {
			t.Errorf("ParseID(%q) accepts an illegal ID", id)
		}
		if id != typ+"-"+name {
			t.Errorf("ParseID(%q) = %q, %q: they do not make up the ID", id, typ, name)
		}
		if typ == "" || name == "" || strings.Contains(typ, "-") {
			t.Errorf("ParseID(%q) = %q, %q: bad halves", id, typ, name)
		}
	})
}

// legal says the contract's rules once more, in another way than the code does.
func legal(id string) bool {
	typ, name, found := strings.Cut(id, "-")
	if !found || typ == "" || name == "" || len(id) > 256 || strings.Contains(id, "/") || !utf8.ValidString(id) {
		return false
	}
	for c := range 0xa0 {
		if (c < 0x20 || c >= 0x7f) && strings.ContainsRune(id, rune(c)) {
			return false
		}
	}
	return true
}
