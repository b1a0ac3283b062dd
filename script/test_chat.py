#!/usr/bin/env python3
"""The end-to-end test of the chat sample: real servers, real clients in pipes, a real inspector.

    python3 script/test_chat.py

It builds the three programs, runs them on free ports of the loopback, uses every
function of the chat as users do, and prints one line for each check: first with one
server, then with an inspector that watches (chat_inspector.py), then with a cluster whose servers come, go and are killed (chat_cluster.py). A
cluster that runs on the machine is left alone. It ends all its processes in any case
and exits with 0 if every check passed, else with 1. It runs from any directory, needs
Go and the standard library of Python 3.11, and gives up after 55 seconds, building
aside.
"""

import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # leave the tree as it is

from chat import LOST, TIME, Chat, leave, want  # noqa: E402
from chat_cluster import CLUSTER_CHECKS  # noqa: E402
from chat_inspector import INSPECTOR_CHECKS  # noqa: E402
from procs import Failed, Fleet  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD_LIMIT, RUN_LIMIT = 300.0, 55.0  # seconds


def check_wrong_flags(chat):
    """wrong flags: exit code 2"""
    for process in (chat.run("server", "-port", "1"), chat.run("server", "stray"),
                    chat.run("client", "-x"), chat.run("client", "-server=nowhere"), chat.run("client", "-user=")):
        process.exits(2)
        want(process.err.lines, f"{process.name} says nothing")


def check_failures(chat):
    """a taken port, and no server to connect to: exit code 1 and one clear line"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"localhost:{taken.getsockname()[1]}"
        for flags in (("-listen", address, "-client-listen", "localhost:0"), ("-listen", "localhost:0", "-client-listen", address)):
            process = chat.run("server", "-etcd", "memory:", *flags)
            process.exits(1)
            said = [line for line in process.err.lines if "not ready yet" not in line]  # a busy machine's warning
            want(len(said) == 1 and "address already in use" in said[0] and address in said[0], "the error is not one clear line")
    process = chat.run("client", f"-server={address}", "-user=ann")
    process.exits(1)
    want(len(process.err.lines) == 1 and "connection refused" in process.err.lines[0] and "rpc" not in process.err.lines[0],
         "the error is not one clear line")


def check_refused_flags(chat):
    """values of flags that cannot be: one line that names the flag"""
    for flag, value, reason in (("-inspector", "nowhere", "not host:port"), ("-advertise", "nowhere", "not host:port"),
                                ("-etcd", "localhost", "not host:port"), ("-etcd", "embedded:10.0.0.1:1", "not a loopback address"),
                                ("-data", "/dev/null/x", "not a directory")):
        process = chat.run("server", "-listen", "localhost:0", "-client-listen", "localhost:0", "-etcd", "memory:", flag, value)
        process.exits(1)
        line = process.err.lines[0]
        want(len(process.err.lines) == 1 and re.search(f"{flag}\\b", line) and reason in line, f"the refusal of {flag} {value} is not one clear line")
    process = chat.run("server", "-help")
    process.exits(0)
    want(process.err.count("-inspector") == 1, "the help does not name the flags")


def check_server_starts(chat):
    """the server starts on free ports and logs them"""
    chat.server.start()
    want(not chat.server.addr.endswith(":0") and not chat.server.client_addr.endswith(":0"), "the ports are not the bound ones")


def check_errors_in_words(chat):
    """errors are told in words"""
    ann = chat.user("ann")
    ann.types("hello?", "/messages", "/wave", "/join", "/join a/b", "/join " + "x" * 248, "x" * 4097, "/list", "/help")
    for pattern in (r"^! you are not in a room", r"^! you are not in a room", r"^! unknown command /wave: /help", r"^! /join needs",
                    r"^! cannot join a/b: the room name", r"^! cannot join x+: the room name", r"^! the line is longer",
                    r"^\* there are no rooms yet", r"^  /quit"):
        ann.out.expect(pattern)
    leave(ann)
    want(ann.out.count("rpc|code =|desc =") == 0, "a raw gRPC error was shown")


def check_join_and_list(chat):
    """a room is listed as soon as its first join has returned"""
    ann, bob = chat.user("ann", "General"), chat.user("bob")
    bob.types("/list")
    bob.out.expect(r"^\* 1 room:$")
    bob.out.expect(r"^  General$")
    ann.types("/join Another room", "/list")
    for pattern in (r"^\* joined Another room as ann: no recent messages", r"^\* 2 rooms:", r"^  Another room \(current\)", r"^  General \(joined\)"):
        ann.out.expect(pattern)
    leave(ann, bob)


def check_too_many_rooms(chat):
    """a client joins at most 100 rooms, and is told so"""
    ann = chat.user("ann")
    ann.types(*(f"/join Crowd {i}" for i in range(101)), "/join Crowd 7")
    ann.out.expect(r"^\* joined Crowd 99 as ann")
    ann.out.expect(r"^! cannot join Crowd 100: you have joined 100 rooms, as many as a client can$")
    ann.out.expect(r"^\* joined Crowd 7 as ann")
    leave(ann)


def check_pushes(chat):
    """messages reach the other members as they come, and not their sender"""
    users = [chat.user(name, "Pushes") for name in ("ann", "bob", "eve")]
    for speaker in users:
        speaker.types(f"hello from {speaker.name}")
        for other in users:
            if other is not speaker:
                other.out.expect(rf"{TIME} {speaker.name}: hello from {speaker.name}$")
    leave(*users)
    for user in users:
        want(user.out.count("hello from") == 2, f"{user.name} has not seen each message of the others once")
        want(user.out.count(f"hello from {user.name}") == 0, f"{user.name} has seen an own message")


def check_messages(chat):
    """/messages shows the room's history, own messages too, and join the recent ones"""
    ann = chat.user("ann", "History")
    ann.types("one", "  two  ", "/messages")
    ann.out.expect(r"^\* 2 messages in History:$")
    for text in ("one", "  two  "):
        ann.out.expect(rf"{TIME} ann: {text}$")
    bob = chat.user("bob", "History")
    bob.out.expect(rf"{TIME} ann: one$")
    bob.types("three", "/messages")
    bob.out.expect(r"^\* 3 messages in History:$")
    bob.out.expect(rf"{TIME} bob: three$")
    leave(ann, bob)


