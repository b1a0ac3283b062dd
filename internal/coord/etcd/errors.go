package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"

	"github.com/xiaonanln/goverse/internal/coord"
)

// verdict is what is known about a request.
type verdict int

const (
	done    verdict = iota // there is nothing more to say: it was carried out or refused, or its caller has left
	unsent                 // it was certainly not carried out, but another endpoint may do it
	unknown                // it may have been carried out
)

// errLogin marks the error of a login that was to save a request.
var errLogin = errors.New("log in")

// judge tells the error of a request in the words of package coord.
func judge(err error) (verdict, error) {
	if known := refusal(err); known != nil {
		return done, known
	}
	etcd := rpctypes.Error(err)
	v := unknown
	known := coord.ErrUnavailable
	switch {
	case errors.Is(err, errLogin), errors.Is(etcd, rpctypes.ErrNoLeader), errors.Is(etcd, rpctypes.ErrTooManyRequests):
		v = unsent // said before anything is done
	case errors.Is(etcd, rpctypes.ErrPermissionDenied), errors.Is(etcd, rpctypes.ErrNoSpace):
		v, known = done, coord.ErrRefused
	case outdated(err):
		v = done
	}
	return v, fmt.Errorf("%w: %w", known, etcd)
}

// refusal is the error of package coord for what etcd says about a request that can never work; nil for all else.
func refusal(err error) error {
	etcd := rpctypes.Error(err)
	var known error
	switch {
	case errors.Is(etcd, rpctypes.ErrCompacted):
		known = coord.ErrCompacted
	case errors.Is(etcd, rpctypes.ErrFutureRev):
		known = coord.ErrFutureRev
	case errors.Is(etcd, rpctypes.ErrLeaseNotFound):
		known = coord.ErrLeaseNotFound
	case errors.Is(etcd, rpctypes.ErrTooManyOps):
		known = coord.ErrTooManyOps
	case errors.Is(etcd, rpctypes.ErrDuplicateKey):
		known = coord.ErrDuplicateKey
	case errors.Is(etcd, rpctypes.ErrAuthFailed):
		known = coord.ErrInvalid
	case outdated(err):
		return nil
	default:
		e, ok := errors.AsType[rpctypes.EtcdError](etcd)
		if !ok || e.Code() != codes.InvalidArgument && e.Code() != codes.OutOfRange {
			return nil
		}
		known = coord.ErrInvalid
	}
	return fmt.Errorf("%w: %w", known, etcd)
}

// answered says whether etcd itself has answered, be it with an error.
func answered(err error) bool {
	_, etcd := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err))
	return err == nil || etcd
}

// outdated says whether a request was refused for its token, which a new login makes good.
func outdated(err error) bool {
	etcd := rpctypes.Error(err)
	return errors.Is(etcd, rpctypes.ErrInvalidAuthToken) || errors.Is(etcd, rpctypes.ErrAuthOldRevision) ||
		errors.Is(etcd, rpctypes.ErrUserEmpty)
}

// explain tells the error of an endpoint that could not be entered.
func explain(err error) error {
	if errors.Is(err, coord.ErrInvalid) || errors.Is(err, coord.ErrUnavailable) || errors.Is(err, coord.ErrRefused) {
		return err
	}
	if errors.Is(rpctypes.Error(err), rpctypes.ErrUserEmpty) {
		return fmt.Errorf("%w: it wants a user name and a password", coord.ErrInvalid)
	}
	_, err = judge(err)
	return err
}

// ended is what ended ctx, with what it made of the request.
func ended(ctx context.Context, err error) error {
	if err == nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w (%w)", ctx.Err(), err)
}
