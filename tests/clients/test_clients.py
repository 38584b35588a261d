"""Python clients and verifiers against `mintlet serve`: Authlib and requests-oauthlib ask, PyJWT and Authlib verify, Authlib
introspects and revokes."""

import json
import os
from pathlib import Path

import jwt
import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError
from requests_oauthlib import OAuth2Session as OauthlibSession

from support import MINTLET, Program, free_port, plain_environment

CLIENTS_FILE = Path(__file__).parent / "clients.json"
CLIENTS = {client["client_id"]: client for client in json.loads(CLIENTS_FILE.read_text())["clients"]}
AUDIENCE = "https://api.example.com"

# oauthlib refuses plain HTTP otherwise, even on loopback.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Program(
        MINTLET, "serve", "--in-memory", "--port", port, "--clients", CLIENTS_FILE,
        env=plain_environment(), log=folder / "serve.log", cwd=folder,
    ) as server:
        server.wait_until(lambda: requests.get(f"{url}/health", timeout=5).ok, seconds=60, what="mintlet serve answers")
        yield url


def metadata(issuer):
    return requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=5).json()


def by_authlib(issuer, client, method):
    with AuthlibSession(client["client_id"], client["client_secret"], token_endpoint_auth_method=method) as session:
        return session.fetch_token(metadata(issuer)["token_endpoint"], grant_type="client_credentials", scope="read")


def by_oauthlib(issuer, client, method):
    with OauthlibSession(client=BackendApplicationClient(client_id=client["client_id"])) as session:
        return session.fetch_token(
            metadata(issuer)["token_endpoint"],
            client_id=client["client_id"],
            client_secret=client["client_secret"],
            scope=["read"],
            include_client_id=True if method == "client_secret_post" else None,
        )


@pytest.mark.parametrize("client_id", CLIENTS)
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("ask", [by_authlib, by_oauthlib])
def test_a_token_is_got_by_a_real_client_and_verified_by_pyjwt(issuer, client_id, method, ask):
    token = ask(issuer, CLIENTS[client_id], method)
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 3600

    key = jwt.PyJWKClient(metadata(issuer)["jwks_uri"]).get_signing_key_from_jwt(token["access_token"])
    algorithm = CLIENTS[client_id].get("access_token_signed_response_alg", "RS256")
    claims = jwt.decode(
        token["access_token"],
        key,
        algorithms=[algorithm],
        issuer=issuer,
        audience=AUDIENCE,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id"]},
    )
    assert (claims["client_id"], claims["scope"]) == (client_id, "read")


class ResourceServer(JWTBearerTokenValidator):
    """A resource server that takes RFC 9068 tokens and nothing else."""

    def get_jwks(self):
        return requests.get(metadata(self.issuer)["jwks_uri"], timeout=5).json()


def test_a_strict_rfc_9068_resource_server_takes_the_token_and_not_another_audience_s(issuer):
    token = by_authlib(issuer, CLIENTS["rs256"], "client_secret_basic")["access_token"]
    server = ResourceServer(issuer, AUDIENCE)
    server.validate_token(server.authenticate_token(token), ["read"], None)
    other = ResourceServer(issuer, "https://other.example.com")
    with pytest.raises(InvalidTokenError):
        other.validate_token(other.authenticate_token(token), ["read"], None)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_introspects_a_token_and_revokes_it(issuer, method):
    endpoints = metadata(issuer)
    client = CLIENTS["rs256"]
    token = by_authlib(issuer, client, method)["access_token"]
    with AuthlibSession(client["client_id"], client["client_secret"], token_endpoint_auth_method=method) as session:
        def introspect():
            answer = session.introspect_token(endpoints["introspection_endpoint"], token, "access_token")
            answer.raise_for_status()
            return answer.json()

        shown = introspect()
        assert (shown["active"], shown["client_id"], shown["scope"], shown["aud"]) == (True, "rs256", "read", AUDIENCE)
        for _ in range(2):
            answer = session.revoke_token(endpoints["revocation_endpoint"], token, "access_token")
            assert (answer.status_code, answer.json()) == (200, {})
            assert introspect() == {"active": False}


def test_a_refusal_is_understood(issuer):
    with pytest.raises(InvalidClientError):
        by_oauthlib(issuer, {"client_id": "rs256", "client_secret": "not-the-secret"}, "client_secret_basic")
