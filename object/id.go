package object

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxIDBytes is the longest object ID, in bytes.
const MaxIDBytes = 256

// ParseID splits an object ID into its type, everything before the first '-',
// and its name, everything after it. An ID is at most [MaxIDBytes] bytes of valid
// UTF-8 with a non-empty type and name, without control characters (C0, DEL, C1)
// and without '/'. IDs are compared byte for byte; nothing is normalised.
//
// The error is an [*Error] of [CodeInvalidArgument] that says which rule is broken.
func ParseID(id string) (typ, name string, err error) {
	if problem := idProblem(id); problem != "" {
		return "", "", &Error{
			Code: CodeInvalidArgument, Op: "parse id", ID: printableID(id),
			Message: "invalid object ID: " + problem, executed: ExecutedNo,
		}
	}
	typ, name, _ = strings.Cut(id, "-")
	return typ, name, nil
}

func idProblem(id string) string {
	if id == "" {
		return "it is empty"
	}
	if len(id) > MaxIDBytes {
		return fmt.Sprintf("%d bytes, at most %d are allowed", len(id), MaxIDBytes)
	}
	if !utf8.ValidString(id) {
		return "it is not valid UTF-8"
	}
	for _, r := range id {
		switch {
		case r < 0x20 || (r >= 0x7f && r <= 0x9f):
			return fmt.Sprintf("control character %U", r)
		case r == '/':
			return "'/' is not allowed"
		}
	}
	dash := strings.IndexByte(id, '-')
	switch {
	case dash < 0:
		return "no '-' between type and name"
	case dash == 0:
		return "the type before the first '-' is empty"
	case dash == len(id)-1:
		return "the name after the first '-' is empty"
	}
	return ""
}

// printableID keeps a rejected ID harmless in errors and logs: quoted escapes
// instead of raw bytes, and cut to the length of a valid one.
func printableID(id string) string {
	if len(id) > MaxIDBytes {
		id = id[:MaxIDBytes] + "…"
	}
	quoted := fmt.Sprintf("%q", id)
	return quoted[1 : len(quoted)-1]
}
