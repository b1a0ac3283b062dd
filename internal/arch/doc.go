// Package arch holds the rules of the repository that no linter can state, as
// tests: which package may import which, that every package says what it is
// for, that every goroutine stands on a list with its reason, that mutable
// globals live in one file, that the core reads the clock through one seam, that
// the README's code compiles and its commands exist, and that the tests which
// the guarantees name exist.
//
// The package is empty outside its tests and starts no goroutine. Each family
// of rules has a file of its own; each rule is a function over parsed sources,
// so that it is also tried on planted violations: a rule that cannot fail
// proves nothing.
//
// goroutines.txt is the list of the files that may start goroutines.
package arch