def check_escapes(chat):
    """what others write cannot command the terminal"""
    eve, ann = chat.user("eve\x1b]0;owned\x07", "Escapes"), chat.user("ann", "Escapes")
    eve.types("\x1b[2J \u202e \u009b31m höllö 👋")
    ann.out.expect(re.escape(r"eve\x1b]0;owned\a: \x1b[2J \u202e \u009b31m höllö 👋") + "$")
    leave(eve, ann)


def check_two_rooms(chat):
    """a client in two rooms speaks in the current one and hears both"""
    ann, bob, eve = chat.user("ann", "One"), chat.user("bob", "One"), chat.user("eve", "Two")
    ann.types("/join Two")
    ann.out.expect(r"^\* joined Two")
    ann.types("in Two")
    eve.out.expect(rf"{TIME} ann: in Two$")
    bob.types("in One")
    ann.out.expect(rf"{TIME} #One bob: in One$")
    ann.types("/join One")
    ann.out.expect(r"^\* joined One")
    ann.types("back in One")
    bob.out.expect(rf"{TIME} ann: back in One$")
    leave(ann, bob, eve)
    want(bob.out.count("in Two") == 0 and eve.out.count("in One") == 0, "a message has reached the wrong room")


def check_many_messages(chat):
    """a pipe of 1030 messages is worked off in order, and /messages shows the newest 50"""
    ann, bob = chat.user("ann", "Many"), chat.user("bob", "Many")
    ann.types(*(f"line {i}" for i in range(1030)), "/messages")
    ann.hang_up()
    ann.exits(0)
    for i in range(1030):
        bob.out.expect(rf"{TIME} ann: line {i}$")
    lines = ann.out.lines[-51:]
    want(lines[0] == "* 50 messages in Many:", "/messages has no header where it should be")
    for i, line in enumerate(lines[1:]):
        want(re.search(rf"{TIME} ann: line {980 + i}$", line), f"/messages shows {line!r}, want line {980 + i}")
    leave(bob)


