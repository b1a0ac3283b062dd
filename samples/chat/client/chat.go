package main

import (
	"context"
	"io"
	"slices"

	"google.golang.org/protobuf/proto"

	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// chat is one run of the client: what it is connected to, and where in it the user is.
// It belongs to one goroutine, the one that calls run.
type chat struct {
	options

	screen *screen
	conn   *connection // nil while the connection is broken
	redial *redial     // nil while it is not

	rooms   []string          // joined, in that order
	current string            // the room joined last; empty before
	places  map[string]*place // by room
}

func newChat(opts options, conn *connection, out io.Writer) *chat {
	return &chat{
		options: opts, conn: conn, places: make(map[string]*place),
		screen: &screen{out: out, terminal: opts.terminal, location: opts.location},
	}
}

// close ends the connection, and the attempts to make one.
func (c *chat) close() {
	if c.redial != nil {
		c.conn = c.redial.end()
		c.redial = nil
	}
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// run does what the user's lines say and shows what the server pushes, one after the
// other, until the input ends (nil), the user quits (nil), the server throws the user
// out, or ctx ends.
func (c *chat) run(ctx context.Context, in io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := readLines(ctx, in)
	c.screen.notice("connected to %s as %s; /help lists the commands", c.servers[c.conn.at], c.user)
	for {
		c.screen.prompt(c.where())
		select {
		case l, ok := <-lines:
			if err := c.showWaiting(ctx); err != nil { // they came before this line
				return err
			}
			if ok {
				c.screen.entered()
			}
			if !ok || c.obey(ctx, l) {
				c.screen.end()
				c.showLast()
				return nil
			}
		case msg, ok := <-c.pushes():
			if err := c.receive(ctx, msg, ok); err != nil {
				return err
			}
		case conn := <-c.redialed():
			c.reconnected(ctx, conn)
		case <-ctx.Done():
			c.screen.end()
			return ctx.Err()
		}
	}
}

// where is what the prompt says.
func (c *chat) where() string {
	if c.conn == nil {
		return "(not connected) " + c.current
	}
	return c.current
}

// pushes is the channel of what the server pushes; nil without a connection.
func (c *chat) pushes() <-chan proto.Message {
	if c.conn == nil {
		return nil
	}
	return c.conn.Pushes()
}

// showWaiting shows the pushes that have come already.
func (c *chat) showWaiting(ctx context.Context) error {
	for {
		select {
		case msg, ok := <-c.pushes():
			if err := c.receive(ctx, msg, ok); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// showLast shows the pushes that have come already, at the end.
func (c *chat) showLast() {
	for {
		select {
		case msg, ok := <-c.pushes():
			if !ok {
				return
			}
			c.showPush(msg)
		default:
			return
		}
	}
}

// receive shows a push; without one, the connection has ended.
func (c *chat) receive(ctx context.Context, msg proto.Message, ok bool) error {
	if !ok {
		return c.disconnected(ctx)
	}
	c.showPush(msg)
	return nil
}

func (c *chat) showPush(msg proto.Message) {
	push, ok := msg.(*chat_pb.Client_MessagePush)
	if !ok { // newer servers may push more
		return
	}
	room, said := push.GetRoomName(), push.GetMessage()
	if _, shown := c.place(room).shown[said.GetTimestamp()]; !shown {
		c.show(room, said)
	}
}

// show shows a message, with its room unless that is the current one.
func (c *chat) show(room string, msg *chat_pb.ChatMessage) {
	p := c.place(room)
	p.seen = max(p.seen, msg.GetTimestamp())
	if room == c.current {
		room = ""
	}
	c.screen.message(room, msg)
}

// entered keeps in mind that a room was joined.
func (c *chat) entered(room string) {
	if !slices.Contains(c.rooms, room) {
		c.rooms = append(c.rooms, room)
	}
	c.current = room
}
