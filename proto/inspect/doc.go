// Package inspectpb is what a node tells an inspector about itself, and what an inspector
// asks of a node: generated from inspect.proto, which documents it.
package inspectpb
