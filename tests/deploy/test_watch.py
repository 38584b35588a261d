"""The function on a laptop: `mintlet serve` beside it as its DynamoDB, `cargo lambda watch` as its Lambda."""

import json

import pytest
import requests

from exchange import verify
from support import MINTLET, ROOT, Program, free_port, plain_environment, run

EVENTS = ROOT / "events"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("watch")


@pytest.fixture(scope="module")
def local(folder):
    """The first terminal: a local server, whose DynamoDB and key file the function shares."""
    port, dynamodb_port = free_port(), free_port()
    with Program(
        MINTLET, "serve", "--port", port, "--dynamodb-port", dynamodb_port,
        "--data-dir", folder / "data", "--clients", EVENTS / "clients.json",
        env=plain_environment(), log=folder / "serve.log",
    ) as server:
        url = f"http://127.0.0.1:{port}"
        server.wait_until(lambda: requests.get(f"{url}/health", timeout=5).ok, seconds=60, what="mintlet serve answers")
        yield {"url": url, "dynamodb": f"http://127.0.0.1:{dynamodb_port}", "log": server.output()}


@pytest.fixture(scope="module")
def watched(folder, local):
    """The second terminal: the function, started by cargo-lambda on its first call."""
    port = free_port()
    environment = plain_environment(
        AWS_ENDPOINT_URL_DYNAMODB=local["dynamodb"],
        AWS_REGION="local",
        AWS_ACCESS_KEY_ID="local",
        AWS_SECRET_ACCESS_KEY="local",
        SIGNING_KEYS_FILE=str(folder / "data" / "signing-keys.json"),
    )
    with Program(
        "cargo", "lambda", "watch", "--bin", "token", "--ignore-changes",
        "--invoke-address", "127.0.0.1", "--invoke-port", port,
        env=environment, log=folder / "watch.log",
    ) as watch:
        url = f"http://127.0.0.1:{port}"
        # The first call starts the function, after compiling what there is to compile.
        watch.wait_until(
            lambda: requests.get(f"{url}/health", timeout=600).status_code == 200, seconds=900, what="the function answers"
        )
        yield {"url": url, "port": port}


def jwks(local):
    return requests.get(f"{local['url']}/.well-known/jwks.json", timeout=30).json()


def test_an_event_is_answered_with_a_token(local, watched):
    printed = run(
        "cargo", "lambda", "invoke", "--invoke-address", "127.0.0.1", "--invoke-port", watched["port"],
        "--data-file", EVENTS / "http-api-oauth2-basic.json", "token",
        env=plain_environment(), seconds=120,
    )
    answer = json.loads(printed)
    assert answer["statusCode"] == 200, answer
    event = json.loads((EVENTS / "http-api-oauth2-basic.json").read_text())
    header, claims = verify(
        json.loads(answer["body"])["access_token"], jwks(local),
        issuer="https://" + event["requestContext"]["domainName"], audience="https://billing.example.com",
    )
    assert header["typ"] == "at+jwt"
    assert claims["client_id"] == "billing-worker"


def test_curl_s_plain_path_reaches_the_function(local, watched):
    answer = requests.post(
        f"{watched['url']}/oauth2/token",
        data={"grant_type": "client_credentials", "scope": "invoices:read"},
        auth=("billing-worker", "example-secret-of-the-billing-worker"),
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    _, claims = verify(
        answer.json()["access_token"], jwks(local), issuer="https://localhost", audience="https://billing.example.com"
    )
    assert claims["scope"] == "invoices:read"
