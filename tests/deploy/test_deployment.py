"""A deployment's life, in order: empty, keyed, used, changed, with its backends failing. Each test starts where the last ended."""

import json
import re
import time
import uuid

import boto3
import jwt
import pytest
import requests
from botocore.exceptions import ClientError

from conftest import CLIENT_CACHE_TTL, KEYS_CACHE_TTL, REGION
from exchange import CLIENTS, DIALECTS, FRONTIER_CLIENT, ask_oauth2, token_of, verify
from support import ROOT, run, wait_until

# What a wait may take beyond the time that is promised: the requests themselves, on a busy machine.
SLACK = 3

# A backend that is out, as wire.md has each dialect say it.
OUT = {
    "oauth2": {"error": "temporarily_unavailable"},
    "screening-eagle": {"error": "Service Unavailable"},
    "frontier": {"code": 14},
    "eventhos": {"code": 500000},
}


def is_out(dialect, answer):
    """Holds an answer against a backend outage: 503, Retry-After in whole seconds, the dialect's own body."""
    assert answer.status_code == 503, f"{answer.status_code} {answer.text}"
    assert re.fullmatch(r"[1-9][0-9]*", answer.headers["Retry-After"])
    assert "WWW-Authenticate" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert OUT[dialect].items() <= body.items(), body
    return True


def kids(stack):
    answer = stack.get("/.well-known/jwks.json")
    assert answer.status_code == 200, answer.text
    return [key["kid"] for key in answer.json()["keys"]]


def test_the_stack_stands_and_answers(stack):
    assert stack.description()["StackStatus"] == "CREATE_COMPLETE"
    answer = stack.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_permissions_are_enforced_here(cloud, stack):
    """Without this, a policy that is too narrow would pass unseen."""
    stranger = cloud.client("dynamodb", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="no")
    with pytest.raises(ClientError, match="UnrecognizedClientException|InvalidClientTokenId"):
        stranger.get_item(TableName=stack.outputs["ClientsTableName"], Key={"client_id": {"S": "batch-job"}})


def test_clients_are_applied_and_applying_again_changes_nothing(stack, clients_file):
    table = boto3.resource(
        "dynamodb", endpoint_url=stack.cloud.url, region_name=REGION,
        aws_access_key_id="test", aws_secret_access_key="test",
    ).Table(stack.outputs["ClientsTableName"])
    stack.mintlet("client", "apply", "-f", clients_file)
    first = {item["client_id"]: item for item in table.scan()["Items"]}
    assert set(first) == set(CLIENTS)
    for client in CLIENTS.values():
        assert client["client_secret"] not in str(first), "secrets are stored hashed"
    stack.mintlet("client", "apply", "-f", clients_file)
    assert {item["client_id"]: item for item in table.scan()["Items"]} == first


@pytest.mark.parametrize("dialect", DIALECTS)
def test_before_any_key_exists_a_token_endpoint_answers_503(stack, dialect):
    assert is_out(dialect, DIALECTS[dialect](stack.url))


def test_the_first_rotation_makes_a_key_that_is_taken_up_without_a_new_deployment(stack):
    token = stack.rotate()
    assert stack.staged()["AWSCURRENT"] == token
    answer = wait_until(
        lambda: (answer := ask_oauth2(stack.url)).status_code == 200 and answer,
        seconds=KEYS_CACHE_TTL + SLACK,
        what="a token, once there is a key",
    )
    assert token_of(answer)
    assert len(kids(stack)) == 1


def test_an_oauth2_token_is_an_rfc_9068_token(stack):
    answer = ask_oauth2(stack.url)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    assert body["scope"] == "invoices:read invoices:write"
    header, claims = verify(
        token_of(answer), stack.get("/oauth2/jwks").json(), issuer=stack.issuer, audience="https://billing.example.com"
    )
    assert header.keys() == {"alg", "kid", "typ"}
    assert (header["typ"], header["alg"]) == ("at+jwt", "RS256")
    assert claims.keys() == {"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope"}
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("batch-job", "batch-job", body["scope"])
    assert claims["aud"] == "https://billing.example.com"
    assert all(type(claims[name]) is int for name in ("iat", "nbf", "exp"))
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 30
    other = verify(
        token_of(ask_oauth2(stack.url)), stack.get("/oauth2/jwks").json(),
        issuer=stack.issuer, audience="https://billing.example.com",
    )
    assert other[1]["jti"] != claims["jti"]


