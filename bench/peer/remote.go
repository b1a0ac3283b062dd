package peer

import "context"

// Remote is a system whose callers and objects live in different processes: one or more servers, and the driver,
// where the callers are. Each part is opened in a process of its own, the servers first, one after the other.
type Remote interface {
	// Name and Module are those of [Peer].
	Name() string
	Module() string
	// Servers is how many processes there are beside the driver.
	Servers() int
	// Serve opens a server. Before holds what the servers that were opened earlier tell.
	Serve(ctx context.Context, before []string, opt RemoteOptions) (Server, error)
	// Drive opens the driver, with what all servers tell. When it returns, every object answers, and on a server.
	Drive(ctx context.Context, before []string, opt RemoteOptions) (Driver, error)
}

// Limited is a Remote that does not serve any number of callers at once.
type Limited interface {
	// MostCallers is how many it serves.
	MostCallers() int
}

// RemoteOptions say what a driver and its servers must be ready for.
type RemoteOptions struct {
	// Objects and Callers are those of [Options], the most there will be.
	Objects int
	Callers int
	// Payload is the largest payload, in bytes.
	Payload int
	// Short asks for what starts quickly, because no time is judged.
	Short bool
}

// Server is an opened server.
type Server interface {
	// Tell is what those opened later need to know, such as an address.
	Tell() string
	// Close stops the server and waits for it.
	Close(ctx context.Context) error
}

// Driver is a Target whose objects are on a server. Its Call compares the payload that comes back with its own.
type Driver interface {
	Target
	// Resize sets the payload of later calls, in bytes. No call is under way.
	Resize(payload int)
}

// Auditor is a Driver that can tell whether its objects are where they were and have counted right.
type Auditor interface {
	// Audit compares with the calls that were made since the driver was opened. No call is under way.
	Audit(ctx context.Context, made int64) error
}
