#!/usr/bin/env python3
"""Runs the programs of README.md as a new user would: the server and its client.

Standard library only. The ports are replaced by free ones, that of the embedded etcd
too, so that servers on the default ports do not matter. Exit code 0 when the client has joined and
the server has stopped cleanly on SIGTERM.
"""

import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT = 120  # seconds for each step, builds included


def free_port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def programs():
    """The Go blocks of the README with a main function: server first, then client."""
    blocks = re.findall(r"^```go\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
    found = [b for b in blocks if "func main()" in b]
    if len(found) != 2:
        sys.exit(f"README.md has {len(found)} programs, want a server and a client")
    return found


def build(folder, name, source):
    (folder / name).mkdir()
    (folder / name / "main.go").write_text(source)
    subprocess.run(["go", "build", "-o", folder / f"{name}.bin", f"./{folder.name}/{name}"],
                   cwd=ROOT, check=True, timeout=TIMEOUT)
    return folder / f"{name}.bin"


def wait_ready(server):
    """Reads the server's log until it is ready; returns False when it ends before."""
    ready = threading.Event()

    def read():
        for line in server.stderr:
            print("  server:", line.rstrip())
            if "server ready" in line:
                ready.set()

    threading.Thread(target=read, daemon=True).start()
    return ready.wait(TIMEOUT)


def main():
    server_source, client_source = programs()
    node, client, etcd = free_port(), free_port(), free_port()
    for old, new in (("47000", str(node)), ("48000", str(client))):
        server_source = server_source.replace(old, new)
        client_source = client_source.replace(old, new)
    server_source = server_source.replace("ServerConfig{", f'ServerConfig{{Etcd: []string{{"embedded:localhost:{etcd}"}}, ')
    folder = pathlib.Path(tempfile.mkdtemp(prefix=".readme-", dir=ROOT))
    server = None
    try:
        server_bin = build(folder, "server", server_source)
        client_bin = build(folder, "client", client_source)
        server = subprocess.Popen([server_bin], stderr=subprocess.PIPE, text=True)
        if not wait_ready(server):
            sys.exit("FAIL the server of the README is not ready")
        out = subprocess.run([client_bin], capture_output=True, text=True, timeout=TIMEOUT)
        if out.returncode != 0 or out.stdout != "joined General\n":
            sys.exit(f"FAIL the client of the README: exit {out.returncode}, {out.stdout!r} {out.stderr!r}")
        print("ok   the client of the README joins")
        server.send_signal(signal.SIGTERM)
        code = server.wait(TIMEOUT)
        if code != 0:
            sys.exit(f"FAIL the server of the README stopped with exit code {code}")
        print("ok   the server of the README stops cleanly")
    finally:
        if server is not None and server.poll() is None:
            server.kill()
            server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
