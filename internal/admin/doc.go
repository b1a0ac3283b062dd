// Package admin is what a server tells the operators of its machine over HTTP: metrics for
// Prometheus, whether it lives and whether it is ready, and Go's profiles. It reads and
// changes nothing, but profiles show what is in memory: it is for the loopback interface,
// answers only who asked for that, and refuses what a browser was led to it with.
//
// What one asker can cost is bounded: connections, profiles at a time and their length,
// headers, and the time that reading and writing take. [Service.Serve] owns all goroutines
// and waits for them.
//
// It knows nothing of servers: what it tells comes from the functions of [Config], which
// any goroutine may call at any time.
package admin