def test_the_use_of_a_secret_is_noted_by_the_functions_role(stack):
    """After the answer, in the background: asked for until it is there."""
    [secret] = wait_until(
        lambda: (secrets := json.loads(
            stack.mintlet("client", "secrets", "list", "--client-id", "batch-job", "--json")
        )["secrets"])[0].get("last_used_at") and secrets,
        seconds=30,
        what="the last use of batch-job's secret",
    )
    assert abs(secret["last_used_at"] - time.time()) < 120


def test_a_screening_eagle_token_has_its_claims(stack):
    answer = DIALECTS["screening-eagle"](stack.url)
    assert answer.status_code == 200
    header, claims = verify(
        token_of(answer), stack.get("/.well-known/jwks.json").json(),
        issuer=stack.issuer, audience="https://inspect.example.com",
    )
    assert header["typ"] == "JWT"
    assert (claims["scp"], claims["scopes"]) == ("projects:read", ["inspector"])


def test_a_frontier_token_has_its_claims(stack):
    answer = DIALECTS["frontier"](stack.url)
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type"}
    header, claims = verify(
        token_of(answer), stack.get("/v1beta1/auth/jwks").json(),
        issuer=stack.issuer, audience="https://frontier.example.com",
    )
    assert header["typ"] == "JWT"
    assert claims["kid"] == header["kid"]
    assert (claims["gen"], claims["sub_type"]) == ("system", "app/serviceuser")
    assert claims["org_ids"] == "c3b6f6a0-7d0e-4a43-8f0b-2e9d5c1a6f22"
    assert claims["client_id"] == FRONTIER_CLIENT


def test_an_eventhos_token_has_its_claims(stack):
    answer = DIALECTS["eventhos"](stack.url)
    assert answer.status_code == 201
    assert answer.json()["code"] == 200000
    header, claims = verify(
        token_of(answer), stack.get("/.well-known/jwks.json").json(), issuer=stack.issuer, audience="order-producer"
    )
    assert header["typ"] == "JWT"
    assert claims["data"] == {"id": 7, "subjectType": "client", "identifier": "order-producer"}


def test_a_wrong_secret_and_an_unknown_client_are_answered_alike(stack):
    answers = [
        ask_oauth2(stack.url, client_secret="not-the-secret"),
        requests.post(
            f"{stack.url}/oauth2/token", data={"grant_type": "client_credentials"}, auth=("nobody", "nothing"), timeout=60
        ),
    ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert answer.json()["error"] == "invalid_client"
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize("path", ["/oauth2/token", "/api/id/v1/auth/token", "/v1beta1/auth/token", "/auth/token", "/oauth2/introspect", "/oauth2/revoke"])
def test_a_get_of_a_token_endpoint_is_answered_by_the_function(stack, path):
    answer = stack.get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_token_is_introspected_until_it_is_revoked(stack):
    basic = ("batch-job", CLIENTS["batch-job"]["client_secret"])
    body = {"token": token_of(ask_oauth2(stack.url))}

    def introspect(**headers):
        return requests.post(f"{stack.url}/oauth2/introspect", data=body, auth=basic, headers=headers, timeout=60)

    assert introspect().json()["active"] is True
    signed = introspect(Accept="application/token-introspection+jwt")
    assert signed.headers["Content-Type"] == "application/token-introspection+jwt"
    header = jwt.get_unverified_header(signed.text)
    key = jwt.PyJWKSet.from_dict(stack.get("/.well-known/jwks.json").json())[header["kid"]]
    claims = jwt.decode(signed.text, key, algorithms=["RS256"], issuer=stack.issuer, audience="batch-job")
    assert (header["typ"], claims["token_introspection"]["active"]) == ("token-introspection+jwt", True)
    revoked = requests.post(f"{stack.url}/oauth2/revoke", data=body, auth=basic, timeout=60)
    assert (revoked.status_code, revoked.json()) == (200, {})
    assert introspect().json() == {"active": False}


@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])
def test_the_metadata_names_this_api(stack, path):
    metadata = stack.get(path).json()
    assert metadata["issuer"] == stack.issuer
    assert metadata["token_endpoint"] == f"{stack.issuer}/oauth2/token"
    assert metadata["jwks_uri"].startswith(f"{stack.issuer}/")


# What the template asks for and MiniStack's CloudFormation leaves off; and an encryption that it does not tell of.
LEFT_OFF = {"clients-recovery", "state-ttl"}


