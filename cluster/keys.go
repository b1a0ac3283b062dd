package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// keys names the keys of one cluster.
type keys struct{ prefix string }

// The folders and single keys below a cluster's prefix.
const (
	metaKey      = "meta"
	allocatorKey = "allocator"
	nodesFolder  = "nodes/"
	shardsFolder = "shards/"
	movesFolder  = "moves/"
	drainsFolder = "drains/"
)

func keysOf(cluster string) keys { return keys{"/goverse/" + cluster + "/"} }

func (k keys) meta() string           { return k.prefix + metaKey }
func (k keys) allocator() string      { return k.prefix + allocatorKey }
func (k keys) node(id string) string  { return k.prefix + nodesFolder + id }
func (k keys) shard(n uint32) string  { return fmt.Sprintf("%s%s%04d", k.prefix, shardsFolder, n) }
func (k keys) move(n uint32) string   { return fmt.Sprintf("%s%s%04d", k.prefix, movesFolder, n) }
func (k keys) drain(id string) string { return k.prefix + drainsFolder + id }
func (k keys) in(folder, key string) (string, bool) {
	return strings.CutPrefix(strings.TrimPrefix(key, k.prefix), folder)
}

// number reads the shard that a key of a folder is about.
func number(name string, shards int) (uint32, bool) {
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil || n >= uint64(shards) || fmt.Sprintf("%04d", n) != name { //nolint:gosec // G115: positive
		return 0, false
	}
	return uint32(n), true
}
