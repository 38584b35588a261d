"""Debian's glewlwyd without installing it: its packages unpacked into the scratch folder, set up through its own API.

One OpenID Connect plugin that signs RS256, SQLite, secrets hashed with SHA-512.
"""

import gzip
import http.cookiejar
import json
import shutil
import sqlite3
import subprocess
import urllib.error
import urllib.request

from .processes import SCRATCH, Server

HOME = SCRATCH / "glewlwyd"
ROOT = HOME / "root"
# What a small Debian 12 lacks; glewlwyd's other dependencies are part of any.
PACKAGES = (
    "glewlwyd glewlwyd-common libcbor0.8 libconfig9 libhoel1.4 libiddawc1.1 libjansson4 libldap-2.5-0 libmariadb3"
    " libmicrohttpd12 liboath0 liborcania2.3 libpq5 librhonabwy1.1 libulfius2.7 libyder2.0"
).split()


def install():
    """Says why not, if it cannot be had here."""
    if (ROOT / "usr/bin/glewlwyd").exists():
        return None
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return "needs Debian's packages"
    HOME.mkdir(parents=True, exist_ok=True)
    got = subprocess.run(["apt-get", "-q", "download", *PACKAGES], cwd=HOME, check=False, capture_output=True, text=True)
    if got.returncode:
        return f"apt-get download failed: {got.stderr.strip().splitlines()[-1]}"
    for package in HOME.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, ROOT], check=True)
    return None


def start(peer, environment):
    base = f"http://127.0.0.1:{peer.port}/api"
    _database()
    (HOME / "glewlwyd.conf").write_text(_configuration(peer.port))
    libraries = next((ROOT / "usr/lib").glob("*-linux-gnu"))
    server = Server(
        [ROOT / "usr/bin/glewlwyd", f"--config-file={HOME}/glewlwyd.conf"],
        {"LD_LIBRARY_PATH": str(libraries)},
        log=peer.name,
    )
    server.wait_for_http(peer.port, "/api/")
    _set_up(base, environment)
    return server


def _database():
    database = HOME / "glewlwyd.sqlite"
    database.unlink(missing_ok=True)
    script = ROOT / "usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz"
    with sqlite3.connect(database) as connection:
        connection.executescript(gzip.decompress(script.read_bytes()).decode())
    connection.close()


def _configuration(port):
    library = ROOT / "usr/lib/glewlwyd"
    return f"""
port = {port}
bind_address = "127.0.0.1"
external_url = "http://127.0.0.1:{port}"
api_prefix = "api"
login_url = "login.html"
log_mode = "console"
log_level = "ERROR"
cookie_domain = "127.0.0.1"
cookie_secure = 0
session_expiration = 3600
session_key = "session"
admin_scope = "g_admin"
profile_scope = "g_profile"
user_module_path = "{library}/user"
user_middleware_module_path = "{library}/user_middleware"
client_module_path = "{library}/client"
user_auth_scheme_module_path = "{library}/scheme"
plugin_module_path = "{library}/plugin"
hash_algorithm = "SHA512"
database = {{ type = "sqlite3"  path = "{HOME}/glewlwyd.sqlite" }}
"""


def _set_up(base, environment):
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({})
    )

    def post(path, content):
        request = urllib.request.Request(
            base + path, json.dumps(content).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            opener.open(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"glewlwyd {path}: {error.code} {error.read()[:500]!r}") from None

    key = HOME / "key.pem"
    if not key.exists():
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout"], check=True, capture_output=True, text=True)
    # The account that its own database script makes.
    post("/auth/", {"username": "admin", "password": "password"})
    post("/scope/", {"name": "read", "display_name": "read"})
    parameters = {
        "iss": base,
        "jwt-type": "rsa",
        "jwt-key-size": "256",
        "key": key.read_text(),
        "cert": public.stdout,
        "access-token-duration": 3600,
        "refresh-token-duration": 3600,
        "code-duration": 600,
        "allow-non-oidc": True,
        "auth-type-client-enabled": True,
        "allowed-scope": ["openid", "read"],
    }
    post("/mod/plugin/", {"module": "oidc", "name": "bench", "display_name": "bench", "parameters": parameters})
    client = {
        "client_id": environment["CLIENT_ID"],
        "name": "bench",
        "enabled": True,
        "confidential": True,
        "password": environment["CLIENT_SECRET"],
        "token_endpoint_auth_method": ["client_secret_post"],
        "authorization_type": ["client_credentials"],
        "redirect_uri": [],
        "scope": ["read"],
    }
    post("/client/", client)
