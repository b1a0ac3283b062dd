package tally_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/util/tally"
)

func TestWaitReturnsWhenNothingIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var work tally.Tally
		if err := work.Wait(t.Context()); err != nil {
			t.Errorf("nothing has begun: %v", err)
		}
		work.Begin()
		work.Begin()
		waited := make(chan error, 2)
		for range 2 {
			go func() { waited <- work.Wait(t.Context()) }()
		}
		synctest.Wait()
		work.End()
		synctest.Wait()
		if len(waited) != 0 {
			t.Error("one is still under way")
		}
		work.End()
		work.Begin() // those who waited saw the moment before
		for range 2 {
			if err := <-waited; err != nil {
				t.Error(err)
			}
		}
		work.End()
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	var work tally.Tally
	work.Begin()
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := work.Wait(ctx); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	work.End()
	if err := work.Wait(ctx); err != nil {
		t.Errorf("nothing is under way: %v", err)
	}
}
