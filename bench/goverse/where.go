package goverse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// settleTimeout bounds how long a cluster of two may take to share out its shards.
	settleTimeout = 60 * time.Second
	// settlePause is the rest between two looks at where objects are, quietLooks how many must show the same: while shards
	// move, some do so all the time, on a busy machine too.
	settlePause = 300 * time.Millisecond
	quietLooks  = 5
	// sampled is how many names are looked at. Of an even share they show 512, give or take 16.
	sampled = 1024
	// evenShare is the least of them that must be elsewhere.
	evenShare = sampled * 45 / 100
)

// findThere waits until a cluster has shared out its shards, and returns IDs with a prefix, of objects that live there,
// by what they say themselves.
func findThere(ctx context.Context, prefix string, objects int, there func(ctx context.Context, id string) (bool, error)) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := settle(ctx, prefix, there); err != nil {
		return nil, err
	}
	var ids []string
	for from := 0; len(ids) < objects; from += objects {
		candidates := make([]string, objects)
		for i := range candidates {
			candidates[i] = prefix + strconv.Itoa(from+i)
		}
		yes, err := places(ctx, candidates, there)
		if err != nil {
			return nil, err
		}
		for i, id := range candidates {
			if yes[i] && len(ids) < objects {
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

// settle waits until half of a sample, or nearly, lives elsewhere, and nothing has moved for a while.
func settle(ctx context.Context, prefix string, there func(ctx context.Context, id string) (bool, error)) error {
	again := time.NewTicker(settlePause)
	defer again.Stop()
	sample := make([]string, sampled)
	for i := range sample {
		sample[i] = prefix + "sample" + strconv.Itoa(i)
	}
	var last []bool
	for quiet := 0; ; {
		found, err := places(ctx, sample, there)
		if err != nil {
			return fmt.Errorf("wait for the cluster to settle: %w", err)
		}
		elsewhere := 0
		for _, yes := range found {
			if !yes {
				elsewhere++
			}
		}
		if quiet++; elsewhere < evenShare || !slices.Equal(found, last) {
			quiet = 1
		}
		if last = found; quiet == quietLooks {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the cluster to settle: %d of %d objects are elsewhere: %w", elsewhere, sampled, ctx.Err())
		}
	}
}

// places asks many objects whether they live there, some at a time.
func places(ctx context.Context, ids []string, there func(ctx context.Context, id string) (bool, error)) ([]bool, error) {
	const atOnce = 32
	found := make([]bool, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, id := range ids {
		group.Go(func() error {
			var err error
			if found[i], err = there(ctx, id); err != nil {
				return fmt.Errorf("look where %s is: %w", id, err)
			}
			return nil
		})
	}
	return found, group.Wait()
}

// auditThere asks every object where it lives, and its counter by one more call: an object that has moved has forgotten
// its calls, and one that was called elsewhere shows it.
func auditThere(ctx context.Context, ids []string, made int64, there func(ctx context.Context, id string) (bool, error),
	bump func(ctx context.Context, caller, object int) (int64, error),
) error {
	found, err := places(ctx, ids, there)
	if err != nil {
		return err
	}
	var sum int64
	for i, id := range ids {
		if !found[i] {
			return fmt.Errorf("%s has moved while it was measured", id)
		}
		v, err := bump(ctx, 0, i)
		if err != nil {
			return fmt.Errorf("read %s: %w", id, err)
		}
		sum += v - 1
	}
	if sum != made {
		return fmt.Errorf("the counters show %d calls, but %d were made", sum, made)
	}
	return nil
}
