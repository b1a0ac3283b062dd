//go:build linux

// Package rig starts, torments and stops the processes of a chaos run: nodes, members of
// etcd, and between them proxies that can cut any link. It is the hand of the nemesis; it
// decides nothing.
//
// A [Process] owns the goroutines that read its output and wait for its end, a [Proxy]
// those of its connections; Close of either waits for them.
package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Process is a child of the harness.
type Process struct {
	Name string

	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan []byte // of its standard output; closed at the end
	ended chan struct{}
	err   error // how it ended; to be read after ended

	mu sync.Mutex // guards writing to in
}

// Start starts the harness's own program in a role. What it says on standard error, and
// what it records, is appended to files.
func Start(ctx context.Context, name, role string, config any, stderr, records string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, lines: make(chan []byte, 16), ended: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, self, role, string(text))
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C is for the harness
	var files []*os.File
	for _, file := range []string{stderr, records} {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		defer f.Close()
		files = append(files, f)
	}
	p.cmd.Stderr, p.cmd.ExtraFiles = files[0], files[1:]
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go p.watch(out)
	return p, nil
}

// watch reads what the process says, and waits for its end.
func (p *Process) watch(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		p.lines <- append([]byte(nil), lines.Bytes()...)
	}
	close(p.lines)
	p.err = p.cmd.Wait()
	close(p.ended)
}

// Say writes a line to its standard input.
func (p *Process) Say(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("tell %s: %w", p.Name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("tell %s: %w", p.Name, err)
	}
	return nil
}

// Lines are those of its standard output. Who starts a process reads them to the end.
func (p *Process) Lines() <-chan []byte { return p.lines }

// Signal sends a signal: SIGKILL, SIGSTOP, SIGCONT, SIGTERM.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %v to %s: %w", s, p.Name, err)
	}
	return nil
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err says how it ended: nil for a clean exit. Only after Ended.
func (p *Process) Err() error { return p.err }

// Wait waits for its end.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %s: %w", p.Name, context.Cause(ctx))
	}
}

// Kill kills it and waits for its end. One that has ended is no error.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return nil
}
