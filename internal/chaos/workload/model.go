//go:build linux

// Package workload is what runs on the nodes of a chaos run: objects that record
// everything they do, the rules of what they ought to answer, and the callers.
//
// There are four types: Register (read, write, compare-and-swap), Counter (add, read),
// Log (append, which answers a hash of all that was ever appended, and read), and Kept, a
// Counter whose memory goes along when it moves. The memory of all others begins anew
// with each activation: what the checks call a lineage.
//
// Objects own no goroutine. A [Load] owns its callers; Stop waits for them.
package workload

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/shard"
)

// The types of the objects.
const (
	Register = "Register"
	Counter  = "Counter"
	Log      = "Log"
	Kept     = "Kept"
)

// The things that can be asked of them.
const (
	Read   = "read"
	Write  = "write"  // A is written; answers A
	Swap   = "swap"   // if the value is A it becomes B; answers 1 or 0
	Add    = "add"    // A is added; answers the sum
	Append = "append" // A is appended; answers the hash of all
)

// Apply is what a method does to a value, and answers. It is the whole specification.
func Apply(method string, value, a, b int64) (next, answer int64) {
	switch method {
	case Write:
		return a, a
	case Swap:
		if value == a {
			return b, 1
		}
		return value, 0
	case Add:
		return value + a, value + a
	case Append:
		next = (value*1_000_003 + a) & (1<<62 - 1)
		return next, next
	default:
		return value, value
	}
}

// Request is what a call carries.
type Request struct {
	Op     string        `json:"op"`
	Method string        `json:"m"`
	A      int64         `json:"a,omitempty"`
	B      int64         `json:"b,omitempty"`
	Takes  time.Duration `json:"t,omitempty"` // how long the turn lasts
}

// Reply is what it answers.
type Reply struct {
	Value   int64  `json:"v"`
	Life    string `json:"l"`
	Lineage string `json:"g"`
	Turn    string `json:"t"`
}

// pack makes a message of a value, and unpack a value of a message.
func pack(v any) (*wrapperspb.BytesValue, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return wrapperspb.Bytes(b), nil
}

func unpack(m proto.Message, v any) error {
	b, ok := m.(*wrapperspb.BytesValue)
	if !ok {
		return fmt.Errorf("unpack: a %T", m)
	}
	if err := json.Unmarshal(b.GetValue(), v); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return nil
}

// Hot is the ID of one of the objects that the load is on.
func Hot(n int) string {
	types := [...]string{Register, Counter, Log, Kept}
	return fmt.Sprintf("%s-%d", types[n%len(types)], n)
}

// Canaries are IDs of Counters, one in each shard.
func Canaries(shards int) []string {
	ids := make([]string, shards)
	for n, left := 0, shards; left > 0; n++ {
		id := fmt.Sprintf("%s-canary%d", Counter, n)
		if s := shard.Of(id, shards); ids[s] == "" {
			ids[s] = id
			left--
		}
	}
	return ids
}

// draw is a request to an object of a type, by chance.
func draw(rng *rand.Rand, typ string, slow bool) Request {
	r := Request{Method: Read, A: rng.Int64N(5), B: rng.Int64N(5), Takes: time.Duration(rng.Int64N(int64(4 * time.Millisecond)))}
	switch n := rng.IntN(50); {
	case slow && n == 0:
		r.Takes *= 500
	case slow && n <= 5:
		r.Takes *= 50
	}
	if rng.IntN(5) == 0 {
		return r
	}
	switch typ {
	case Register:
		r.Method = [...]string{Write, Swap}[rng.IntN(2)]
	case Log:
		r.Method, r.A = Append, rng.Int64N(1_000_000)
	default:
		r.Method, r.A = Add, 1+rng.Int64N(9)
	}
	return r
}
