// Package planted says which guards the build leaves out, for those who wire parts that
// have some: none, but in builds with the tag goverse_flaws. It starts no goroutine.
package planted
