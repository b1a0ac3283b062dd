package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Do is one thing that a process can be told to do. What it returns is the answer.
type Do func(ctx context.Context, args json.RawMessage) (any, error)

// ErrUnknown is answered to what a process cannot do.
var ErrUnknown = errors.New("this process cannot do that")

// Obey does what comes in, one after the other, until the input ends or ctx does. The context of what is being done then
// ends too. The error is that an answer could not be written.
func Obey(ctx context.Context, in io.Reader, out io.Writer, can map[string]Do) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	requests := make(chan request)
	go func() {
		// It ends with the input: nobody can take it away from a reader before.
		defer cancel()
		defer close(requests)
		for decoder := json.NewDecoder(in); ; {
			var r request
			if err := decoder.Decode(&r); err != nil {
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case r, ok := <-requests:
			if !ok {
				return nil
			}
			if err := json.NewEncoder(out).Encode(carryOut(ctx, can, r)); err != nil {
				return fmt.Errorf("answer %s: %w", r.Op, err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func carryOut(ctx context.Context, can map[string]Do, r request) reply {
	do := can[r.Op]
	if do == nil {
		return reply{Error: fmt.Sprintf("%v: %s", ErrUnknown, r.Op)}
	}
	value, err := do(ctx, r.Args)
	if err != nil {
		return reply{Error: err.Error()}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return reply{Error: err.Error()}
	}
	return reply{Value: text}
}

// With makes a Do of a function whose arguments have a type.
func With[Args any](f func(ctx context.Context, args Args) (any, error)) Do {
	return func(ctx context.Context, text json.RawMessage) (any, error) {
		var args Args
		if err := json.Unmarshal(text, &args); err != nil {
			return nil, fmt.Errorf("read arguments: %w", err)
		}
		return f(ctx, args)
	}
}
