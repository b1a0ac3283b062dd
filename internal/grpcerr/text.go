package grpcerr

import (
	"strings"
	"unicode/utf8"
)

const ellipsis = "…"

// clip returns text as it may be sent: valid UTF-8 that costs at most MessageBudget.
func clip(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	const budget = 3 * MessageBudget
	if 13*len(text) <= budget { // no byte costs more
		return text
	}
	cost, room := 0, budget-runeCost('…')
	fits := 0 // how much of text fits with an ellipsis behind it
	for i, r := range text {
		if cost <= room {
			fits = i
		}
		cost += runeCost(r)
		if cost > budget {
			return text[:fits] + ellipsis
		}
	}
	return text
}

// runeCost is how many thirds of a byte of trailers r takes: percent-encoded, and in
// base64.
func runeCost(r rune) int {
	n := utf8.RuneLen(r)
	if r >= 0x20 && r <= 0x7e && r != '%' {
		return 3 + 4*n
	}
	return 9*n + 4*n
}

// cut returns the first limit bytes of valid UTF-8 text, without half a rune.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
