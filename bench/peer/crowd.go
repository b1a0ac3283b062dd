package peer

import (
	"context"
	"time"
)

// Crowd is a system with many members, such as connected clients, which live in the driver's process.
type Crowd interface {
	// Name and Module are those of [Peer].
	Name() string
	Module() string
	// Servers is how many processes there are beside the driver.
	Servers() int
	// Serve opens a server for so many members. Before holds what the servers that were opened earlier tell.
	Serve(ctx context.Context, before []string, members int) (Server, error)
	// Gather opens the driver, with what all servers tell, and no member.
	Gather(ctx context.Context, before []string) (Gathering, error)
}

// Gathering is the driver of a Crowd.
type Gathering interface {
	// Add brings in more members. When it returns, they are in.
	Add(ctx context.Context, members int) error
	// Close ends all members and waits for them.
	Close(ctx context.Context) error
}

// Shouter is a Gathering whose members all receive what one says.
type Shouter interface {
	// Shout has something said, so many bytes long, and returns when it was: not when it has arrived. Heard is called
	// for each member that has received it, with when it was said, on any goroutine, until the Gathering is closed.
	Shout(ctx context.Context, payload int) error
	// Hear sets who hears. It is called before the first member comes.
	Hear(heard func(said time.Time))
}

// Weighed is a Crowd whose members are weighed in the driver's process, and not in the first server's.
type Weighed interface {
	// WeighDriver says so.
	WeighDriver() bool
}