def test_the_doctor_finds_what_is_off_in_a_deployment_and_nothing_once_it_is_on(cloud, stack):
    def amiss(findings):
        return {check for check, found in findings.items() if any("fix" in finding for finding in found)}

    code, findings = stack.doctor()
    assert (code, amiss(findings)) == (1, LEFT_OFF), findings
    looked_at = {check for check, found in findings.items() if found[0]["status"] == "ok"}
    assert looked_at >= {
        "permissions", "clients-table", "clients-deletion-protection", "state-table", "ring", "active-key", "next-key",
        "health", "metadata", "issuer", "token-endpoint", "jwks", "jwks-kids", "jwks-cache", "speed", "clients",
    }, findings

    # As the fixes say, but for the tool.
    dynamodb = cloud.client("dynamodb")
    dynamodb.update_continuous_backups(
        TableName=stack.outputs["ClientsTableName"],
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    dynamodb.update_time_to_live(
        TableName=stack.outputs["StateTableName"],
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
    )
    code, findings = stack.doctor()
    assert (code, amiss(findings)) == (0, set()), findings


def test_the_doctor_tells_what_its_caller_may_not_do_from_what_is_broken(cloud, stack):
    iam = cloud.client("iam")
    iam.create_user(UserName="onlooker")
    table = f"arn:aws:dynamodb:{REGION}:000000000000:table/{stack.outputs['ClientsTableName']}"
    statement = {"Effect": "Allow", "Action": "dynamodb:DescribeTable", "Resource": table}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="onlooker", PolicyName="look", PolicyDocument=policy)
    key = iam.create_access_key(UserName="onlooker")["AccessKey"]
    code, findings = stack.doctor(AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])
    assert code == 1
    assert [finding["fix"].split()[3] for finding in findings["permissions"]] == [
        "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:Scan",
        "secretsmanager:GetSecretValue",
    ]
    assert findings["clients-table"][0]["status"] == "ok"
    for check in ("clients-recovery", "state-table", "state-ttl", "ring", "jwks-kids", "clients"):
        assert findings[check][0]["status"] == "skipped", check


def test_deploying_again_changes_nothing(stack):
    function = stack.cloud.client("lambda")
    name = stack.outputs["FunctionName"]
    before = function.get_function_configuration(FunctionName=name)
    updated = stack.description().get("LastUpdatedTime")
    printed = stack.deploy()
    assert f"No changes to deploy. Stack {stack.description()['StackName']} is up to date" in printed
    after = function.get_function_configuration(FunctionName=name)
    assert (after["RevisionId"], after["CodeSha256"]) == (before["RevisionId"], before["CodeSha256"])
    assert stack.description().get("LastUpdatedTime") == updated


def test_a_warm_function_takes_up_newer_keys_and_what_an_older_one_signed_still_verifies(stack):
    answer = ask_oauth2(stack.url)
    [first] = kids(stack)
    cold_starts = stack.cold_starts()

    # A rotation publishes the next key first; it signs a day later.
    current = stack.staged()["AWSCURRENT"]
    token = stack.rotate()
    assert (stack.staged()["AWSCURRENT"], stack.staged()["AWSPREVIOUS"]) == (token, current)
    wait_until(lambda: len(kids(stack)) == 2, seconds=KEYS_CACHE_TTL + SLACK, what="both keys in the JWKS")
    assert jwt.get_unverified_header(token_of(ask_oauth2(stack.url)))["kid"] == first
    listed = json.loads(stack.mintlet("key", "list", "--json", "--secret-id", stack.secret["SecretId"]))["keys"]
    [following] = [key for key in listed if key["kid"] != first]
    assert following["activate_at"] - following["created_at"] == 86400
    assert [key["retire_at"] for key in listed if key["kid"] == first] == [following["activate_at"]]

    stack.generate_key("--activate-in", "0")
    wait_until(lambda: len(kids(stack)) == 3, seconds=KEYS_CACHE_TTL + SLACK, what="three keys in the JWKS")
    assert jwt.get_unverified_header(token_of(ask_oauth2(stack.url)))["kid"] != first

    assert first in kids(stack)
    verify(
        token_of(answer), stack.get("/.well-known/jwks.json").json(),
        issuer=stack.issuer, audience="https://billing.example.com",
    )
    assert stack.cold_starts() == cold_starts, "no new execution environment was started"


def test_a_rotation_that_is_half_done_goes_on_and_what_is_no_rotation_is_refused(stack):
    before = stack.staged()["AWSCURRENT"]
    token = stack.begin_rotation()
    assert "createSecret has to come first" in stack.rotation_step("finishSecret", token)
    assert stack.rotation_step("createSecret", token) is None
    # The environment that did the first step is gone.
    stack.configure("RotateFunctionName", LOG_LEVEL="debug")
    for step in ("createSecret", "createSecret", "testSecret"):
        assert stack.rotation_step(step, token) is None
    assert "is not AWSPENDING in this secret" in stack.rotation_step("createSecret", str(uuid.uuid4()))
    other = stack.secret["SecretId"].replace(":secret:", ":secret:other-")
    assert "this function rotates another secret" in stack.rotation_step("createSecret", token, SecretId=other)
    assert "unknown variant" in stack.rotation_step("dropSecret", token)
    assert stack.staged()["AWSCURRENT"] == before
    for step in ("finishSecret", "finishSecret", "testSecret"):
        assert stack.rotation_step(step, token) is None
    assert stack.staged()["AWSCURRENT"] == token
    assert len(kids(stack)) == 3, "within a lead there is no further key"


