"""Programs that the tests start, and how they wait for them: by asking again, never by guessing a time."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MINTLET = TARGET / "debug" / "mintlet"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def plain_environment(**extra):
    """This process's environment without anything that would lead an AWS client elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
    } | extra


def wait_until(ask, *, seconds, what, every=0.05):
    """Asks until the answer is true, and returns it. An exception is an answer too: not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer, fault = ask(), None
        except Exception as exception:  # noqa: BLE001 - whatever it is, it is shown if the time runs out
            answer, fault = None, exception
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what} (last fault: {fault!r})")
        time.sleep(every)


def run(*command, seconds=120, env, cwd=ROOT, stdin=None):
    """Runs a command to its end and returns what it printed; a failure shows all of it."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env=env,
        cwd=cwd,
        timeout=seconds,
        **({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}),
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Program:
    """A server in the background, in a process group of its own so that it takes its children along."""

    def __init__(self, *command, env, log, cwd=ROOT):
        self.log = Path(log)
        self.command = [str(word) for word in command]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_until(self, ask, *, seconds, what):
        def ask_if_alive():
            status = self.process.poll()
            if status is not None:
                raise SystemExit(f"{self.command} ended with {status} while waiting for: {what}\n{self.output()}")
            return ask()

        try:
            return wait_until(ask_if_alive, seconds=seconds, what=what)
        except AssertionError as fault:
            raise AssertionError(f"{fault}\n{self.command} printed:\n{self.output()}") from None

    def wait_for_output(self, pattern, *, seconds=30):
        return self.wait_until(
            lambda: re.search(pattern, self.output(), re.MULTILINE), seconds=seconds, what=f"output {pattern!r}"
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for kind, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(self.process.pid, kind)
            except ProcessLookupError:
                return
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        # The leader is gone; what it left behind in its group goes too.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
