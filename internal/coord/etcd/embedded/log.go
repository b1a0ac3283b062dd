package embedded

import (
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// youngMessage is what a new etcd calls an error until it has made its first snapshot: nothing is wrong.
const youngMessage = "failed to update storage version"

// logCore hands what etcd logs to slog: errors as they are, warnings for who debugs, the rest to nobody. Many of etcd's
// warnings are about its configuration, which is ours. An error that etcd calls fatal ends the process, after it was
// logged.
type logCore struct {
	log     *slog.Logger
	fields  []zapcore.Field
	stopped *atomic.Bool
}

func newLogCore(log *slog.Logger) *logCore { return &logCore{log: log, stopped: new(atomic.Bool)} }

// silence turns errors into something for who debugs: what is said during a stop.
func (c *logCore) silence() { c.stopped.Store(true) }

// Enabled implements zapcore.Core.
func (c *logCore) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

// With implements zapcore.Core.
func (c *logCore) With(fields []zapcore.Field) zapcore.Core {
	return &logCore{log: c.log, stopped: c.stopped, fields: slices.Concat(c.fields, fields)}
}

// Check implements zapcore.Core.
func (c *logCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(enc)
	}
	attrs := []any{"message", e.Message}
	for _, key := range slices.Sorted(maps.Keys(enc.Fields)) {
		attrs = append(attrs, slog.Any(key, enc.Fields[key]))
	}
	if e.Level >= zapcore.ErrorLevel && e.Message != youngMessage && !c.stopped.Load() {
		c.log.Error("embedded etcd reports an error", attrs...)
		return nil
	}
	c.log.Debug("embedded etcd warns", attrs...)
	return nil
}

// Sync implements zapcore.Core.
func (c *logCore) Sync() error { return nil }