def test_the_age_of_the_newest_key_is_logged_for_the_alarm(stack):
    ask_oauth2(stack.url)
    lines = wait_until(
        lambda: [line for line in stack.log() if '"newest_key_age_days"' in line], seconds=10, what="a reading of the ring"
    )
    assert {json.loads(line)["newest_key_age_days"] for line in lines} == {0}


def test_a_disabled_client_is_refused_within_the_stated_delay_and_an_enabled_one_served(stack):
    assert ask_oauth2(stack.url, "short-stay").status_code == 200
    stack.mintlet("client", "disable", "--client-id", "short-stay")
    # In a list, since a refusal counts as false.
    [refused] = wait_until(
        lambda: (answer := ask_oauth2(stack.url, "short-stay")).status_code != 200 and [answer],
        seconds=CLIENT_CACHE_TTL + SLACK,
        what="the disabled client is refused",
    )
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    stack.mintlet("client", "enable", "--client-id", "short-stay")
    wait_until(
        lambda: ask_oauth2(stack.url, "short-stay").status_code == 200,
        seconds=CLIENT_CACHE_TTL + SLACK,
        what="the enabled client is served",
    )


# From here on, microburst stands between the function and its backends.

FAULTS = {
    "dynamodb": {
        "throttled": {"operation": "GetItem", "error": {"code": "ProvisionedThroughputExceededException"}},
        "internal-error": {"operation": "GetItem", "error": {"code": "InternalServerError"}},
        "slow": {"operation": "GetItem", "latency": 30000},
        "reset": {"reset": True},
        "cut-off": {"operation": "GetItem", "response": {"abort_frac": 0.5}},
        "truncated": {"operation": "GetItem", "response": {"truncate_frac": 0.5}},
    },
    "secretsmanager": {
        "no-value": {"operation": "GetSecretValue", "error": {"code": "ResourceNotFoundException"}},
        "throttled": {"operation": "GetSecretValue", "error": {"code": "ThrottlingException"}},
        "internal-error": {"operation": "GetSecretValue", "error": {"code": "InternalServiceError"}},
        "slow": {"operation": "GetSecretValue", "latency": 30000},
        "reset": {"reset": True},
        "cut-off": {"operation": "GetSecretValue", "response": {"abort_frac": 0.5}},
        "truncated": {"operation": "GetSecretValue", "response": {"truncate_frac": 0.5}},
    },
}


@pytest.fixture
def faults(stack, microburst):
    """The function, cold, with its calls going through microburst and no client cached."""
    microburst.clear()
    stack.configure(
        AWS_ENDPOINT_URL_DYNAMODB=microburst.url,
        AWS_ENDPOINT_URL_SECRETS_MANAGER=microburst.url,
        CLIENT_CACHE_TTL="0",
    )
    yield microburst
    microburst.clear()
    stack.configure(
        AWS_ENDPOINT_URL_DYNAMODB=None,
        AWS_ENDPOINT_URL_SECRETS_MANAGER=None,
        CLIENT_CACHE_TTL=str(CLIENT_CACHE_TTL),
    )


def recovers(stack):
    wait_until(
        lambda: ask_oauth2(stack.url).status_code == 200,
        seconds=KEYS_CACHE_TTL + 2 * SLACK,
        what="tokens again, once the backend is back",
    )


@pytest.mark.parametrize("fault", FAULTS["dynamodb"])
@pytest.mark.parametrize("start", ["cold", "warm"])
def test_dynamodb_failing_is_a_503_in_every_dialect_and_it_recovers(stack, faults, fault, start):
    if start == "warm":
        recovers(stack)
        assert faults.seen() > 0, "the function's calls go through microburst"
    faults.inject("dynamodb", FAULTS["dynamodb"][fault])
    # One dialect is enough where each request takes as long as the function waits for its backend.
    for dialect in ["oauth2"] if fault == "slow" else DIALECTS:
        began = time.monotonic()
        answer = DIALECTS[dialect](stack.url)
        assert is_out(dialect, answer)
        assert time.monotonic() - began < 9, "well inside the function's own time limit"
    nobody = requests.post(
        f"{stack.url}/oauth2/token", data={"grant_type": "client_credentials"}, auth=("nobody", "nothing"), timeout=60
    )
    assert is_out("oauth2", nobody), "not a 401: it cannot be known"
    assert {event["service"] for event in faults.fired()} == {"dynamodb"}
    faults.clear()
    recovers(stack)


