// Package links keeps an inspector's connections to the nodes of a cluster: one for each
// member, over which the node tells about itself for as long as it is one. A node that
// does not answer is asked again, ever more slowly, and shown as unreachable meanwhile.
//
// Links owns a goroutine for each stream of a node (one, and one for each interest) and
// one for each object in focus; Serve waits for them.
package links
