package main

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/xiaonanln/goverse/goverseapi"
)

// The limits of names and texts, in bytes.
const (
	maxUserName = 64
	maxText     = 4096
	maxRoomName = 256 - len(roomPrefix) // an object ID has at most 256 bytes
)

// roomPrefix makes a room's object ID of its name.
const roomPrefix = "ChatRoom-"

// clientKey is the metadata under which a client's object tells a room on whose
// behalf it calls: the object's ID, which is where pushes go. Clients cannot forge
// it, because their objects set it in every call to a room.
const clientKey = "chat-client"

// errNotMember matches what a room answers to a client it does not know, however many
// nodes lie between: a room that has lost its members is joined again.
var errNotMember = &goverseapi.Error{Code: goverseapi.CodeFailedPrecondition, Reason: "NotMember"}

// refuseStranger is the error that errNotMember matches.
func refuseStranger() error {
	err := goverseapi.NewError(errNotMember.Code, "the room does not know this client")
	err.Reason = errNotMember.Reason
	return err
}

// asClient says on whose behalf a room is called.
func asClient(id string) goverseapi.CallOption { return goverseapi.WithMetadata(clientKey, id) }

// callingClient returns the ID of the client object that calls the room; empty for a
// call by other code of the server.
func callingClient(ctx context.Context) string { return goverseapi.MetadataFrom(ctx)[clientKey] }

// checkRoomName returns InvalidArgument for a name that does not make a valid object
// ID.
func checkRoomName(name string) error {
	switch {
	case name == "":
		return invalid("the room name is empty")
	case len(name) > maxRoomName:
		return invalid("the room name has %d bytes, at most %d are allowed", len(name), maxRoomName)
	case !utf8.ValidString(name):
		return invalid("the room name is not valid UTF-8")
	case strings.ContainsFunc(name, isControl):
		return invalid("the room name has control characters")
	case strings.Contains(name, "/"):
		return invalid("the room name has a '/'")
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }

// checkUserName returns InvalidArgument for a name of a length that is not allowed.
func checkUserName(name string) error { return checkLength("user name", name, maxUserName) }

// checkText returns InvalidArgument for a message of a length that is not allowed.
func checkText(text string) error { return checkLength("message", text, maxText) }

func checkLength(what, s string, most int) error {
	switch {
	case s == "":
		return invalid("the %s is empty", what)
	case len(s) > most:
		return invalid("the %s has %d bytes, at most %d are allowed", what, len(s), most)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return goverseapi.NewError(goverseapi.CodeInvalidArgument, fmt.Sprintf(format, args...))
}
