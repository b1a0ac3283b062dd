// Package fleet runs the processes of a benchmark: this program, started again with other arguments, that does what it
// is told over its standard input and answers over its standard output, one JSON value each.
//
// No process is left behind. A [Process] is killed when the context that it was started with ends; and [Obey], which a
// started process runs, ends when its input does, as it does when whoever started it is gone, however it went.
//
// A Process is used by one goroutine at a time. It owns those that copy what the process writes to standard error. Obey
// owns the one that reads its input.
package fleet
