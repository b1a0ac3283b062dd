// Package forms knows the messages of a cluster's methods, as nodes describe them: for forms
// to fill in, and to turn JSON into a request and a reply into JSON. What nodes tell is
// bounded: so many files, messages and levels, and recursion ends where it began.
//
// It starts no goroutine; its methods are safe for concurrent use.
package forms
