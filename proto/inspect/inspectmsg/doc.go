// Package inspectmsg is what a node tells an inspector about itself, without the service
// that carries it: generated from message.proto, which documents it. Package inspectpb has
// the same types by the same names, and the service.
package inspectmsg
