"""The checks of the chat in a cluster: servers that come, go and are killed under users
who talk.

Three servers form the cluster. The first one starts the embedded etcd and serves nobody,
so that each of the other two can be killed. In each of some rooms, so many that every
server has some, ann talks from the first of these two and bob from the second; each goes
to the other server when theirs ends.
"""

import itertools
import re
import threading
import time

from chat import LOST, TIME, Server, leave, want
from procs import PATIENCE, Failed

ROOMS = [f"Room{i}" for i in range(5)]
FEW = 40  # lines: fewer than a room shows those who come back


class Cluster:
    """The servers of the cluster, and the users in its rooms."""

    def __init__(self, chat):
        self.chat = chat
        self.owner = Server(chat, "server owner", "-etcd", "embedded:localhost:0", client_addr="").start()
        etcd = self.owner.err.all(r'msg="embedded etcd" addr=(\S+)')[0][1]
        self.one, self.two = (
            Server(chat, f"server {name}", "-etcd", f"embedded:{etcd}", "-data", chat.directory / name).start() for name in ("one", "two"))
        self.takes_part(self.two)
        self.ann = self.users("ann", self.one, self.two)
        self.bob = self.users("bob", self.two, self.one)

    def users(self, name, *at):
        """Let a user of that name join each room."""
        return {room: self.chat.user(name, room, at=at) for room in ROOMS}

    def takes_part(self, server):
        """Wait until a server that has come gets rooms to host: some of those that are made now."""
        probe = self.chat.user("probe", at=[server])
        for i in range(100):
            probe.types(f"/join Probe{i}")
            probe.out.expect(r"^\* joined")
            if server.err.all('msg="member joined" object=ChatRoom-Probe'):
                leave(probe)
                return
            time.sleep(PATIENCE / 100)
        raise Failed(f"{server.name} gets no rooms")

    def talk(self, text):
        """Let ann and bob talk in each room."""
        for room in ROOMS:
            self.ann[room].types(f"{text}, bob?")
        for room in ROOMS:
            self.bob[room].out.expect(rf"{TIME} ann: {text}, bob\?$")
            self.bob[room].types(f"{text}, ann!")
        for room in ROOMS:
            self.ann[room].out.expect(rf"{TIME} bob: {text}, ann!$")


class Talking:
    """Lets ann talk in all rooms while its block runs, at most so many lines in each."""

    def __init__(self, cluster, text, most=None):
        self._cluster = cluster
        self._text, self._most = text, most
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._failure = None
        self.said = 0  # lines in each room

    def _talk(self):
        try:
            while self.said != self._most and not self._over.is_set():
                for room in ROOMS:
                    self._cluster.ann[room].types(f"{self._text} {self.said}")
                self.said += 1
                time.sleep(0.04)
        except Failed as failure:
            self._failure = failure

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        if self._failure:
            raise self._failure

    def wait(self, n=None):
        """Wait until ann has said so many lines in each room, or all."""
        while self._thread.is_alive() and (n is None or self.said < n):
            self._thread.join(0.01)

    def reaches(self, user, room, repeats=0, patience=PATIENCE):
        """Wait until a user has seen the last line: all are there, in order, and no more than so many twice."""
        user.out.expect(rf"{TIME} ann: {self._text} {self.said - 1}$", patience, anywhere=True)
        seen = [int(match[1]) for match in user.out.all(rf"{TIME} ann: {self._text} (\d+)$")]
        want(seen == sorted(seen) and set(seen) == set(range(self.said)) and len(seen) <= self.said + repeats,
             f"of {self.said} lines in {room}, {user.name} has seen {seen}")


def list_shows_all(user):
    """Wait until a user sees all rooms on the list."""
    deadline = time.monotonic() + PATIENCE
    while True:
        user.types("/list")
        rooms = user.out.expect(r"^\* (?:(\d+) rooms?:|there are no rooms yet)")[1]
        listed = [line.split()[0] for line in user.out.next(int(rooms or 0))]
        missing = set(ROOMS).difference(listed)
        if not missing:
            return
        want(time.monotonic() < deadline, f"{missing} are not on the list")
        time.sleep(0.2)


def messages(user, n):
    """What /messages shows, which are so many."""
    user.types("/messages")
    user.out.expect(rf"^\* {n} messages in ")
    return [re.sub(TIME + " ", "", line) for line in user.out.next(n)]


def no_troubles(users):
    """Make sure that users were told of nothing that went wrong."""
    for user in users:
        want(user.out.count(r"^! |^\* connection lost") == 0, f"{user.name} was told of troubles")


