"""The chat as the end-to-end test sees it: servers and users in processes, and how the
checks say what they want.
"""

import re
import signal

from procs import Failed

TIME = r"^\[\d\d:\d\d:\d\d\]"  # how a message begins
LOST = r"^\* connection lost, reconnecting"


class Server:
    """A chat server, which may be started again and again, on the same ports."""

    def __init__(self, chat, name, *flags, client_addr="localhost:0"):
        self._chat = chat
        self._flags = flags
        self.name = name
        self.process = None
        self.addr, self.client_addr = "localhost:0", client_addr

    @property
    def err(self):
        """The server's log."""
        return self.process.err

    def start(self):
        """Start the server; return it when it is ready."""
        self.process = self._chat.fleet.start(
            self.name, self._chat.binaries / "server", "-listen", self.addr, "-client-listen", self.client_addr, *self._flags)
        ready = self.err.expect(r'msg="server ready" addr=(\S+)(?: client_addr=(\S+))?')
        self.addr, self.client_addr = ready[1], ready[2] or ""
        return self

    def stop(self, tolerate="level=INFO"):
        """Stop the server as a service manager does: within 5 s, and it has said nothing but what is tolerated."""
        self.process.send(signal.SIGTERM)
        self.process.exits(0, within=5)
        wrong = [line for line in self.err.lines if not re.search(tolerate, line)]
        want(not wrong, f"{self.name} complained: {wrong}")

    def crash(self):
        """Kill the server."""
        self.process.send(signal.SIGKILL)
        self.process.exits(-signal.SIGKILL)


class Chat:
    """The programs under test: one server that is alone, or those of a cluster."""

    def __init__(self, fleet, directory):
        self.fleet = fleet
        self.directory = self.binaries = directory
        self.server = Server(self, "server", "-etcd", "memory:")
        self.cluster = None

    def user(self, name, room=None, at=None):
        """Start a client of one or more servers, and let it join a room."""
        servers = ",".join(server.client_addr for server in at or [self.server])
        client = self.fleet.start(name, self.binaries / "client", f"-server={servers}", f"-user={name}")
        client.out.expect(r"^\* connected to ")
        if room:
            client.types(f"/join {room}")
            client.out.expect(rf"^\* joined {re.escape(room)} as ")
        return client

    def run(self, program, *args):
        """Start one of the programs with other arguments."""
        return self.fleet.start(f"{program} {' '.join(args)}", self.binaries / program, *args)


def want(condition, otherwise):
    """Fail unless a condition holds."""
    if not condition:
        raise Failed(otherwise)


def leave(*clients):
    """End clients by the end of their input: they exit with 0 and have not complained."""
    for client in clients:
        client.hang_up()
    for client in clients:
        client.exits(0)
        want(not client.err.lines, f"{client.name} wrote to standard error")
