package object

import (
	"fmt"
	"maps"
	"time"
)

// Defaults of the registration options.
const (
	DefaultIdleTimeout  = 15 * time.Minute
	DefaultCallTimeout  = 30 * time.Second
	DefaultMailboxLimit = 10_000
)

// Mode says which turns of an object may run beside each other.
type Mode uint8

// The modes of a method.
const (
	// Sequential turns run alone, in arrival order. The default.
	Sequential Mode = iota
	// ReadOnly turns run together, and never beside a Sequential one.
	ReadOnly
	// Concurrent turns run beside everything; the object locks for itself.
	Concurrent
)

// String returns "sequential", "read-only" or "concurrent".
func (m Mode) String() string {
	return nameOf(int(m)+1, "sequential", "read-only", "concurrent")
}

// RegisterOption changes how a type is registered.
type RegisterOption interface{ apply(*typeSettings) }

// typeSettings is what the options of one registration add up to. Maps are keyed
// by method name; the empty name is the whole type.
type typeSettings struct {
	name         string
	modes        map[string]Mode
	callTimeouts map[string]time.Duration
	detached     map[string]bool
	idle         time.Duration
	mailbox      int
	reentrant    bool
	share        bool
	thunks       map[string]MethodThunk
	problems     []string
}

type registerOptionFunc func(*typeSettings)

func (f registerOptionFunc) apply(s *typeSettings) { f(s) }

func forMethods[V any](m map[string]V, v V, methods []string) map[string]V {
	if m == nil {
		m = make(map[string]V)
	}
	if len(methods) == 0 {
		m[""] = v
	}
	for _, name := range methods {
		if name == "" {
			name = `""` // an empty name is a mistake to report, not the whole type
		}
		m[name] = v
	}
	return m
}

// Concurrency sets the mode of the named methods, or of the whole type without names.
func Concurrency(mode Mode, methods ...string) RegisterOption {
	return registerOptionFunc(func(s *typeSettings) {
		if mode > Concurrent {
			s.problems = append(s.problems, "unknown concurrency mode")
			return
		}
		s.modes = forMethods(s.modes, mode, methods)
	})
}

// CallTimeout limits calls of the named methods, or of the whole type without
// names, whose context has no deadline. Default 30 s; negative: no limit. It counts
// from the first time that anybody looks at the deadline of the call's context, or
// from the moment the call has to wait.
func CallTimeout(d time.Duration, methods ...string) RegisterOption {
	return registerOptionFunc(func(s *typeSettings) { s.callTimeouts = forMethods(s.callTimeouts, d, methods) })
}

// Detached makes calls of the named methods, or of the whole type without names,
// return at their deadline or cancellation whatever the method does. Their turns
// run on a goroutine of their own.
func Detached(methods ...string) RegisterOption {
	return registerOptionFunc(func(s *typeSettings) { s.detached = forMethods(s.detached, true, methods) })
}

// Reentrant lets a call chain come back to an object that it already holds, instead
// of failing as [ErrDeadlock]. The turns of one chain still run one at a time where
// each caller waits for its call.
func Reentrant() RegisterOption {
	return registerOptionFunc(func(s *typeSettings) { s.reentrant = true })
}

// IdleTimeout sets how long an object without calls stays activated. Default: the
// server's, 15 min; negative: for ever.
func IdleTimeout(d time.Duration) RegisterOption {
	return registerOptionFunc(func(s *typeSettings) { s.idle = d })
}

// MailboxLimit sets how many calls may wait for one object, and how many deletions beside
// them; the next is refused as [ErrOverloaded]. Default 10 000; negative: no limit.
func MailboxLimit(n int) RegisterOption {
	return registerOptionFunc(func(s *typeSettings) { s.mailbox = n })
}

// TypeName sets the type's name in IDs. Default: the Go type's own name.
func TypeName(name string) RegisterOption {
	return registerOptionFunc(func(s *typeSettings) { s.name = name })
}

// Methods gives typed thunks, made by [Method], for methods of the type: they are
// dispatched by an ordinary Go call and checked by the compiler.
func Methods(thunks ...MethodThunk) RegisterOption {
	return registerOptionFunc(func(s *typeSettings) {
		if s.thunks == nil {
			s.thunks = make(map[string]MethodThunk)
		}
		for _, t := range thunks {
			if old, ok := s.thunks[t.name]; ok && old.owner != t.owner {
				s.problems = append(s.problems, fmt.Sprintf("Methods: %s is given for %v and for %v", t.name, old.owner, t.owner))
			}
			s.thunks[t.name] = t
		}
	})
}

// ShareMessages declares that requests to this type and its replies are never
// modified after they are sent, so that local calls need not copy them.
func ShareMessages() RegisterOption {
	return registerOptionFunc(func(s *typeSettings) { s.share = true })
}

func newTypeSettings(goName string, opts []RegisterOption) typeSettings {
	s := typeSettings{name: goName}
	for _, o := range opts {
		if o != nil {
			o.apply(&s)
		}
	}
	if s.mailbox == 0 {
		s.mailbox = DefaultMailboxLimit
	}
	return s
}

// sameAs reports whether two registrations of a type ask for the same.
func (s typeSettings) sameAs(o typeSettings) bool {
	return s.name == o.name && s.idle == o.idle && s.mailbox == o.mailbox &&
		s.reentrant == o.reentrant && s.share == o.share &&
		maps.Equal(s.modes, o.modes) && maps.Equal(s.callTimeouts, o.callTimeouts) && maps.Equal(s.detached, o.detached) &&
		maps.EqualFunc(s.thunks, o.thunks, func(a, b MethodThunk) bool { return a.owner == b.owner && a.name == b.name })
}

// forMethod picks a method's own setting, else the type's, else fallback.
func forMethod[V any](m map[string]V, method string, fallback V) V {
	if v, ok := m[method]; ok {
		return v
	}
	if v, ok := m[""]; ok {
		return v
	}
	return fallback
}
