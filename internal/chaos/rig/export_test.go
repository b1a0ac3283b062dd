//go:build linux

package rig

// OwnerOf is ownerOf.
var OwnerOf = ownerOf
