"""DPoP (RFC 9449) by a Python client, with and without nonces; Authlib and requests-oauthlib have none."""

import json
from pathlib import Path

import jwt
import pytest
import requests
from requests_oauth2client import DPoPToken, OAuth2Client, OAuth2Error

from support import MINTLET, Program, free_port, plain_environment

CLIENTS_FILE = Path(__file__).parent / "dpop-clients.json"
[CLIENT] = json.loads(CLIENTS_FILE.read_text())["clients"]


@pytest.fixture(scope="module", params=["off", "required"])
def client(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("serve")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Program(
        MINTLET, "serve", "--in-memory", "--port", port, "--clients", CLIENTS_FILE,
        env=plain_environment(DPOP_NONCE=request.param), log=folder / "serve.log", cwd=folder,
    ) as server:
        server.wait_until(lambda: requests.get(f"{url}/health", timeout=5).ok, seconds=60, what="mintlet serve answers")
        yield OAuth2Client.from_discovery_document(
            requests.get(f"{url}/.well-known/oauth-authorization-server", timeout=5).json(),
            issuer=url,
            client_id=CLIENT["client_id"],
            client_secret=CLIENT["client_secret"],
            testing=True,
        )


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_a_bound_token_is_got_with_a_key_of_every_algorithm(client, alg):
    token = client.client_credentials(scope="read", dpop=True, dpop_alg=alg)
    assert isinstance(token, DPoPToken)
    claims = jwt.decode(token.access_token, options={"verify_signature": False})
    assert claims["cnf"] == {"jkt": token.dpop_key.dpop_jkt}


def test_without_a_proof_the_refusal_is_understood(client):
    with pytest.raises(OAuth2Error) as refusal:
        client.client_credentials(scope="read")
    assert refusal.value.response.json()["error"] == "invalid_dpop_proof"
