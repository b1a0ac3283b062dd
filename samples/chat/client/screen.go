package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// eraseLine goes to the beginning of a terminal's line and erases it.
const eraseLine = "\r\x1b[K"

// screen is what the user sees: lines, and on a terminal a prompt below them. Each
// line is written at once. A message is "[15:04:05] name: text"; what the client
// itself says begins with "* ", an error with "! ", details of either with two spaces.
type screen struct {
	out      io.Writer
	terminal bool
	location *time.Location

	prompted bool // the prompt is there
}

// message shows a message, with the room if one is given.
func (s *screen) message(room string, msg *chat_pb.ChatMessage) {
	at := time.UnixMicro(msg.GetTimestamp()).In(s.location).Format(time.TimeOnly)
	if room != "" {
		room = " #" + room
	}
	s.line("[" + at + "]" + room + " " + msg.GetUserName() + ": " + msg.GetMessage())
}

func (s *screen) notice(format string, args ...any)  { s.line("* " + fmt.Sprintf(format, args...)) }
func (s *screen) problem(format string, args ...any) { s.line("! " + fmt.Sprintf(format, args...)) }
func (s *screen) detail(format string, args ...any)  { s.line("  " + fmt.Sprintf(format, args...)) }

// line writes a line in place of the prompt.
func (s *screen) line(text string) {
	text = printable(text) + "\n"
	if s.prompted {
		text = eraseLine + text
		s.prompted = false
	}
	s.write(text)
}

// prompt shows where the user is, unless it is shown.
func (s *screen) prompt(where string) {
	if s.terminal && !s.prompted {
		s.prompted = true
		s.write(printable(where) + "> ")
	}
}

// entered tells that the user has ended the line with the prompt.
func (s *screen) entered() { s.prompted = false }

// end leaves the line with the prompt.
func (s *screen) end() {
	if s.prompted {
		s.prompted = false
		s.write("\n")
	}
}

// write writes to the output. Nobody can be told of an error.
func (s *screen) write(text string) { _, _ = io.WriteString(s.out, text) }

// printable is text as it may be shown on a terminal: on one line, and with escapes in
// place of what would move the cursor, change colours or reorder the letters.
func printable(text string) string {
	if !strings.ContainsFunc(text, isHarmful) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isHarmful(r) {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isHarmful tells what must not reach a terminal as it is: all that is not graphic,
// but for tabs and the two joiners that scripts and emoji are made with.
func isHarmful(r rune) bool {
	const nonJoiner, joiner = 0x200c, 0x200d
	return !unicode.IsGraphic(r) && r != '\t' && r != nonJoiner && r != joiner || r == unicode.ReplacementChar
}
