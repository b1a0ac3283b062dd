// Package watch is an inspector as a benchmark uses it: [Run] is one in this process, and a [Page] asks one for what its
// web page would ask for, over HTTP, and reads its streams.
//
// Run owns the goroutine of its inspector and waits for it; a Page owns none but those of its HTTP client, which
// [Page.Close] ends.
package watch
