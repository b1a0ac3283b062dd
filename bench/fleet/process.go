package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// closeTimeout bounds how long a process may take to end by itself.
const closeTimeout = 20 * time.Second

// Process is a started process.
type Process struct {
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr *tail
}

// request is what a process is told, reply what it answers.
type (
	request struct {
		Op   string
		Args json.RawMessage `json:",omitempty"`
	}
	reply struct {
		Error string          `json:",omitempty"`
		Value json.RawMessage `json:",omitempty"`
	}
)

// Start starts this program with other arguments and environment variables ("NAME=value") added to its own. The process
// is killed when ctx ends.
func Start(ctx context.Context, env []string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	p := &Process{name: strings.Join(args, " "), cmd: exec.CommandContext(ctx, self, args...), stderr: &tail{}}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p.stderr
	p.cmd.WaitDelay = time.Second
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// Ask tells the process to do something and waits for the answer, which is decoded into value unless that is nil. The
// error is the process's own, or says that the process has ended, with the end of what it wrote to standard error.
func (p *Process) Ask(op string, args, value any) error {
	text, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("ask %s to %s: %w", p.name, op, err)
	}
	if err := json.NewEncoder(p.in).Encode(request{Op: op, Args: text}); err != nil {
		return fmt.Errorf("ask %s to %s: %w: %s", p.name, op, err, p.stderr)
	}
	var r reply
	if err := p.out.Decode(&r); err != nil {
		return fmt.Errorf("wait for %s to %s: %w: %s", p.name, op, err, p.stderr)
	}
	if r.Error != "" {
		return fmt.Errorf("%s could not %s: %s %s", p.name, op, r.Error, p.stderr)
	}
	if value == nil {
		return nil
	}
	if err := json.Unmarshal(r.Value, value); err != nil {
		return fmt.Errorf("read what %s answered to %s: %w", p.name, op, err)
	}
	return nil
}

// Close ends the process's input and waits for the process, which is killed if it takes too long. The error is that it
// did not end with 0.
func (p *Process) Close() error {
	_ = p.in.Close()
	timer := time.AfterFunc(closeTimeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("end %s: %w: %s", p.name, err, p.stderr)
	}
	return nil
}

// Kill ends the process at once and waits for it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// CloseAll closes processes in reverse order, all of them whatever fails.
func CloseAll(all []*Process) error {
	var errs []error
	for _, p := range slices.Backward(all) {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	const enough = 4000
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-enough):]
	return len(b), nil
}

// String is what is kept, without space around it.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
