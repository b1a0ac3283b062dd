//go:build !goverse_flaws

package planted

import "github.com/xiaonanln/goverse/internal/shard"

// Flaws are the guards that this build leaves out: none.
func Flaws() shard.Flaws { return shard.Flaws{} }
