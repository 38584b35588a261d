"""Mintlet under test: the release binary, as `mintlet serve`."""

import json
import os
import sqlite3
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


def client(client_id, alg, secrets=(SECRET,)):
    """A client as a clients file has it."""
    return {
        "client_id": client_id,
        "client_secrets": [{"secret": secret} for secret in secrets],
        "scope": "read write",
        "audience": ["https://api.example.com"],
        "token_endpoint_auth_method": "client_secret_post",
        "access_token_signed_response_alg": alg,
    }


def clients_file(clients=None, name="clients"):
    """A clients file; by default one client per algorithm, named after it."""
    SCRATCH.mkdir(exist_ok=True)
    path = SCRATCH / f"mintlet-{name}.json"
    path.write_text(json.dumps({"clients": clients or [client(alg, alg) for alg in ALGS]}))
    return path


def serve(program, *arguments, env=None, log="mintlet", keep_stderr=True, patience=60):
    """A running `mintlet serve`, with `port` and `dynamodb_port`. It logs errors only: the peers log no requests either."""
    server = Server(
        [program, "serve", "--port", "0", *arguments],
        env={"LOG_LEVEL": "error", "CLIENT_CACHE_TTL": "30", **(env or {})},
        log=log,
        keep_stderr=keep_stderr,
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

    vars(server).update(server.wait_until(ports, patience))
    return server


def grow(data_dir, count):
    """Puts clients c1, c2, ... into the table of a running server until there are `count`: copies of its client c0.

    The engine commits every item on its own, to disk, which takes milliseconds; its SQLite file takes a million at once.
    """
    with sqlite3.connect(data_dir / "dynamodb.sqlite", timeout=60) as database:
        database.execute(
            """
            WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)
            INSERT OR IGNORE INTO "mintlet-clients" (pk, sk, item_json, item_size, cached_at, hash_prefix)
            SELECT 'S:c' || n, sk, replace(item_json, '{"S":"c0"}', '{"S":"c' || n || '"}'), item_size, cached_at, hash_prefix
            FROM numbers, "mintlet-clients" WHERE pk = 'S:c0'
            """,
            (count,),
        )
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