def check_end_of_input(chat):
    """at the end of the input all commands have been answered; /quit ends at once"""
    client = chat.run("client", f"-server={chat.server.client_addr}", "-user=ann")
    client.types("/join Pipe", "hello")
    client.popen.stdin.write("/messages")  # a last line without an end
    client.hang_up()
    client.exits(0)
    want(re.search(rf"{TIME} ann: hello$", client.out.lines[-1]), "the last command was not answered")
    client = chat.user("ann", "Pipe")
    client.types("/quit", "not sent")
    client.exits(0)
    ann = chat.user("ann", "Pipe")
    ann.types("/messages")
    ann.out.expect(r"^\* 1 message in Pipe:$")
    leave(ann)


def check_killed_client(chat):
    """a client that is killed is a member no more"""
    ann, bob = chat.user("ann", "Killed"), chat.user("bob", "Killed")
    member = chat.server.err.expect(r'msg="member joined" object=ChatRoom-Killed client=(\S+) members=2').group(1)
    bob.send(signal.SIGKILL)
    bob.exits(-signal.SIGKILL)
    chat.server.err.expect(rf'msg="member left" object=ChatRoom-Killed client={member} members=1 why=left')
    eve = chat.user("eve", "Killed")
    ann.types("still here")
    eve.out.expect(rf"{TIME} ann: still here$")
    leave(ann, eve)


def check_restart(chat):
    """clients reconnect after a restart of the server, which stops within 5 s"""
    ann, bob = chat.user("ann", "Restart"), chat.user("bob", "Side")
    bob.types("/join Restart", "before")
    ann.out.expect(rf"{TIME} bob: before$")
    chat.server.stop()
    for user in (ann, bob):
        user.out.expect(LOST)
    ann.types("lost?", "/list")
    ann.out.expect(r"^! your message was not sent: the connection is lost")
    ann.out.expect(r"^! the connection is lost")
    chat.server.start()
    ann.out.expect(r"^\* connected again, in Restart$")
    bob.out.expect(r"^\* connected again, in Side, Restart$")
    ann.types("after")
    bob.out.expect(rf"{TIME} ann: after$")
    bob.types("welcome back")
    ann.out.expect(rf"{TIME} bob: welcome back$")
    leave(ann, bob)
    want(bob.out.count("lost\\?") == 0, "a line that was refused has been sent all the same")


def check_interrupted_client(chat):
    """Ctrl-C ends a client with exit code 130"""
    ann = chat.user("ann")
    ann.send(signal.SIGINT)
    ann.exits(130)


def check_server_stops(chat):
    """the server stops within 5 s with clients connected, exit code 0"""
    ann = chat.user("ann", "General")
    chat.server.stop()
    ann.out.expect(LOST)
    ann.types("/quit")
    ann.exits(0)


CHECKS = (
    check_wrong_flags, check_failures, check_refused_flags, check_server_starts, check_errors_in_words, check_join_and_list, check_pushes,
    check_messages, check_too_many_rooms, check_escapes, check_two_rooms, check_many_messages, check_end_of_input, check_killed_client,
    check_restart, check_interrupted_client, check_server_stops, *INSPECTOR_CHECKS, *CLUSTER_CHECKS,
)


def build(directory):
    """Build the programs."""
    for program, package in (("server", "./samples/chat/server"), ("client", "./samples/chat/client"), ("inspector", "./cmd/inspector")):
        subprocess.run(["go", "build", "-o", str(directory / program), package],
                       cwd=ROOT, check=True, timeout=BUILD_LIMIT, stdin=subprocess.DEVNULL)


def main():
    """Run all checks; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="goverse-chat-") as directory:
        binaries = pathlib.Path(directory)
        try:
            build(binaries)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"FAIL build: {error}")
            return 1
        began = time.monotonic()
        with Fleet(RUN_LIMIT) as fleet:
            chat = Chat(fleet, binaries)
            for check in CHECKS:
                try:
                    check(chat)
                except Failed as failure:
                    print(f"FAIL {check.__doc__}\n     {failure}\n{fleet.transcripts()}")
                    return 1
                print(f"ok   {check.__doc__}", flush=True)
                fleet.tidy()
        print(f"all {len(CHECKS)} checks passed in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(1)
