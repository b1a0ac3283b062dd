package main

import (
	"context"
	"slices"

	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

const (
	shownMissed = 200  // how many missed messages of a room are shown
	keptInRoom  = 1000 // how many a room keeps: what is older is gone
)

// place is where in a room the user is.
type place struct {
	seen  int64              // the timestamp of the newest message shown, or known to be the user's own
	shown map[int64]struct{} // the timestamps of what was shown by the last call: a push may bring it again
	said  []string           // what the user has said since, which pushes do not bring, oldest first
}

// place returns the place in a room, which it makes if there is none.
func (c *chat) place(room string) *place {
	if c.places[room] == nil {
		c.places[room] = &place{}
	}
	return c.places[room]
}

// hasSaid keeps in mind what the user has said.
func (p *place) hasSaid(text string) {
	p.said = append(p.said, text)
	p.said = p.said[max(0, len(p.said)-keptInRoom):]
}

// isOwn recognises a message that the user has said, and needs not be shown: by name and
// text, as nothing else tells. They come in their order, so those before it have come already.
func (p *place) isOwn(user string, msg *chat_pb.ChatMessage) bool {
	if msg.GetUserName() != user {
		return false
	}
	i := slices.Index(p.said, msg.GetMessage())
	if i < 0 {
		return false
	}
	p.said = p.said[i+1:]
	return true
}

// showAll shows what a call has answered.
func (c *chat) showAll(room string, messages []*chat_pb.ChatMessage) {
	p := c.place(room)
	p.shown = make(map[int64]struct{}, len(messages))
	for _, msg := range messages {
		p.shown[msg.GetTimestamp()] = struct{}{}
		c.show(room, msg)
	}
}

// catchUp shows what others have said in a room since the user saw something of it, or the
// newest of that, given what its Join has answered.
func (c *chat) catchUp(ctx context.Context, room string, recent []*chat_pb.ChatMessage) {
	p := c.place(room)
	after := p.seen
	var missed []*chat_pb.ChatMessage
	older, polled := 0, 0
	add := func(page []*chat_pb.ChatMessage) {
		for _, msg := range page {
			if msg.GetTimestamp() > p.seen {
				p.seen = msg.GetTimestamp()
				if !p.isOwn(c.user, msg) {
					missed = append(missed, msg)
				}
			}
		}
		older += max(0, len(missed)-shownMissed)
		missed = missed[max(0, len(missed)-shownMissed):]
	}
	var err error
	if len(recent) > 0 && recent[0].GetTimestamp() > after { // there may be more before
		err = c.poll(ctx, room, after, func(page []*chat_pb.ChatMessage) {
			polled += len(page)
			add(page)
		})
	}
	if err != nil {
		c.screen.problem("cannot show all that was said in %s meanwhile: %v", room, err)
	}
	if err == nil || !connectionLost(err) { // else the rest comes after the next attempt
		add(recent)
	}
	if older > 0 {
		atLeast := ""
		if polled >= keptInRoom || err != nil {
			atLeast = "at least "
		}
		c.screen.notice("you have missed %s%s in %s; the newest %d:", atLeast, count(older+len(missed), "message"), room, len(missed))
	}
	c.showAll(room, missed)
	if err == nil {
		p.said = nil
	}
}

// poll asks for all messages of a room that follow a timestamp, page by page.
func (c *chat) poll(ctx context.Context, room string, after int64, each func(page []*chat_pb.ChatMessage)) error {
	for range maxPages {
		resp, err := call[*chat_pb.Client_GetRecentMessagesResponse](ctx, c, "GetRecentMessages",
			&chat_pb.Client_GetRecentMessagesRequest{RoomName: room, AfterTimestamp: after})
		if err != nil {
			return err
		}
		page := resp.GetMessages()
		if len(page) == 0 {
			break
		}
		each(page)
		after = page[len(page)-1].GetTimestamp()
	}
	return nil
}
