//go:build linux

package workload

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/chaos/record"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// Types registers the types of the objects with a registry.
func Types(registry *object.Registry) error {
	reads := object.Concurrency(object.ReadOnly, "Look")
	for name, prototype := range map[string]object.Object{
		Register: (*cell)(nil), Counter: (*cell)(nil), Log: (*cell)(nil), Kept: (*kept)(nil),
	} {
		if err := registry.RegisterObjectType(prototype, object.TypeName(name), reads); err != nil {
			return fmt.Errorf("register %s: %w", name, err)
		}
	}
	return nil
}

// cell is an object with one value.
type cell struct {
	object.BaseObject

	clock   clock.Clock
	life    string
	lineage string
	value   int64
	turns   int
}

// OnActivate begins a life.
func (c *cell) OnActivate(context.Context) error {
	now, err := record.Now()
	if err != nil {
		return err
	}
	c.clock, c.life = clock.System(), rand.Text()[:12]
	if c.lineage == "" {
		c.lineage = c.life
	}
	return record.Append(&record.Entry{Kind: record.Begin, Object: c.ID(), Life: c.life, Lineage: c.lineage, Value: c.value, Start: now})
}

// OnDeactivate ends it.
func (c *cell) OnDeactivate(_ context.Context, reason object.DeactivateReason) error {
	now, err := record.Now()
	if err != nil {
		return err
	}
	return record.Append(&record.Entry{Kind: record.End, Object: c.ID(), Life: c.life, Lineage: c.lineage, Value: c.value, Start: now, Text: reason.String()})
}

// Do carries out a request. It takes the time that it is told to, whatever becomes of its
// context: the worst that an object can do.
func (c *cell) Do(_ context.Context, req *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	var r Request
	if err := unpack(req, &r); err != nil {
		return nil, err
	}
	c.turns++
	return c.run(r, fmt.Sprintf("%s.%d", c.life, c.turns))
}

// Look is Do for reading.
func (c *cell) Look(_ context.Context, req *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	var r Request
	if err := unpack(req, &r); err != nil {
		return nil, err
	}
	r.Method = Read
	return c.run(r, c.life+"."+rand.Text()[:12])
}

func (c *cell) run(r Request, turn string) (*wrapperspb.BytesValue, error) {
	start, err := record.Now()
	if err != nil {
		return nil, err
	}
	before := c.value
	c.pause(r.Takes)
	next, answer := Apply(r.Method, before, r.A, r.B)
	if r.Method != Read {
		c.value = next
	}
	end, err := record.Now()
	if err != nil {
		return nil, err
	}
	e := &record.Entry{
		Kind: record.Turn, Object: c.ID(), Op: r.Op, Method: r.Method, A: r.A, B: r.B, Value: answer,
		Life: c.life, Lineage: c.lineage, Turn: turn, Start: start, End: end,
	}
	if err := record.Append(e); err != nil {
		return nil, err
	}
	return pack(Reply{Value: answer, Life: c.life, Lineage: c.lineage, Turn: turn})
}

// step is how long a turn works before it looks at the clock again: in a process that
// stood still meanwhile, what is left of the turn is done afterwards.
const step = 10 * time.Millisecond

func (c *cell) pause(d time.Duration) {
	for ; d > 0; d -= step {
		<-c.clock.NewTimer(min(d, step)).C
	}
}

// kept is a cell that takes its memory along when it moves.
type kept struct{ cell }

// memory is what it takes along.
type memory struct {
	Lineage string `json:"g"`
	Value   int64  `json:"v"`
}

// OnSnapshot hands the memory out.
func (k *kept) OnSnapshot(context.Context) (proto.Message, error) {
	return pack(memory{Lineage: k.lineage, Value: k.value})
}

// OnRestore takes it back.
func (k *kept) OnRestore(_ context.Context, state proto.Message) error {
	var m memory
	if err := unpack(state, &m); err != nil {
		return err
	}
	k.lineage, k.value = m.Lineage, m.Value
	return nil
}
