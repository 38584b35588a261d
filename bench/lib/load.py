"""Driving a token endpoint with wrk, and reading what came of it."""

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("token.lua")


def need_wrk():
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: apt-get install wrk")


def wrk(port, path, connections, seconds, body, *more):
    """Runs wrk; `body` may hold %d, which `more` fills: one of N numbers, a STEP apart."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT)]
    argv += [f"http://127.0.0.1:{port}{path}", "--", body, *map(str, more)]
    output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def measure(server, port, path, connections, seconds, body, *more):
    """One measurement: requests per second, latency, and the server's CPU time per token."""
    before = server.cpu_seconds()
    ran = wrk(port, path, connections, seconds, body, *more)
    used = server.cpu_seconds() - before
    if ran["failed"]:
        raise RuntimeError(f"{ran['failed']} of {ran['requests']} answers were not 200: {server.log}")
    if not ran["requests"]:
        raise RuntimeError(f"no answer at all: {server.log}")
    return {
        "per_second": ran["requests"] / ran["seconds"],
        "p50_us": ran["p50_us"],
        "p99_us": ran["p99_us"],
        "cpu_us": used / ran["requests"] * 1e6,
        "resident_mb": server.resident_mb(),
    }


def medians(rounds):
    """The median of each figure over several rounds."""
    return {name: round(statistics.median(one[name] for one in rounds), 1) for name in rounds[0]}
