package inspection

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/xiaonanln/goverse/object"
)

// rescue, deferred, makes of a panic in what an inspector asked for its error: the node lives.
func (s *Service) rescue(ctx context.Context, asked string, err *error) {
	if reason := recover(); reason != nil {
		*err = toStatus(s.crashed(ctx, asked, reason))
	}
}

// crashed writes a panic down, and is the error of what was asked.
func (s *Service) crashed(ctx context.Context, asked string, reason any) error {
	s.cfg.Logger.ErrorContext(ctx, "inspection panicked", "asked", asked, "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
	return object.NewError(object.CodeInternal, "the node failed to "+asked+": see its log")
}
