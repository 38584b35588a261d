"""A token endpoint is only worth timing if its answers are real."""

import base64
import json
import urllib.parse

from .processes import request

SIGNATURE_BYTES = {"RS256": 256, "ES256": 64, "EdDSA": 64, "HS256": 32}


def form(client_id, client_secret, scope=None):
    fields = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    return urllib.parse.urlencode(fields | ({"scope": scope} if scope else {}))


def check(port, path, client_id, client_secret, alg, scope=None):
    """Two tokens, different ones, signed as said (`alg` None: opaque); and a wrong secret is refused."""
    first, second = (_token(port, path, form(client_id, client_secret, scope)) for _ in range(2))
    if first == second:
        raise RuntimeError("the same token twice")
    if alg is None:
        if len(first) < 20 or first.count(".") == 2:
            raise RuntimeError(f"not an opaque token: {first}")
    else:
        header, claims, signature = (_decode(part) for part in first.split("."))
        header, claims = json.loads(header), json.loads(claims)
        if header["alg"] != alg or len(signature) != SIGNATURE_BYTES[alg]:
            raise RuntimeError(f"not an {alg} token: {header}, {len(signature)} bytes of signature")
        if not {"iss", "exp", "iat"} <= claims.keys():
            raise RuntimeError(f"claims are missing: {sorted(claims)}")
    status, _, _ = _post(port, path, form(client_id, client_secret + "x", scope))
    if status not in (400, 401, 403):
        raise RuntimeError(f"a wrong secret was answered with {status}")


def _token(port, path, body):
    status, _, answer = _post(port, path, body)
    if status != 200:
        raise RuntimeError(f"{status}: {answer[:500]!r}")
    return json.loads(answer)["access_token"]


def _post(port, path, body):
    return request("POST", port, path, body, {"Content-Type": "application/x-www-form-urlencoded"})


def _decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
