// Package shard holds the pure rules of shard ownership: which shard an object
// belongs to. It has no clock, no I/O and no goroutine.
package shard

import "github.com/cespare/xxhash/v2"

// DefaultCount is the number of shards of a cluster. All its nodes must agree.
const DefaultCount = 8192

// Of returns the shard of an object ID, 0 to count-1: xxHash64 of the ID's bytes
// modulo count. The hash is stable for ever: data written by one version is found
// by every other (https://github.com/Cyan4973/xxHash, seed 0).
func Of(id string, count int) uint32 {
	hash, n := xxhash.Sum64String(id), uint64(count) //nolint:gosec // G115: positive
	if n&(n-1) == 0 {
		return uint32(hash & (n - 1)) //nolint:gosec // G115: less than count; the same without a division
	}
	return uint32(hash % n) //nolint:gosec // G115: less than count
}
