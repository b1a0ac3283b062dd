// Package model is what an inspector knows of a cluster: the records of its members and
// shards, and what the nodes tell of themselves, merged second by second. It keeps ten
// minutes of points, the last thousand events, and what calls whom for as long as
// somebody asks. All that it keeps is bounded, whatever nodes tell.
//
// The shapes that it answers with are those of docs/inspector-api.md. It does no I/O and
// starts no goroutine: who owns a Model calls Tick, each second while somebody looks.
package model
