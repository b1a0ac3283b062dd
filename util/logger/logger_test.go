package logger_test

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/util/logger"
)

func TestOneLineForEachEvent(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logger.New(&out, slog.LevelInfo)
	log.Info("server ready", "addr", "127.0.0.1:47000", "error", errors.New("two\nlines"))
	want := regexp.MustCompile(`^time=\d{4}-\d\d-\d\dT[0-9:.+Z-]+ level=INFO msg="server ready" addr=127\.0\.0\.1:47000 error="two\\nlines"\n$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("%q does not match %v", out.String(), want)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	for i, from := range levels {
		var out bytes.Buffer
		log := logger.New(&out, from)
		for _, level := range levels {
			log.Log(t.Context(), level, "an event")
		}
		if got, want := strings.Count(out.String(), "\n"), len(levels)-i; got != want {
			t.Errorf("from %v up: %d lines, want %d:\n%s", from, got, want, out.String())
		}
		for _, level := range levels[i:] {
			if !strings.Contains(out.String(), "level="+level.String()+" ") {
				t.Errorf("from %v up: no %v:\n%s", from, level, out.String())
			}
		}
	}
}

// Lines of several goroutines do not mix, though the writer itself is not safe.
func TestConcurrentEvents(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logger.New(&out, slog.LevelInfo)
	child := log.With("object", "Box-1")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				log.Info("plain")
				child.Info("derived")
			}
		})
	}
	wg.Wait()
	whole := regexp.MustCompile(`^time=\S+ level=INFO (msg=plain|msg=derived object=Box-1)$`)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 1600 {
		t.Errorf("%d lines, want 1600", len(lines))
	}
	for _, line := range lines {
		if !whole.MatchString(line) {
			t.Fatalf("%q is not one event", line)
		}
	}
}
