//go:build linux

package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/xiaonanln/goverse/internal/chaos/record"
)

// Apply is the specification of the objects: what a method does to a value, and answers.
type Apply func(method string, value, a, b int64) (next, answer int64)

// Linearizable checks that the turns of each lineage can be put in one order that respects
// the times of the calls and explains every answer (I4). A turn that was answered happened
// while its caller waited, any other while it ran. Patience is for one lineage; a check
// that takes longer counts as failed.
func (h *History) Linearizable(apply Apply, patience time.Duration) []Violation {
	type key struct{ object, lineage string }
	histories := map[key][]porcupine.Operation{}
	for _, t := range h.Turns {
		op := porcupine.Operation{Input: t, Call: int64(t.Start), Output: t.Value, Return: int64(t.End)}
		if c, answered := h.answer[t.Turn]; answered {
			op.Call, op.Return = int64(c.Start), int64(c.End)
		}
		k := key{t.Object, t.Lineage}
		op.ClientId = len(histories[k])
		histories[k] = append(histories[k], op)
	}
	model := specification(apply)
	var found []Violation
	for k, ops := range histories {
		switch porcupine.CheckOperationsTimeout(model, ops, patience) {
		case porcupine.Ok:
		case porcupine.Unknown:
			found = append(found, violation("I4", k.object, "lineage %s: %d turns could not be checked in %v", k.lineage, len(ops), patience))
		default:
			found = append(found, violation("I4", k.object, "lineage %s: no order explains its %d turns", k.lineage, len(ops)))
		}
	}
	slices.SortFunc(found, func(a, b Violation) int { return compare(a.Object, b.Object) })
	return found
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

func specification(apply Apply) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return int64(0) },
		Step: func(state, input, output any) (bool, any) {
			value, okV := state.(int64)
			turn, okT := input.(record.Entry)
			next, answer := apply(turn.Method, value, turn.A, turn.B)
			return okV && okT && answer == output, next
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v → %v", input, output) },
	}
}
