package main

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"
)

// The pauses between attempts to reconnect.
const (
	firstPause = 250 * time.Millisecond
	maxPause   = 8 * time.Second
)

// backOff is the pause before an attempt: it doubles, and is shortened at random by up
// to half, so that the clients of a restarted server do not come all at once.
func backOff(attempt int) time.Duration {
	pause := maxPause
	if attempt < 10 { // 250 ms << 10 is more than the maximum
		pause = min(firstPause<<attempt, maxPause)
	}
	return pause - rand.N(pause/2) //nolint:gosec // no secret
}

// redial is a goroutine that dials until it is connected.
type redial struct {
	cancel context.CancelFunc
	conn   chan *connection // gets the connection, or nil when it was cancelled
}

// startRedial dials the servers in turn, beginning with one of them.
func startRedial(ctx context.Context, opts options, first int) *redial {
	ctx, cancel := context.WithCancel(ctx)
	r := &redial{cancel, make(chan *connection, 1)}
	go func() { r.conn <- dialUntilConnected(ctx, opts, first) }()
	return r
}

// end stops dialling, and returns the connection if one was made just now.
func (r *redial) end() *connection {
	r.cancel()
	return <-r.conn
}

// dialUntilConnected returns nil when ctx ends before. There is a pause before each
// round through the servers.
func dialUntilConnected(ctx context.Context, opts options, first int) *connection {
	for round := 0; ; round++ {
		timer := time.NewTimer(opts.pause(round))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		for i := range opts.servers {
			at := (first + i) % len(opts.servers)
			if conn, err := dial(ctx, opts.servers[at]); err == nil {
				return &connection{conn, at}
			}
		}
	}
}

// disconnected begins to reconnect, unless the server does not want the user.
func (c *chat) disconnected(ctx context.Context) error {
	<-c.conn.Done() // right after the end of the pushes; only then Err is set
	err := c.conn.Err()
	_ = c.conn.Close()
	next := c.conn.at + 1
	c.conn = nil
	if thrownOut(err) {
		return inWords(err, 0)
	}
	c.screen.notice("connection lost%s, reconnecting…", whyLost(err))
	c.redial = startRedial(ctx, c.options, next)
	return nil
}

// redialed is the channel of the connection to come; nil when none is awaited.
func (c *chat) redialed() <-chan *connection {
	if c.redial == nil {
		return nil
	}
	return c.redial.conn
}

// reconnected goes on with a new connection. To the server this is a new client: it
// joins its rooms again and shows what others said there meanwhile.
func (c *chat) reconnected(ctx context.Context, conn *connection) {
	c.redial.cancel()
	c.redial, c.conn = nil, conn
	if conn == nil {
		return // ctx has ended
	}
	rooms := c.rooms
	c.rooms = nil
	for _, room := range rooms {
		resp, err := c.enter(ctx, room)
		if err != nil && !connectionLost(err) {
			c.screen.problem("cannot join %s again: %v", room, err)
			if room == c.current {
				c.current = ""
			}
			continue
		}
		c.rooms = append(c.rooms, room) // one that got lost again is joined after the next attempt
		if err == nil {
			c.catchUp(ctx, room, resp.GetRecentMessages())
		}
	}
	where := ""
	if len(c.servers) > 1 {
		where = " to " + c.servers[conn.at]
	}
	if len(c.rooms) > 0 {
		where += ", in " + strings.Join(c.rooms, ", ")
	}
	c.screen.notice("connected again%s", where)
}
