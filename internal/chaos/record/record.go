//go:build linux

// Package record is what a chaos run remembers: one line of JSON for each call as its
// caller saw it, each turn as the object saw it, and each beginning and end of an
// activation, all timed on one clock that is the same in every process of the machine.
//
// A line is written by one system call to a file opened for appending, before the turn's
// reply leaves: a process that is killed has recorded all that it has answered. The
// package keeps no state and starts no goroutine; all of it is safe for concurrent use.
package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// FD is the file descriptor that a node inherits from the harness, and records to.
const FD = 3

// Kind says what an entry tells of.
type Kind string

// The kinds.
const (
	Call  Kind = "call"  // a call, told by its caller when it has returned
	Turn  Kind = "turn"  // a turn, told by the object before the reply leaves
	Begin Kind = "begin" // an activation's OnActivate
	End   Kind = "end"   // an activation's OnDeactivate
)

// Entry is one line.
type Entry struct {
	Kind   Kind   `json:"kind"`
	Object string `json:"obj"`
	Op     string `json:"op,omitempty"`     // the call's name; the turns that it led to have the same
	Method string `json:"method,omitempty"` // what was asked
	A      int64  `json:"a,omitempty"`      // its arguments
	B      int64  `json:"b,omitempty"`
	Value  int64  `json:"value,omitempty"` // its answer
	// Life is the activation, Lineage the memory that it has: a new one with every
	// activation, unless a snapshot was restored. Turn is the turn that gave the answer.
	Life    string `json:"life,omitempty"`
	Lineage string `json:"lineage,omitempty"`
	Turn    string `json:"turn,omitempty"`
	// Start and End are readings of Now. End is 0 for a moment.
	Start time.Duration `json:"start"`
	End   time.Duration `json:"end,omitempty"`
	// Of a call: how it failed ("" is success), what its error says of its execution, and
	// whether it was to run at most once. Of an End: the reason.
	Code     string `json:"code,omitempty"`
	Executed string `json:"executed,omitempty"`
	Once     bool   `json:"once,omitempty"`
	Text     string `json:"text,omitempty"`

	Node string `json:"-"` // whose file it is
}

// Now is the machine's monotonic clock: the same for all its processes.
func Now() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// Append writes an entry to the inherited file.
func Append(e *Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	line = append(line, '\n')
	for {
		n, err := unix.Write(FD, line)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("record: %w", err)
		case n < len(line):
			return fmt.Errorf("record: %w", io.ErrShortWrite)
		default:
			return nil
		}
	}
}

// Read reads a file. A last line without an end is one that a kill has cut short.
func Read(name, node string) ([]Entry, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	defer f.Close()
	var entries []Entry
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read record: %w", err)
		}
		e := Entry{Node: node}
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return nil, fmt.Errorf("read record %s:%d: %w", name, n, err)
		}
		entries = append(entries, e)
	}
}
