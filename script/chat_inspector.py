"""The checks of the inspector beside the chat: it is started first, and what its API
tells follows what the servers and users do.
"""

import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request

from chat import LOST, Server, leave, want
from procs import PATIENCE, Failed


class Inspector:
    """The inspector's process and its API, in front of a cluster that does not exist yet."""

    def __init__(self, chat):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.etcd = f"localhost:{free.getsockname()[1]}"
        self.process = chat.fleet.start(
            "inspector", chat.binaries / "inspector", "-listen", "localhost:0", "-etcd", self.etcd, "-actions")
        self.url = self.process.err.expect(r"(http://localhost:\d+)")[1]
        self.server = None
        self.users = []

    def get(self, path, **query):
        """Ask the API."""
        url = f"{self.url}/api/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            raise Failed(f"{url}: {error}") from error

    def act(self, action, **body):
        """Have the API do something."""
        request = urllib.request.Request(
            f"{self.url}/api/actions/{action}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=PATIENCE).close()
        except OSError as error:
            raise Failed(f"{action} {body}: {error}") from error

    def until(self, what, condition):
        """Wait until a condition holds; return what it returned."""
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise Failed(f"the inspector does not show {what} within {PATIENCE:g} s")
            time.sleep(0.1)
        return value

    def objects(self, kind):
        """The ids of the objects of a type."""
        return {o["id"] for o in self.get("objects", type=kind)["objects"]}

    def calls(self, kind, method):
        """How many calls of a method there have been."""
        for t in self.get("types")["types"]:
            for m in t["methods"]:
                if (t["name"], m["name"]) == (kind, method):
                    return m["total_calls"]
        return 0


def check_inspector_waits(chat):
    """the inspector is started before any server: it says so and waits"""
    chat.inspector = inspector = Inspector(chat)
    overview = inspector.get("overview")
    want(overview["state"] == "waiting" and overview["message"], f"the inspector does not wait: {overview['state']}")
    with urllib.request.urlopen(inspector.url, timeout=PATIENCE) as page:
        want(b"<html" in page.read().lower(), "the inspector has no page")
    try:
        urllib.request.urlopen(urllib.request.Request(inspector.url + "/api/overview", headers={"Host": "evil.example"}), timeout=PATIENCE)
        raise Failed("the inspector answers under another name")
    except urllib.error.HTTPError as refusal:
        want(refusal.code == 403, f"another name is refused with {refusal.code}, want 403")
        refusal.close()


def check_inspector_sees(chat):
    """the inspector shows the node, rooms, clients and their calls as they appear"""
    inspector = chat.inspector
    inspector.server = Server(chat, "server inspected", "-etcd", f"embedded:{inspector.etcd}").start()
    inspector.until("the node", lambda: [n for n in inspector.get("nodes")["nodes"] if n["state"] == "live" and n["address"]])
    inspector.until("all shards open", lambda: inspector.get("shards")["unowned"] == 0)
    ann, bob = (chat.user(name, "Seen", at=[inspector.server]) for name in ("ann", "bob"))
    inspector.users = [ann, bob]
    for i in range(5):
        ann.types(f"line {i}")
        bob.out.expect(rf"ann: line {i}$")
    inspector.until("the room", lambda: inspector.objects("ChatRoom") == {"ChatRoom-Seen"})
    clients = inspector.until("two clients", lambda: (c := inspector.get("clients"))["total"] == 2 and c["clients"])
    want({c["object"] for c in clients} == inspector.objects("ChatClient"), "clients and their objects differ")
    inspector.until("the calls of SendMessage", lambda: inspector.calls("ChatRoom", "SendMessage") == 5)
    want(inspector.calls("ChatClient", "SendMessage") == 5, "the clients' own calls are not counted")
    graph = inspector.get("graph")
    want(any((e["from"], e["to"]) == ("ChatClient", "ChatRoom") for e in graph["edges"]), f"no calls from clients to rooms: {graph}")
    detail = inspector.get("objects/ChatRoom-Seen")
    want(detail["object"]["id"] == "ChatRoom-Seen" and detail["object"]["shard"] == detail["shard"], f"the room's detail is wrong: {detail}")
    want(any(e["kind"] == "join" for e in inspector.get("events")["events"]), "no event tells that the node has joined")


def check_inspector_forgets(chat):
    """what goes, goes in the inspector: clients, a room that is let go, then the node with all that it had"""
    inspector = chat.inspector
    ann, bob = inspector.users
    leave(bob)
    inspector.until("that a client has gone", lambda: inspector.get("clients")["total"] == 1 and len(inspector.objects("ChatClient")) == 1)
    cid = chat.user("cid", "Left", at=[inspector.server])
    inspector.until("another room", lambda: inspector.objects("ChatRoom") == {"ChatRoom-Seen", "ChatRoom-Left"})
    leave(cid)
    inspector.until("that its user has gone", lambda: inspector.get("clients")["total"] == 1)
    inspector.act("deactivate", id="ChatRoom-Left", confirm="ChatRoom-Left")
    inspector.until("that a room has gone", lambda: inspector.objects("ChatRoom") == {"ChatRoom-Seen"})
    want(inspector.get("objects/ChatRoom-Left")["object"] is None, "a room that has gone is told of")
    inspector.server.stop()
    inspector.until("that the node has gone", lambda: not [n for n in inspector.get("nodes")["nodes"] if n["state"] == "live"])
    for kind in ("ChatRoom", "ChatClient"):
        want(not inspector.objects(kind), f"{kind}s are still there")
    want(not [t for t in inspector.get("types")["types"] if t["objects"]], "types still have objects")
    want(inspector.get("overview")["state"] != "live", "the cluster is still live")
    ann.out.expect(LOST)
    ann.types("/quit")
    ann.exits(0)


def check_inspector_stops(chat):
    """the inspector stops within 5 s, exit code 0; wrong flags: exit code 2"""
    chat.inspector.process.send(15)
    chat.inspector.process.exits(0, within=5)
    process = chat.run("inspector", "-port", "1")
    process.exits(2)
    want(process.err.lines, "the inspector says nothing about a wrong flag")


INSPECTOR_CHECKS = (check_inspector_waits, check_inspector_sees, check_inspector_forgets, check_inspector_stops)
