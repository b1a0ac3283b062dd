package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestScript runs the commands of a pipe and compares every line.
func TestScript(t *testing.T) {
	t.Parallel()
	server := startServer(t, "localhost:0")
	s := startSession(t, testOptions(server.addr, "alice"))
	s.types(
		"/list", "hello?", "/messages", "/join", "/join a/b", "/wave", "/", "",
		"/join  my room ", "/messages", "hello", "  /list is sent ", "/join General", "", "/list",
		"höllö\ttab \x1b[31m", "/messages", "/join my room", "/help", "/messages and more", "/list",
		strings.Repeat("x", maxText+1), "\xff", "/quit", "/list",
	)
	out, err := s.ends()
	if err != nil {
		t.Error(err)
	}
	want := `* connected to ` + server.addr + ` as alice; /help lists the commands
* there are no rooms yet: /join one to make it
! you are not in a room: /join one first
! you are not in a room: /join one first
! /join needs the name of a room: /join <room>
! cannot join a/b: the room name has a '/'
! unknown command /wave: /help lists the commands
! unknown command /: /help lists the commands
* joined my room as alice: no recent messages
* no messages in my room yet
* joined General as alice: no recent messages
* 2 rooms:
  General (current)
  my room (joined)
* 1 message in General:
[time] alice: höllö	tab \x1b[31m
* joined my room as alice: 2 recent messages
[time] alice: hello
[time] alice:   /list is sent 
  /list         list the rooms there are
  /join <room>  enter a room, or make it; lines are sent there from then on
  /messages     show the room's newest 50 messages
  /help         show this
  /quit         leave the chat, as the end of the input does
  Any other line is sent to the room you joined last.
* 2 messages in my room:
[time] alice: hello
[time] alice:   /list is sent 
* 2 rooms:
  General (joined)
  my room (current)
! the line is longer than the 4096 bytes a message can have: not sent
! the line is not valid UTF-8: not sent
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestEndOfInputWaitsForReplies types without waiting and hangs up.
func TestEndOfInputWaitsForReplies(t *testing.T) {
	t.Parallel()
	server := startServer(t, "localhost:0")
	const n = 450 // more than two polls answer
	alice := startSession(t, testOptions(server.addr, "alice"))
	alice.types("/join General")
	for i := range n {
		alice.types(fmt.Sprint("line ", i))
	}
	_, _ = alice.in.Write([]byte("/messages")) // a last line without an end counts
	_ = alice.in.Close()
	out, err := alice.ends()
	if err != nil {
		t.Error(err)
	}
	var want []string
	for i := n - shownMessages; i < n; i++ {
		want = append(want, fmt.Sprintf("[time] alice: line %d", i))
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if got := lines[len(lines)-shownMessages:]; !slices.Equal(got, want) || lines[len(lines)-shownMessages-1] != "* 50 messages in General:" {
		t.Errorf("the output is\n%s", out)
	}
}

func TestPushesAreShownAsTheyCome(t *testing.T) {
	t.Parallel()
	server := startServer(t, "localhost:0")
	var users []*session
	for _, name := range []string{"ann", "bob", "eve\x1b]0;x\a\n"} {
		s := startSession(t, testOptions(server.addr, name))
		s.types("/join General")
		s.sees("joined General")
		users = append(users, s)
	}
	ann, bob, eve := users[0], users[1], users[2]
	ann.types("hi all")
	bob.sees("] ann: hi all\n")
	eve.sees("] ann: hi all\n")
	eve.types("\x1b[2J\u202egnp.exe\u009b1m")
	ann.sees(`] eve\x1b]0;x\a\n: \x1b[2J\u202egnp.exe\u009b1m` + "\n")
	bob.sees("] eve")

	bob.types("/join Other")
	bob.sees("joined Other")
	ann.types("where is bob?")
	bob.sees("] #General ann: where is bob?\n")
	for _, s := range users {
		_ = s.in.Close()
		if out, err := s.ends(); err != nil || strings.Contains(out, "ann: ann") {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if out := ann.out.all(); strings.Contains(out, "] ann: ") {
		t.Errorf("ann sees her own messages:\n%s", out)
	}
}

func TestPromptOnTerminals(t *testing.T) {
	t.Parallel()
	server := startServer(t, "localhost:0")
	opts := testOptions(server.addr, "ann")
	opts.terminal = true
	ann, bob := startSession(t, opts), startSession(t, testOptions(server.addr, "bob"))
	ann.sees("\n> ")
	ann.types("/join General")
	ann.sees("* joined General as ann: no recent messages\nGeneral> ")
	bob.types("/join General", "hi")
	ann.sees(eraseLine)
	ann.sees("] bob: hi\nGeneral> ")
	ann.types("hello", "/help")
	ann.sees(terminalHelp + "\nGeneral> ")
	_ = ann.in.Close()
	if out, err := ann.ends(); err != nil || !strings.HasSuffix(out, "General> \n") {
		t.Errorf("%v, %q", err, out)
	}
}
