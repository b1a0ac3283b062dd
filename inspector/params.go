package inspector

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/xiaonanln/goverse/inspector/internal/model"
	"github.com/xiaonanln/goverse/object"
)

// The most that a page may have, and how deep one may turn pages: a node sorts and sends all before.
const (
	maxPage   = 1000
	maxOffset = 10_000

	maxInterestTypes = 1000 // that a node lets a watcher name
)

// number reads a parameter; empty: def. What is not from 0 to most is invalid.
func number(q url.Values, name string, def, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, invalid(name + " is not a number from 0 to " + strconv.Itoa(most))
	}
	return n, nil
}

// list reads a parameter with names that commas separate; empty: nil.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// flag reads a parameter that is 1, true, 0, false or absent.
func flag(q url.Values, name string) (bool, error) {
	text := q.Get(name)
	if text == "" {
		return false, nil
	}
	set, err := strconv.ParseBool(text)
	if err != nil {
		return false, invalid(name + " is neither 1 nor 0")
	}
	return set, nil
}

// objectID checks an id that somebody has sent.
func objectID(id string) error {
	if _, _, err := object.ParseID(id); err != nil {
		return invalid("that is no object's id")
	}
	return nil
}

// interestOf reads what a request is interested in.
func interestOf(q url.Values) (model.Interest, error) {
	objects, err := flag(q, "objects")
	if err != nil {
		return model.Interest{}, err
	}
	if focus := q.Get("focus"); focus != "" {
		if err := objectID(focus); err != nil {
			return model.Interest{}, err
		}
	}
	if types := q.Get("types"); len(types) > 8192 || strings.Count(types, ",") >= maxInterestTypes || !utf8.ValidString(types) {
		return model.Interest{}, invalid("too many types, or no names of any") // nodes would refuse again and again
	}
	return model.NewInterest(objects, q.Get("types"), q.Get("focus")), nil
}
