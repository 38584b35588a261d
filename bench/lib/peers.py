"""The peers: how each is installed into the scratch folder, started, and asked for a token."""

import os
import shutil
import subprocess
import sys

from . import glewlwyd
from .mintlet import SECRET
from .processes import BENCH, SCRATCH, Server, free_port

SOURCES = BENCH / "peers"
NODE = SCRATCH / "node"
VENV = SCRATCH / "python"
CLIENT_ID = "bench"


class Peer:
    """One server in one configuration. `alg` None: its tokens are opaque."""

    client_id, client_secret = CLIENT_ID, SECRET

    def __init__(self, name, alg, start, path, software, scope=None):
        self.name, self.alg, self.start, self.path, self.software = name, alg, start, path, software
        self.scope = scope

    def run(self):
        self.port = free_port()
        environment = {"PORT": str(self.port), "CLIENT_ID": self.client_id, "CLIENT_SECRET": self.client_secret}
        self.server = self.start(self, environment)
        self.server.wait_for_http(self.port, self.path)


def install():
    """Everything into the scratch folder; what is there already stays."""
    if not (NODE / "node_modules" / "oidc-provider").exists():
        NODE.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCES / "package.json", NODE)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--package-lock=false"], cwd=NODE, check=True)
    if not (VENV / "bin" / "gunicorn").exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([VENV / "bin" / "pip", "install", "-q", "-r", SOURCES / "requirements.txt"], check=True)


def node(script, env=None):
    def start(peer, environment):
        # Modules are looked up beside the script, so it goes where they are.
        shutil.copy(SOURCES / script, NODE)
        environment |= {"NODE_ENV": "production", "ALG": peer.alg, **(env or {})}
        return Server(["node", NODE / script], environment, log=peer.name)

    return start


def gunicorn(module, prepare=None, env=None):
    def start(peer, environment):
        environment |= env or {}
        if prepare:
            prepare(peer, environment)
        command = [VENV / "bin" / "gunicorn", "--chdir", SOURCES, "--bind", f"127.0.0.1:{peer.port}"]
        # One worker of the plainest kind: of those tried it needs the least CPU per request.
        command += ["--workers", "1", "--backlog", "2048", "--log-level", "warning", "--no-control-socket", module]
        return Server(command, environment, log=peer.name)

    return start


def django_database(peer, environment):
    database = SCRATCH / f"{peer.name}.sqlite"
    for suffix in ("", "-wal", "-shm"):
        (SCRATCH / (database.name + suffix)).unlink(missing_ok=True)
    environment["DATABASE"] = str(database)
    subprocess.run([VENV / "bin" / "python", SOURCES / "django_app.py"], env={**os.environ, **environment}, check=True)


PEERS = [
    Peer("oidc-provider-RS256", "RS256", node("oidc-provider.mjs"), "/token", "oidc-provider 9 on Node"),
    Peer("oidc-provider-ES256", "ES256", node("oidc-provider.mjs"), "/token", "oidc-provider 9 on Node"),
    Peer("node-oauth-RS256", "RS256", node("node-oauth.mjs"), "/token", "@node-oauth/oauth2-server 5 on Node"),
    Peer(
        "node-oauth-RS256-by-hand",
        "RS256",
        node("node-oauth.mjs", {"SIGNER": "crypto"}),
        "/token",
        "the same, the JWT put together by hand over node:crypto",
    ),
    Peer("authlib-RS256", "RS256", gunicorn("authlib_app:app"), "/token", "Authlib 1.9, Flask, gunicorn"),
    Peer(
        "django-oauth-toolkit-opaque",
        None,
        gunicorn("django_app:application", django_database, {"HASH_SECRET": "0"}),
        "/o/token/",
        "django-oauth-toolkit 3.4, gunicorn, SQLite; secret not hashed",
    ),
    Peer("glewlwyd-RS256", "RS256", glewlwyd.start, "/api/bench/token", "Debian's glewlwyd 2.7, OIDC plugin, SQLite", "read"),
]
