//go:build unix

package server_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child is a process of this test binary that runs a server.
type child struct {
	*exec.Cmd

	out, errs *logBook
	ended     <-chan error
}

func startChild(t *testing.T, kind, listen string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.Command(self), out: &logBook{}, errs: &logBook{}}
	c.Env = append(os.Environ(), childVariable+"="+kind, portVariable+"="+listen)
	c.Stdout, c.Stderr = c.out, c.errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.ended = started(c.Wait)
	t.Cleanup(func() { _ = c.Process.Kill() }) // one that has ended is not found
	return c
}

func (c *child) awaitOutput(t *testing.T, text string) {
	t.Helper()
	receive(t, c.out.awaited(text), text+" from the child")
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wantExit waits for the child's end.
func (c *child) wantExit(t *testing.T, code int) {
	t.Helper()
	_ = receive(t, c.ended, "the child's end")
	if got := c.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d; %v\n%s%s", got, code, c.ProcessState, c.out, c.errs)
	}
}

func TestSignalStopsTheServer(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		c := startChild(t, "idle", "127.0.0.1:0")
		c.awaitOutput(t, "server ready")
		c.signal(t, s)
		c.wantExit(t, 0)
		if !strings.Contains(c.out.String(), "server stopped") || c.errs.String() != "" {
			t.Errorf("%v:\n%s%s", s, c.out, c.errs)
		}
	}
}

func TestSignalLetsTheRunningCallFinish(t *testing.T) {
	t.Parallel()
	c := startChild(t, "busy", "127.0.0.1:0")
	c.awaitOutput(t, "entered Box-1")
	c.signal(t, syscall.SIGTERM)
	c.wantExit(t, 0)
	if out := c.out.String(); !strings.Contains(out, "refused") || !strings.Contains(out, "server stopped") {
		t.Errorf("%s", out)
	}
}

// A stop takes an hour here. The second signal ends the process at once, while the
// server runs and while it starts.
func TestSecondSignalKills(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"deaf", "stuck"} {
		c := startChild(t, kind, "127.0.0.1:0")
		c.awaitOutput(t, "entered Box-1")
		if kind == "deaf" {
			c.awaitOutput(t, "server ready")
		}
		var err error
		for signals := 0; err == nil; signals++ {
			// Signals that come before the first has been handled are one with it.
			_ = c.Process.Signal(syscall.SIGTERM)
			select {
			case err = <-c.ended:
			case <-time.After(50 * time.Millisecond):
			}
			if signals > 1000 {
				t.Fatalf("%s: it lives on\n%s%s", kind, c.out, c.errs)
			}
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("%s: %v, want it killed by the signal\n%s%s", kind, err, c.out, c.errs)
		}
	}
}

// A signal while the server starts is no failure.
func TestSignalWhileStarting(t *testing.T) {
	t.Parallel()
	c := startChild(t, "starting", "127.0.0.1:0")
	c.awaitOutput(t, "entered Box-1")
	c.signal(t, syscall.SIGTERM)
	c.wantExit(t, 0)
	if out := c.out.String(); !strings.Contains(out, "stopped while starting") || strings.Contains(out, "server ready") {
		t.Errorf("%s", out)
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	taken := listen(t, "127.0.0.1:0")
	c := startChild(t, "idle", taken)
	c.wantExit(t, 1)
	if errs := c.errs.String(); strings.Count(errs, "\n") != 1 || !strings.Contains(errs, taken) {
		t.Errorf("standard error is %q, want one line that names %s", errs, taken)
	}
}
