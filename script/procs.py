"""Processes for the end-to-end scripts: started, spoken to, waited for, and ended
whatever happens. Standard library only, Python 3.11 or newer.

A Fleet owns every process of a script. Leaving its `with` block kills and reaps what
still runs, also after an exception, Ctrl-C or SIGTERM; its watchdog does so when the
script takes too long. Each process has two threads that collect its output lines and
end with it.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time

PATIENCE = 10.0  # seconds to wait for what must come


class Failed(Exception):
    """A check has failed."""


class Output:
    """The lines a process writes to one of its outputs, as they come."""

    def __init__(self, stream):
        self.lines = []  # all lines so far
        self.ended = False
        self._read = 0  # how many were waited for
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._collect, args=(stream,), daemon=True)
        self._thread.start()

    def _collect(self, stream):
        for line in stream:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def expect(self, pattern, patience=PATIENCE, anywhere=False):
        """Wait for a line that matches, after the one waited for last or anywhere; return the match."""
        wanted = re.compile(pattern)
        deadline = time.monotonic() + patience
        with self._changed:
            while True:
                for i in range(0 if anywhere else self._read, len(self.lines)):
                    if match := wanted.search(self.lines[i]):
                        self._read = max(self._read, i + 1)
                        return match
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    why = "the output has ended" if self.ended else f"not within {patience:g} s"
                    raise Failed(f"no line matches {pattern!r}: {why}")
                self._changed.wait(left)

    def next(self, n, patience=PATIENCE):
        """Wait for n more lines after the one waited for last; return them."""
        deadline = time.monotonic() + patience
        with self._changed:
            while len(self.lines) < self._read + n:
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    raise Failed(f"{n} more lines have not come")
                self._changed.wait(left)
            self._read += n
            return self.lines[self._read - n:self._read]

    def all(self, pattern):
        """The matches of all lines so far that match."""
        with self._changed:
            return [match for line in self.lines if (match := re.search(pattern, line))]

    def count(self, pattern):
        """How many lines match."""
        with self._changed:
            return sum(1 for line in self.lines if re.search(pattern, line))

    def join(self):
        """Wait until all has been read of a process that has ended."""
        self._thread.join(PATIENCE)


class Process:
    """One process with its input and its outputs."""

    def __init__(self, name, command):
        self.name = name
        # A session of its own: Ctrl-C is for the script, which ends the processes itself.
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace", start_new_session=True)
        self.out = Output(self.popen.stdout)
        self.err = Output(self.popen.stderr)

    def types(self, *lines):
        """Write lines to the process's input."""
        try:
            self.popen.stdin.write("".join(line + "\n" for line in lines))
            self.popen.stdin.flush()
        except OSError as error:
            raise Failed(f"{self.name} does not read: {error}") from error

    def hang_up(self):
        """End the process's input."""
        self.popen.stdin.close()

    def send(self, signum):
        """Send a signal."""
        self.popen.send_signal(signum)

    def exits(self, code, within=PATIENCE):
        """Wait for the process's end and compare its exit code."""
        try:
            got = self.popen.wait(within)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{self.name} has not ended within {within:g} s") from error
        self.out.join()
        self.err.join()
        if got != code:
            raise Failed(f"{self.name} has exited with {got}, want {code}")

    def kill(self):
        """End the process now, if it has not ended, and forget it."""
        self.popen.kill()
        self.popen.wait()
        self.out.join()
        self.err.join()
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            try:
                stream.close()
            except OSError:
                pass  # what was not written yet has no reader any more

    def transcript(self):
        """All that the process has said."""
        said = [f"  out| {line}" for line in self.out.lines[-20:]] + [f"  err| {line}" for line in self.err.lines[-20:]]
        return "\n".join([f"{self.name!r} (exit code {self.popen.poll()}):"] + said)


class Fleet:
    """All processes of a script, which has `limit` seconds."""

    def __init__(self, limit):
        self._limit = limit
        self._lock = threading.Lock()
        self._processes = []
        self._late = False  # the watchdog has barked
        self._starting = False  # a signal has to wait until the process is in the list
        self._interrupted = False
        self._watchdog = threading.Timer(limit, self._bark)
        self._watchdog.daemon = True

    def __enter__(self):
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._interrupt)
        self._watchdog.start()
        return self

    def __exit__(self, *_):
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)  # ending takes no time
        self._watchdog.cancel()
        self._kill_all()

    def start(self, name, *command):
        """Start a process."""
        with self._lock:
            if self._late:
                raise Failed("the time is over")
            self._starting = True
            try:
                process = Process(name, [str(word) for word in command])
                self._processes.append(process)
            finally:
                self._starting = False
        if self._interrupted:
            sys.exit(1)
        return process

    def tidy(self):
        """Forget the processes that have ended."""
        with self._lock:
            for process in [p for p in self._processes if p.popen.poll() is not None]:
                process.kill()
                self._processes.remove(process)

    def transcripts(self):
        """What the processes have said last."""
        return "\n".join(process.transcript() for process in self._processes)

    def _kill_all(self):
        with self._lock:
            for process in self._processes:
                process.kill()

    def _interrupt(self, *_):
        self._interrupted = True
        if not self._starting:
            print("interrupted", flush=True)
            sys.exit(1)

    def _bark(self):
        """End the script: with its processes dead, whatever it waits for fails."""
        print(f"FAIL not done within {self._limit:g} s", flush=True)
        with self._lock:
            self._late = True
        self._kill_all()
        time.sleep(PATIENCE)
        os._exit(1)  # it did not notice
