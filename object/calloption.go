package object

import "maps"

// CallOption changes one call.
type CallOption interface{ apply(*CallSettings) }

// CallSettings is what the options of one call add up to. The zero value is the
// default.
type CallSettings struct {
	Key        string            // idempotency key; empty: none
	AtMostOnce bool              // never resend where the call may have run
	OneWay     bool              // do not wait for the reply
	Metadata   map[string]string // added to what the calling turn received
}

type callOptionFunc func(*CallSettings)

func (f callOptionFunc) apply(s *CallSettings) { f(s) }

// Resolve returns the settings that opts add up to.
func Resolve(opts []CallOption) CallSettings {
	if len(opts) == 0 {
		return CallSettings{} // not the one below, which lives on the heap
	}
	return resolve(opts)
}

func resolve(opts []CallOption) CallSettings {
	var s CallSettings
	for _, o := range opts {
		if o != nil {
			o.apply(&s)
		}
	}
	return s
}

// WithIdempotencyKey names the call across the caller's own retries: within the
// callee's retention the same key with the same request is answered with the first
// outcome, and with another request refused as [ErrKeyReused]. Keys are scoped to
// the object. An empty key is no key; one of more than
// 256 bytes is refused.
func WithIdempotencyKey(key string) CallOption {
	return callOptionFunc(func(s *CallSettings) { s.Key = key })
}

// AtMostOnce makes the runtime resend the call only where it provably did not run.
func AtMostOnce() CallOption {
	return callOptionFunc(func(s *CallSettings) { s.AtMostOnce = true })
}

// OneWay makes the call return as soon as it is accepted, with a nil reply. A
// OneWay call made inside a turn leaves when the turn has ended without error, and
// not at all otherwise.
func OneWay() CallOption {
	return callOptionFunc(func(s *CallSettings) { s.OneWay = true })
}

// WithMetadata adds one key and value to the call's metadata.
func WithMetadata(key, value string) CallOption {
	return callOptionFunc(func(s *CallSettings) {
		if s.Metadata == nil {
			s.Metadata = make(map[string]string, 1)
		}
		s.Metadata[key] = value
	})
}

// MergeMetadata returns base with added over it. Neither is modified; where one is
// empty the other is returned as it is.
func MergeMetadata(base, added map[string]string) map[string]string {
	if len(added) == 0 {
		return base
	}
	if len(base) == 0 {
		return added
	}
	merged := maps.Clone(base)
	maps.Copy(merged, added)
	return merged
}
