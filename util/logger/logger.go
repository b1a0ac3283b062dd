// Package logger makes the log that a server writes when it is given none: one line
// of text for each event, on a writer of the program's choice.
package logger

import (
	"io"
	"log/slog"
)

// New returns a logger that writes events of at least the given level to w as text,
// "time=… level=INFO msg=… key=value". It is safe for concurrent use, and never writes
// to w from two goroutines at a time.
func New(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
