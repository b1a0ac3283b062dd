package goverseapi_test

import (
	"errors"
	"testing"

	"github.com/xiaonanln/goverse/goverseapi"
)

// Each reason is the one of its sentinel.
func TestReasons(t *testing.T) {
	t.Parallel()
	for reason, sentinel := range map[goverseapi.Reason]error{
		goverseapi.NotRegistered: goverseapi.ErrNotRegistered,
		goverseapi.UnknownMethod: goverseapi.ErrUnknownMethod,
		goverseapi.Deadlock:      goverseapi.ErrDeadlock,
		goverseapi.KeyReused:     goverseapi.ErrKeyReused,
		goverseapi.Overloaded:    goverseapi.ErrOverloaded,
		goverseapi.Fenced:        goverseapi.ErrFenced,
	} {
		e, ok := errors.AsType[*goverseapi.Error](sentinel)
		if !ok || e.Reason != reason {
			t.Errorf("%v has not the reason %s", sentinel, reason)
		}
	}
}
