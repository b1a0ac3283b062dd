package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/client/goverseclient"
	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

const (
	shownMessages = 50 // how many /messages shows
	maxPages      = 50 // how often it polls at most, whatever is said meanwhile
)

// What is refused without asking the server.
var (
	errNotInRoom    = errors.New("you are not in a room: /join one first")
	errNoRoomGiven  = errors.New("/join needs the name of a room: /join <room>")
	errNotConnected = errors.New("the connection is lost; try again when it is back")
)

const help = `/list         list the rooms there are
/join <room>  enter a room, or make it; lines are sent there from then on
/messages     show the room's newest 50 messages
/help         show this
/quit         leave the chat, as the end of the input does
Any other line is sent to the room you joined last.`

const terminalHelp = `When a message interrupts what you type, Ctrl-R shows your line again.`

// obey does what a line says; quit tells that it was /quit.
func (c *chat) obey(ctx context.Context, l line) (quit bool) {
	if l.problem != "" {
		c.screen.problem("%s: not sent", l.problem)
		return false
	}
	if strings.TrimSpace(l.text) == "" {
		return false
	}
	if !strings.HasPrefix(l.text, "/") {
		c.report(c.say(ctx, l.text))
		return false
	}
	command, argument, _ := strings.Cut(l.text, " ")
	switch command {
	case "/list":
		c.report(c.list(ctx))
	case "/join":
		c.report(c.join(ctx, strings.TrimSpace(argument)))
	case "/messages":
		c.report(c.messages(ctx))
	case "/help":
		c.help()
	case "/quit":
		return true
	default:
		c.screen.problem("unknown command %s: /help lists the commands", command)
	}
	return false
}

func (c *chat) report(err error) {
	if err != nil {
		c.screen.problem("%v", err)
	}
}

func (c *chat) help() {
	for text := range strings.Lines(help) {
		c.screen.detail("%s", strings.TrimSpace(text))
	}
	if c.terminal {
		c.screen.detail("%s", terminalHelp)
	}
}

// call calls the server and returns errors in words.
func call[Resp interface {
	comparable
	proto.Message
}](ctx context.Context, c *chat, method string, req proto.Message,
) (Resp, error) {
	var none Resp
	if c.conn == nil {
		return none, errNotConnected
	}
	ctx, cancel := context.WithTimeout(ctx, c.callTimeout)
	defer cancel()
	resp, err := goverseclient.Call[Resp](ctx, c.conn.Client, method, req)
	if err != nil {
		return none, inWords(err, c.callTimeout)
	}
	return resp, nil
}

// list shows the rooms.
func (c *chat) list(ctx context.Context) error {
	resp, err := call[*chat_pb.Client_ListChatRoomsResponse](ctx, c, "ListChatRooms", &chat_pb.Client_ListChatRoomsRequest{})
	if err != nil {
		return err
	}
	rooms := resp.GetChatRooms()
	if len(rooms) == 0 {
		c.screen.notice("there are no rooms yet: /join one to make it")
		return nil
	}
	c.screen.notice("%s:", count(len(rooms), "room"))
	for _, room := range rooms {
		switch {
		case room == c.current:
			c.screen.detail("%s (current)", room)
		case slices.Contains(c.rooms, room):
			c.screen.detail("%s (joined)", room)
		default:
			c.screen.detail("%s", room)
		}
	}
	return nil
}

// join enters a room and shows what was said there last.
func (c *chat) join(ctx context.Context, room string) error {
	if room == "" {
		return errNoRoomGiven
	}
	resp, err := c.enter(ctx, room)
	if err != nil {
		return fmt.Errorf("cannot join %s: %w", room, err)
	}
	c.entered(room)
	c.screen.notice("joined %s as %s: %s", room, c.user, count(len(resp.GetRecentMessages()), "recent message"))
	c.showAll(room, resp.GetRecentMessages())
	c.place(room).said = nil // it is among these, or before
	return nil
}

func (c *chat) enter(ctx context.Context, room string) (*chat_pb.Client_JoinChatRoomResponse, error) {
	return call[*chat_pb.Client_JoinChatRoomResponse](ctx, c, "Join", &chat_pb.Client_JoinChatRoomRequest{RoomName: room, UserName: c.user})
}

// say sends a message to the current room.
func (c *chat) say(ctx context.Context, text string) error {
	if c.current == "" {
		return errNotInRoom
	}
	_, err := call[*chat_pb.Client_SendChatMessageResponse](ctx, c, "SendMessage",
		&chat_pb.Client_SendChatMessageRequest{RoomName: c.current, UserName: c.user, Message: text})
	switch {
	case err == nil:
		c.place(c.current).hasSaid(text)
		return nil
	case mayHaveRun(err):
		return fmt.Errorf("your message may not have been sent: %w", err)
	}
	return fmt.Errorf("your message was not sent: %w", err)
}

// messages shows the newest messages of the current room, own ones too.
func (c *chat) messages(ctx context.Context) error {
	if c.current == "" {
		return errNotInRoom
	}
	var newest []*chat_pb.ChatMessage
	err := c.poll(ctx, c.current, 0, func(page []*chat_pb.ChatMessage) {
		newest = append(newest, page...)
		newest = newest[max(0, len(newest)-shownMessages):]
	})
	if err != nil {
		return err
	}
	if len(newest) == 0 {
		c.screen.notice("no messages in %s yet", c.current)
		return nil
	}
	c.screen.notice("%s in %s:", count(len(newest), "message"), c.current)
	c.showAll(c.current, newest)
	c.place(c.current).said = nil // as after a join
	return nil
}

// count is "no rooms", "1 room" or "2 rooms".
func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
