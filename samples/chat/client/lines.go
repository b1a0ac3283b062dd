package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// line is one line of the input, without its end.
type line struct {
	text    string
	problem string // why it cannot be sent; empty: it can
}

// readLines reads lines until the input or ctx ends; then it closes the channel. A
// last line need not have an end. The goroutine may be caught in a read of a terminal
// that never returns; it ends with the process.
func readLines(ctx context.Context, in io.Reader) <-chan line {
	lines := make(chan line)
	go func() {
		defer close(lines)
		r := bufio.NewReader(in)
		for {
			l, err := readLine(r)
			if err != nil {
				return
			}
			select {
			case lines <- l:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// readLine reads one line, of which it keeps no more than can be sent. An error
// other than io.EOF ends the input as well.
func readLine(r *bufio.Reader) (line, error) {
	var text []byte
	size := 0
	for {
		part, err := r.ReadSlice('\n')
		size += len(part)
		text = append(text, part[:min(len(part), max(0, maxText+2-len(text)))]...) // and the line's end
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && size == 0 {
			return line{}, err
		}
		break
	}
	l := line{text: strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")}
	switch {
	case len(l.text) > maxText:
		l.problem = fmt.Sprintf("the line is longer than the %d bytes a message can have", maxText)
	case !utf8.ValidString(l.text):
		l.problem = "the line is not valid UTF-8"
	}
	return l, nil
}
