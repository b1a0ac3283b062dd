// Package object is the vocabulary of GoVerse: what an object is, how it is
// named, which methods it offers, what can go wrong, and what an object may ask
// of the runtime that hosts it.
//
// It is a leaf. It starts no goroutine, does no I/O, keeps no package state and
// imports nothing else of this module, so every other package can speak it:
//
//   - [ParseID] splits and checks an object ID, "<Type>-<name>".
//   - [Registry] holds the registered types; registration finds a type's methods
//     once and reports near misses with the reason.
//   - [BaseObject] and [BaseClient] are embedded by user types.
//   - [Runtime] is what a hosting server offers; it travels in the context
//     ([NewContext], [FromContext]), so several servers live in one process.
//   - [Error] is the one error type, with a [Code], a [Reason] and the answer to
//     the question a caller must ask after a failure: [Executed].
package object
