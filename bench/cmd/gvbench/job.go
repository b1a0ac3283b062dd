package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// childVariable marks a process that local started.
const childVariable = "GVBENCH_CHILD"

// job is one measurement in a process of its own.
type job struct {
	args []string
	take func(stdout []byte) error
}

// runJobs runs jobs, so many at a time, and takes their results in the order of the list. The first failure
// ends the rest.
func runJobs(ctx context.Context, jobs []job, parallel int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		done    sync.WaitGroup
		places  = make(chan struct{}, parallel)
		outputs = make([][]byte, len(jobs))
		errs    = make([]error, len(jobs))
	)
	for i, j := range jobs {
		places <- struct{}{}
		done.Go(func() {
			defer func() { <-places }()
			if outputs[i], errs[i] = runChild(ctx, j.args); errs[i] != nil {
				cancel()
			}
		})
	}
	done.Wait()
	for i, j := range jobs {
		if err := errs[i]; err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if errs[i] == nil {
			if err := j.take(outputs[i]); err != nil {
				return fmt.Errorf("read %s: %w", strings.Join(j.args, " "), err)
			}
		}
	}
	return ctx.Err()
}

// runChild runs this program with other arguments and returns what it printed.
func runChild(ctx context.Context, args []string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), childVariable+"=1")
	if err := cmd.Run(); err != nil {
		if canceled := ctx.Err(); canceled != nil {
			return nil, canceled
		}
		return nil, fmt.Errorf("run gvbench %s: %w: %s", strings.Join(args, " "), err, tail(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// tail is the end of a text that may be long.
func tail(text string) string {
	const enough = 4000
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-enough):]
}

func decodeOne[T any](out []byte, into *[]T) error {
	var v T
	if err := json.Unmarshal(out, &v); err != nil {
		return err
	}
	*into = append(*into, v)
	return nil
}

func decodeAll[T any](out []byte, into *[]T) error {
	var all []T
	if err := json.Unmarshal(out, &all); err != nil {
		return err
	}
	*into = append(*into, all...)
	return nil
}
