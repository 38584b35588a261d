"""Python clients that hold a key and no secret, against `mintlet serve`: Authlib, google-auth, and what Frontier's SDK sends."""

import json
import secrets
import time
import uuid

import google.auth.transport.requests
import jwt
import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from support import MINTLET, Program, free_port, plain_environment

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
JWK = json.loads(RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": "rsa"}
del JWK["key_ops"]


def client(client_id, **more):
    grants = ["client_credentials", JWT_BEARER]
    return {"client_id": client_id, "jwks": {"keys": [JWK]}, "grant_types": grants, "scope": "read write"} | more


CLIENTS = [
    client("svc", assertion_lifetime=3600),
    client("old", assertion_lifetime=3600, legacy_assertion_audience=True),
    client("strict"),
    client("6f4b0c9e-0c1d-4f6e-8a56-1b7f1f1f0f11", subject="service-user", assertion_profile="frontier"),
]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    clients = folder / "clients.json"
    clients.write_text(json.dumps({"clients": CLIENTS}))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Program(
        MINTLET, "serve", "--in-memory", "--port", port, "--clients", clients,
        env=plain_environment(), log=folder / "serve.log", cwd=folder,
    ) as server:
        server.wait_until(lambda: requests.get(f"{url}/health", timeout=5).ok, seconds=60, what="mintlet serve answers")
        yield url


def by_authlib(issuer, client_id, audience):
    with OAuth2Session(client_id, PEM, token_endpoint_auth_method="private_key_jwt") as session:
        session.register_client_auth_method(PrivateKeyJWT(audience))
        return session.fetch_token(f"{issuer}/oauth2/token", grant_type="client_credentials", scope="read")


def test_authlib_authenticates_by_private_key_jwt_again_and_again(issuer):
    for _ in range(2):
        token = by_authlib(issuer, "svc", issuer)
        assert (token["token_type"], token["scope"]) == ("Bearer", "read")


def test_authlib_as_its_manual_has_it_names_the_endpoint_and_needs_the_clients_leave(issuer):
    assert by_authlib(issuer, "old", None)["scope"] == "read"
    for client_id, audience in [("svc", None), ("strict", issuer)]:
        with pytest.raises(Exception, match="invalid_client"):
            by_authlib(issuer, client_id, audience)


def proof(issuer, key):
    claims = {"jti": secrets.token_hex(16), "htm": "POST", "htu": f"{issuer}/oauth2/token", "iat": int(time.time())}
    public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
    return jwt.encode(claims, key, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": public})


# Authlib makes no proofs of its own, and passes on one that it is given.
def test_authlib_gets_a_bound_token_introspects_it_and_revokes_it_all_by_private_key_jwt(issuer):
    method = "private_key_jwt"
    with OAuth2Session(
        "svc", PEM, token_endpoint_auth_method=method, revocation_endpoint_auth_method=method
    ) as session:
        session.register_client_auth_method(PrivateKeyJWT(issuer))
        key = ec.generate_private_key(ec.SECP256R1())
        token = session.fetch_token(
            f"{issuer}/oauth2/token", grant_type="client_credentials", headers={"DPoP": proof(issuer, key)}
        )
        assert token["token_type"] == "DPoP"

        def introspect():
            answer = session.introspect_token(f"{issuer}/oauth2/introspect", token["access_token"], "access_token")
            answer.raise_for_status()
            return answer.json()

        shown = introspect()
        assert (shown["active"], shown["client_id"], shown["token_type"]) == (True, "svc", "DPoP")
        assert session.revoke_token(f"{issuer}/oauth2/revoke", token["access_token"], "access_token").json() == {}
        assert introspect() == {"active": False}


def account(issuer, client_id):
    info = {
        "client_email": client_id, "private_key_id": "rsa", "private_key": PEM, "token_uri": f"{issuer}/oauth2/token",
    }
    return service_account.Credentials.from_service_account_info(info, subject=client_id)


def test_a_service_account_of_google_auth_gets_tokens(issuer):
    for _ in range(2):
        credentials = account(issuer, "svc").with_claims({"aud": issuer, "jti": secrets.token_hex(16)})
        credentials.refresh(google.auth.transport.requests.Request())
        claims = jwt.decode(credentials.token, options={"verify_signature": False})
        assert (claims["sub"], claims["scope"]) == ("svc", "read write")
        # The same assertion's id again.
        with pytest.raises(RefreshError, match="used before"):
            credentials.refresh(google.auth.transport.requests.Request())


def test_a_service_account_that_names_googles_audience_is_refused(issuer):
    with pytest.raises(RefreshError, match="invalid_grant"):
        account(issuer, "svc").with_claims({"jti": "a"}).refresh(google.auth.transport.requests.Request())


def test_what_the_frontier_sdk_sends_gets_tokens_in_body_and_header(issuer):
    kid, now = CLIENTS[-1]["client_id"], int(time.time())
    claims = {
        "iss": "//frontier-go-sdk", "sub": "service-user", "iat": now, "nbf": now, "exp": now + 12 * 60 * 60,
        "jti": str(uuid.uuid4()), "kid": kid,
    }
    assertion = jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": kid})
    url = f"{issuer}/v1beta1/auth/token"
    for _ in range(2):
        in_body = requests.post(url, json={"grant_type": JWT_BEARER, "assertion": assertion}, timeout=5)
        headers = {"Authorization": f"Bearer {assertion}"}
        in_header = requests.post(url, json={"grant_type": JWT_BEARER}, headers=headers, timeout=5)
        for answer in (in_body, in_header):
            assert answer.status_code == 200, answer.text
            token = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
            assert (token["sub"], token["sub_type"]) == ("service-user", "app/serviceuser")