@pytest.mark.parametrize("fault", FAULTS["secretsmanager"])
def test_a_cold_function_without_secrets_manager_answers_503_and_recovers(stack, faults, fault):
    faults.inject("secretsmanager", FAULTS["secretsmanager"][fault])
    for dialect in ["oauth2"] if fault == "slow" else DIALECTS:
        began = time.monotonic()
        answer = DIALECTS[dialect](stack.url)
        assert is_out(dialect, answer)
        assert time.monotonic() - began < 9, "well inside the function's own time limit"
    assert {event["service"] for event in faults.fired()} == {"secretsmanager"}
    faults.clear()
    recovers(stack)


@pytest.mark.parametrize("fault", FAULTS["secretsmanager"])
def test_a_warm_function_goes_on_signing_without_secrets_manager(stack, faults, fault):
    recovers(stack)
    faults.inject("secretsmanager", FAULTS["secretsmanager"][fault])

    def refresh_was_tried():
        answer = ask_oauth2(stack.url)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        assert answer.elapsed.total_seconds() < 3, "no request waits for the refresh"
        return faults.fired()

    deadline = time.monotonic() + KEYS_CACHE_TTL + SLACK
    while not refresh_was_tried():
        assert time.monotonic() < deadline, "no refresh of the keys was tried"
        time.sleep(0.1)
    for dialect in DIALECTS.values():
        assert token_of(dialect(stack.url))


def test_a_function_that_is_frozen_between_its_calls_takes_up_a_newer_key(stack, faults):
    """Lambda stops a function as soon as it has answered: what runs in the background then gets no time to end."""
    recovers(stack)
    before = len(kids(stack))
    # A distance that is longer than a request takes.
    faults.inject("secretsmanager", {"operation": "GetSecretValue", "latency": 300})
    stack.generate_key()
    for _ in range(4):
        with stack.frozen():
            # Not a wait for anything: this is how long nobody calls.
            time.sleep(KEYS_CACHE_TTL + 1)
        now = len(kids(stack))
    assert now == before + 1


# And at the end, what all of this has left behind.


def test_the_logs_hold_a_line_for_each_request_and_no_secret(stack):
    def named():
        return [entry for entry in stack.requests_logged() if entry.get("client_id") == "batch-job"]

    before = len(named())
    ask_oauth2(stack.url)
    entries = wait_until(lambda: len(found := named()) == before + 1 and found, seconds=10, what="one more log line")
    for entry in entries:
        assert entry["timestamp"]
        assert entry["level"] in ("INFO", "WARN", "ERROR")
    for line in stack.log():
        assert not any(client["client_secret"] in line for client in CLIENTS.values()), "no client secret"
        assert not re.search(r"eyJ[A-Za-z0-9_-]+\.eyJ", line), "no token"
        assert not re.search(r"private_key_pkcs8|client_secrets", line), "nothing of a key, and no client record"


def test_the_alarms_stack_takes_the_outputs(stack):
    """As infra/README.md says to deploy it."""
    run(
        "sam", "deploy", "--template-file", ROOT / "infra" / "alarms.yaml", "--stack-name", "mintlet-alarms",
        "--config-file", ROOT / "samconfig.toml", "--no-confirm-changeset", "--parameter-overrides",
        *(
            f"{name}={stack.outputs[name]}"
            for name in ("FunctionName", "ApiId", "MetricNamespace", "RotateFunctionName", "LogGroupName")
        ),
        f"AlarmTopicArn=arn:aws:sns:{REGION}:000000000000:alarms",
        env=stack.cloud.environment,
    )
    alarms = stack.cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert sorted(alarm["MetricName"] for alarm in alarms) == [
        "5xx", "Errors", "Errors", "ExpiringSecretsInUse", "NewestKeyAgeDays", "Throttles"
    ]
    [age] = [alarm for alarm in alarms if alarm["MetricName"] == "NewestKeyAgeDays"]
    logs = stack.cloud.client("logs")
    filters = logs.describe_metric_filters(logGroupName=stack.log_group)["metricFilters"]
    [made] = [one for kept in filters for one in kept["metricTransformations"] if one["metricName"] == age["MetricName"]]
    assert made["metricNamespace"] == age["Namespace"]
    assert f'"{made["metricValue"].removeprefix("$.")}"' in "".join(stack.log()), "the field is one that is logged"