def check_cluster_forms(chat):
    """two servers and users of each, in the same rooms: one chat, one list"""
    chat.cluster = cluster = Cluster(chat)
    cluster.talk("hello")
    for room, user in itertools.chain(cluster.ann.items(), cluster.bob.items()):
        list_shows_all(user)
        want(messages(user, 2) == ["ann: hello, bob?", "bob: hello, ann!"], f"{user.name} sees other messages in {room}")


def check_server_leaves(chat):
    """a server is stopped while users talk: no message is lost or said twice, and its users go to the other"""
    cluster = chat.cluster
    with Talking(cluster, "leaving", most=FEW) as talking:
        talking.wait(FEW // 4)
        # Its users are gone when the rooms are told so: they find out.
        cluster.two.stop(tolerate='level=INFO|"using an etcd that was there already|"one-way call failed".* method=Leave ')
        talking.wait()
    for room, bob in cluster.bob.items():
        bob.out.expect(LOST)
        bob.out.expect(rf"^\* connected again to {cluster.one.client_addr}, in {room}$")
        talking.reaches(bob, room)
    no_troubles(cluster.ann.values())
    cluster.talk("two has left")
    history = [f"ann: leaving {i}" for i in range(FEW)] + ["ann: two has left, bob?", "bob: two has left, ann!"]
    for room, ann in cluster.ann.items():
        want(messages(ann, FEW + 4)[2:] == history, f"the history of {room} is another")
    list_shows_all(cluster.bob[ROOMS[0]])


def check_server_comes(chat):
    """it is started again while users talk, gets rooms, and no message is lost or said twice"""
    cluster = chat.cluster
    with Talking(cluster, "coming") as talking:
        cluster.two.start()
        cluster.takes_part(cluster.two)
    for room, bob in cluster.bob.items():
        talking.reaches(bob, room)
    no_troubles(cluster.ann.values())
    eve = chat.user("eve", ROOMS[0], at=[cluster.two])
    list_shows_all(eve)
    want(messages(eve, 50)[-1] == f"ann: coming {talking.said - 1}", "eve does not see the history")
    leave(eve)


def check_server_is_killed(chat):
    """a server is killed while users talk: the others go on, and so do its users, elsewhere"""
    survive(chat.cluster, chat.cluster.two, chat.cluster.one)


def check_other_server_is_killed(chat):
    """so it is with the other server, which is started again at once"""
    cluster = chat.cluster
    cluster.two.start()
    cluster.takes_part(cluster.two)
    survive(cluster, cluster.one, cluster.two, restart=True)


def survive(cluster, victim, survivor, restart=False):
    """Kill a server while ann talks, from the other one, to bob, from this one, and dan, who only listens. Some rooms are
    lost with their messages; no message that is said then is, whatever it was on the way to. One in each room may be said
    twice: the server that was killed had done so."""
    leave(*cluster.ann.values(), *cluster.bob.values())
    cluster.ann = cluster.users("ann", survivor)
    cluster.bob = cluster.users("bob", victim, survivor)
    dan = cluster.users("dan", survivor)
    with Talking(cluster, f"without {victim.name}", most=FEW) as talking:
        talking.wait(FEW // 4)
        victim.crash()
        if restart:
            victim.start()
        talking.wait()
    for room in ROOMS:
        talking.reaches(dan[room], room, repeats=1, patience=2 * PATIENCE)  # a lease ends, and the members are in again
        cluster.bob[room].out.expect(LOST)
        cluster.bob[room].out.expect(rf"^\* connected again to {survivor.client_addr}, in {room}$")
    cluster.talk(f"{victim.name} is dead")
    no_troubles(itertools.chain(cluster.ann.values(), dan.values()))
    list_shows_all(cluster.bob[ROOMS[0]])
    leave(*dan.values())


def check_cluster_stops(chat):
    """all servers stop within 5 s, with users connected, exit code 0"""
    cluster = chat.cluster
    for server in (cluster.two, cluster.one, cluster.owner):
        server.stop(tolerate="")  # there have been troubles
    for user in itertools.chain(cluster.ann.values(), cluster.bob.values()):
        user.out.expect(LOST)
        user.types("/quit")
    for user in itertools.chain(cluster.ann.values(), cluster.bob.values()):
        user.exits(0)


CLUSTER_CHECKS = (
    check_cluster_forms, check_server_leaves, check_server_comes, check_server_is_killed, check_other_server_is_killed, check_cluster_stops,
)
