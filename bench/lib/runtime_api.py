"""A Lambda Runtime API on loopback that drives a function's own binary and keeps the times.

One thread, raw sockets with TCP_NODELAY, each answer in one write: what is measured is the function, not Nagle's algorithm.
"""

import json
import os
import selectors
import signal
import socket
import time
from pathlib import Path

from .processes import SCRATCH, cpu_ns, memory_kb, page_faults

EVENT = Path(__file__).resolve().parents[2] / "events" / "http-api-oauth2-post-text.json"
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:token"


def event(form):
    """An HTTP API event that posts a form; its body may hold %d."""
    content = json.loads(EVENT.read_text())
    content["body"], content["isBase64Encoded"] = form, False
    content["headers"]["content-length"] = str(len(form))
    return json.dumps(content)


class Function:
    """One execution environment: started at once, invoked one event at a time."""

    def __init__(self, program, env, log="function"):
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.buffers = {}
        self.waiting = None
        self.answer = None
        self.invocations = 0
        env = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.listener.getsockname()[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": "token",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "log",
            "AWS_LAMBDA_LOG_STREAM_NAME": "log",
            **env,
        }
        SCRATCH.mkdir(exist_ok=True)
        self.log = SCRATCH / f"{log}.log"
        sink = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        redirect = [(os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_DUP2, sink, 2)]
        self.started = time.perf_counter_ns()
        self.pid = os.posix_spawn(program, [str(program)], env, file_actions=redirect)
        os.close(sink)

    def wait_for_next(self):
        """Until the function asks for an event; the time since its start, in microseconds."""
        self._turn(lambda: self.waiting)
        return (self.asked - self.started) / 1e3

    def invoke(self, event):
        """What the function answers to an event, and after how many microseconds."""
        self._turn(lambda: self.waiting)
        body = event.encode()
        self.invocations += 1
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-{self.invocations:012}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1000) + 30000}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {ARN}\r\n\r\n"
        )
        connection, self.waiting, self.answer = self.waiting, None, None
        sent = time.perf_counter_ns()
        connection.sendall(head.encode() + body)
        self._turn(lambda: self.answer)
        return json.loads(self.answer), (self.answered - sent) / 1e3

    def since_start_us(self):
        """From its start to its latest answer."""
        return (self.answered - self.started) / 1e3

    def cpu_us(self):
        return cpu_ns(self.pid) / 1e3

    def memory_kb(self):
        return memory_kb(self.pid)

    def page_faults(self):
        return page_faults(self.pid)

    def stop(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None
        self.selector.close()
        for connection in [*self.buffers, self.listener]:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _turn(self, done, seconds=30):
        deadline = time.monotonic() + seconds
        while not done():
            for key, _ in self.selector.select(0.5):
                if key.fileobj is self.listener:
                    connection, _ = self.listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.buffers[connection] = b""
                    self.selector.register(connection, selectors.EVENT_READ)
                else:
                    self._read(key.fileobj)
            if not done() and (time.monotonic() > deadline or os.waitpid(self.pid, os.WNOHANG)[0]):
                raise RuntimeError(f"the function is silent:\n{self.log.read_text(errors='replace')[-2000:]}")

    def _read(self, connection):
        received = connection.recv(65536)
        now = time.perf_counter_ns()
        if not received:
            self.selector.unregister(connection)
            del self.buffers[connection]
            connection.close()
            return
        buffer = self.buffers[connection] + received
        while True:
            head, found, rest = buffer.partition(b"\r\n\r\n")
            if not found:
                break
            line, *headers = head.decode().split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in headers)}
            length = int(fields.get("content-length", 0))
            if "chunked" in fields.get("transfer-encoding", ""):
                if not rest.endswith(b"0\r\n\r\n"):
                    break
                body, buffer = _unchunk(rest), b""
            elif len(rest) < length:
                break
            else:
                body, buffer = rest[:length], rest[length:]
            self._handle(connection, line.split(" ")[1], body, now)
        self.buffers[connection] = buffer

    def _handle(self, connection, path, body, now):
        if path.endswith("/invocation/next"):
            self.waiting, self.asked = connection, now
            return
        if path.endswith("/response"):
            self.answer, self.answered = body, now
        elif path.endswith("/error"):
            raise RuntimeError(f"the function reports: {body.decode()}")
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def _unchunk(rest):
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        size = int(size, 16)
        body, rest = body + rest[:size], rest[size + 2 :]
        if not size:
            break
    return body
