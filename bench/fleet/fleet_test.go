package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/bench/fleet"
)

const childVariable = "FLEET_TEST_CHILD"

// TestMain lets the test binary be the process that the tests start.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		fmt.Fprintln(os.Stderr, "the child begins")
		if err := fleet.Obey(context.Background(), os.Stdin, os.Stdout, orders()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if len(os.Args) > 1 && os.Args[1] == "badly" {
			os.Exit(3)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func orders() map[string]fleet.Do {
	return map[string]fleet.Do{
		"double": fleet.With(func(_ context.Context, n int) (any, error) { return 2 * n, nil }),
		"fail":   fleet.With(func(context.Context, struct{}) (any, error) { return nil, errors.New("it failed") }),
		"wait": fleet.With(func(ctx context.Context, _ struct{}) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
		"exit": fleet.With(func(context.Context, struct{}) (any, error) {
			os.Exit(4)
			return nil, nil
		}),
	}
}

func start(ctx context.Context, t *testing.T, args ...string) *fleet.Process {
	t.Helper()
	p, err := fleet.Start(ctx, []string{childVariable + "=1"}, args...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAsk(t *testing.T) {
	t.Parallel()
	p := start(t.Context(), t, "arg")
	for i := range 3 {
		var got int
		if err := p.Ask("double", i, &got); err != nil || got != 2*i {
			t.Errorf("twice %d is %d, %v", i, got, err)
		}
	}
	for op, want := range map[string]string{"fail": "it failed", "dance": "cannot do that"} {
		if err := p.Ask(op, struct{}{}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("asked to %s: %v", op, err)
		}
	}
	if err := p.Ask("double", "two", nil); err == nil || !strings.Contains(err.Error(), "read arguments") {
		t.Errorf("asked to double a word: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestDeathIsAnError(t *testing.T) {
	t.Parallel()
	p := start(t.Context(), t, "arg")
	if err := p.Ask("exit", struct{}{}, nil); err == nil || !strings.Contains(err.Error(), "the child begins") {
		t.Errorf("a process that ended: %v", err)
	}
	if err := p.Close(); err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("closed after that: %v", err)
	}
	bad := start(t.Context(), t, "badly")
	if err := fleet.CloseAll([]*fleet.Process{start(t.Context(), t), bad}); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a process that ends badly: %v", err)
	}
}

func TestContextKills(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := start(ctx, t)
	if err := p.Ask("double", 1, nil); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(10*time.Millisecond, cancel)
	defer timer.Stop()
	if err := p.Ask("wait", struct{}{}, nil); err == nil {
		t.Error("a process outlives its context")
	}
	p.Kill()
}

// TestObeyEndsWithItsInput: what is being done then is told to end, so that nobody outlives who started it.
func TestObeyEndsWithItsInput(t *testing.T) {
	t.Parallel()
	in, give := io.Pipe()
	var out strings.Builder
	done := make(chan error, 1)
	go func() { done <- fleet.Obey(t.Context(), in, &out, orders()) }()
	if _, err := give.Write([]byte(`{"Op":"wait","Args":{}}` + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := give.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if out.String() != "" && !strings.Contains(out.String(), context.Canceled.Error()) {
		t.Errorf("it answered %q", out.String())
	}
}
