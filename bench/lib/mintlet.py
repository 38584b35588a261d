"""Mintlet under test: the release binary, as `mintlet serve`."""

import json
import os
import subprocess
import sys
from pathlib import Path

from .processes import BENCH, SCRATCH, Server

ALGS = ("RS256", "ES256", "EdDSA", "HS256")
PATH = "/oauth2/token"
SECRET = "bench-secret-0123456789abcdef0123456789abcdef"


def binary(given, name="mintlet"):
    """The binary to measure: the one given, or the release build of this tree, built if need be."""
    if given:
        return Path(given).resolve()
    built = Path(os.environ.get("CARGO_TARGET_DIR", BENCH.parent / "target")) / "release" / name
    if not built.exists():
        subprocess.run(["cargo", "build", "--release", "--bin", name], cwd=BENCH.parent, check=True)
    if not built.exists():
        sys.exit(f"{built} is missing; name another with --{name}")
    return built


def clients_file(path=None, more=()):
    """One client per algorithm, named after it."""
    path = path or SCRATCH / "mintlet-clients.json"
    SCRATCH.mkdir(exist_ok=True)
    clients = [
        {
            "client_id": alg,
            "client_secret": SECRET,
            "scope": "read write",
            "audience": ["https://api.example.com"],
            "token_endpoint_auth_method": "client_secret_post",
            "access_token_signed_response_alg": alg,
        }
        for alg in ALGS
    ]
    path.write_text(json.dumps({"clients": clients + list(more)}))
    return path


def serve(program, *arguments, env=None, log="mintlet"):
    """A running `mintlet serve`, with `port` and `dynamodb_port`. It logs errors only: the peers log no requests either."""
    server = Server(
        [program, "serve", "--port", "0", *arguments],
        env={"LOG_LEVEL": "error", "CLIENT_CACHE_TTL": "30", **(env or {})},
        log=log,
    )

    def ports():
        found = {}
        for line in server.log.read_text().splitlines():
            words = line.split()
            if line.startswith("mintlet listens on"):
                found["port"] = int(words[3].rpartition(":")[2])
            if line.startswith("DynamoDB"):
                found["dynamodb_port"] = int(words[1].rpartition(":")[2])
        return found if len(found) == 2 else None

    vars(server).update(server.wait_until(ports, 120))
    return server
