package main

import (
	"slices"
	"sort"
	"time"

	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// What a room keeps and answers.
const (
	maxHistory = 1000 // messages a room keeps
	maxPoll    = 200  // messages one poll answers
	maxRecent  = 50   // messages Join answers
)

// history holds a room's newest messages, oldest first. Their timestamps increase
// strictly, so a timestamp names a place in the history: who asks for what follows
// the newest message he has gets every message once, whatever came within the same
// microsecond and however the clock jumped. The messages are never changed once they
// are here. The zero value is empty.
type history struct {
	messages []*chat_pb.ChatMessage
	last     int64 // no message to come is earlier or at the same time, Unix microseconds
}

// add appends a message said at now and returns it. A clock that stands still or
// runs backwards costs the timestamp its accuracy and not its order.
func (h *history) add(now time.Time, userName, text string) *chat_pb.ChatMessage {
	h.last = max(now.UnixMicro(), h.last+1)
	msg := &chat_pb.ChatMessage{UserName: userName, Message: text, Timestamp: h.last}
	h.messages = append(h.messages, msg)
	if len(h.messages) > maxHistory {
		h.messages[0] = nil // append copies the rest in time, until then the slot holds nothing
		h.messages = h.messages[1:]
	}
	return msg
}

// clock is what the history's clock shows at now: no message is later. It is the
// machine's, unless that is behind.
func (h *history) clock(now time.Time) int64 { return max(now.UnixMicro(), h.last) }

// advance lets the clock show at least so much: messages to come are later.
func (h *history) advance(clock int64) { h.last = max(h.last, clock) }

// after returns the oldest messages newer than a timestamp, at most maxPoll.
func (h *history) after(timestamp int64) []*chat_pb.ChatMessage {
	from := sort.Search(len(h.messages), func(i int) bool { return h.messages[i].GetTimestamp() > timestamp })
	return slices.Clone(h.messages[from:min(from+maxPoll, len(h.messages))])
}

// recent returns the newest messages, at most maxRecent.
func (h *history) recent() []*chat_pb.ChatMessage {
	return slices.Clone(h.messages[max(0, len(h.messages)-maxRecent):])
}
