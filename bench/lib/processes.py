"""Servers under test: started in their own process group, polled until they answer, stopped by id whatever happens."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
SCRATCH = BENCH / ".scratch"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

_running = []


class Server:
    """A process and its children, in a group of their own."""

    def __init__(self, argv, env=None, log="server", keep_stderr=True):
        SCRATCH.mkdir(exist_ok=True)
        self.log = SCRATCH / f"{log}.log"
        with open(self.log, "wb") as sink:
            self.process = subprocess.Popen(
                [str(word) for word in argv],
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink if keep_stderr else subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = self.process.pid
        _running.append(self)

    def stop(self):
        """Ends the whole group, by its id: first politely, after three seconds not."""
        if self in _running:
            _running.remove(self)
        for how, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
            try:
                os.killpg(self.pid, how)
            except ProcessLookupError:
                break
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            if not members(self.pid):
                break

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def cpu_seconds(self):
        """User and system time of the group so far."""
        return sum(_ticks(pid) for pid in members(self.pid)) / TICKS

    def resident_mb(self):
        """Resident memory of the group; pages that its processes share count once per process."""
        return sum(_resident(pid) for pid in members(self.pid)) * PAGE / 1e6

    def wait_until(self, ready, seconds=30):
        """Polls `ready` until it returns something, and returns that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            found = ready()
            if found:
                return found
            time.sleep(0.02)
        self.stop()
        tail = self.log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.process.args[0]} did not start:\n{tail}")

    def wait_for_http(self, port, path="/", seconds=30):
        """Polls until anything is answered over HTTP."""

        def answers():
            try:
                return request("GET", port, path)[0]
            except OSError:
                return None

        self.wait_until(answers, seconds)


def stop_all():
    for server in list(_running):
        server.stop()


def guard(main):
    """Runs `main`; every server is stopped, also after Ctrl-C, SIGTERM or a fault."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        stop_all()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(method, port, path, body=None, headers=None, timeout=30):
    """Status, headers and body of one HTTP exchange on loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def members(group):
    """The processes of a group."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(entry)
            if fields and int(fields[2]) == group and fields[0] != "Z":
                found.append(int(entry))
    return found


def cpu_ns(pid):
    """CPU time of the live threads of one process, in nanoseconds: finer than clock ticks."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:
            pass
    return total


def page_faults(pid):
    """Page faults that needed no disk."""
    return int(_stat(pid)[7])


def memory_kb(pid):
    """Resident memory now and at its peak, in kB."""
    found = {}
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                found[name] = int(value.split()[0])
    return found["VmRSS"], found["VmHWM"]


def machine():
    """The class of machine, without its name."""
    return {"cores": os.cpu_count(), "arch": os.uname().machine}


def save(section, content):
    """Puts one section into results.json, over what the section had under the same names."""
    path = BENCH / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    content = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine(), **content}
    results[section] = results.get(section, {}) | content
    path.write_text(json.dumps(results, indent=1) + "\n")


def _stat(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            # The name may hold spaces and parentheses: what follows its last one is state, parent, group, ...
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _ticks(pid):
    fields = _stat(pid)
    # utime and stime, fields 14 and 15 of proc(5).
    return int(fields[11]) + int(fields[12]) if fields else 0


def _resident(pid):
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
