"""The emulated cloud, the deployed stack, and the faults between them."""

import json
import os
import signal
import subprocess
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import boto3
import pytest
import requests
from botocore.config import Config

from exchange import CLIENTS
from support import MINTLET, ROOT, Program, free_port, plain_environment, run

REGION = "eu-central-1"
STACK = "mintlet"

# Short, so that the tests see them pass.
CLIENT_CACHE_TTL = 2
KEYS_CACHE_TTL = 2


class Cloud:
    """MiniStack with IAM enforced: the function runs with its role's credentials and may do what its policy says."""

    def __init__(self, folder):
        self.folder = folder
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.credentials = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
        self.environment = plain_environment(AWS_ENDPOINT_URL=self.url, **self.credentials)
        home = folder / "ministack"
        home.mkdir()
        # A bare environment: MiniStack hands its own on to the functions.
        self.program = Program(
            "ministack",
            env={
                "PATH": self.environment["PATH"],
                "HOME": str(home),
                "TMPDIR": str(home),
                "GATEWAY_PORT": str(port),
                "BIND_HOST": "127.0.0.1",
                "AUTH": "true",
                "AWS_ENDPOINT_URL": self.url,
                **self.credentials,
            },
            log=folder / "ministack.log",
        )

    def ready(self):
        def healthy():
            return requests.get(f"{self.url}/_ministack/health", timeout=5).ok

        self.program.wait_until(healthy, seconds=60, what="MiniStack answers")

    def client(self, service, config=None, **credentials):
        credentials = credentials or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, config=config, **credentials)


def read_link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


@dataclass
class Stack:
    cloud: Cloud
    outputs: dict = field(default_factory=dict)

    PARAMETERS = (
        "Architecture=x86_64",
        f"ClientCacheTtl={CLIENT_CACHE_TTL}",
        f"KeysCacheTtl={KEYS_CACHE_TTL}",
        # MiniStack's CloudFormation knows no rotation schedule, and its RotateSecret calls no function.
        "RotationSchedule=off",
    )

    def deploy(self):
        """Builds and deploys template.yaml, as an operator would. Returns what `sam deploy` printed."""
        build = self.cloud.folder / "build"
        run(
            "sam", "build", "--build-dir", build, "--parameter-overrides", *self.PARAMETERS,
            env=self.cloud.environment, seconds=1800,
        )
        printed = run(
            "sam", "deploy", "--template-file", build / "template.yaml",
            "--config-file", ROOT / "samconfig.toml", "--no-confirm-changeset",
            "--parameter-overrides", *self.PARAMETERS,
            env=self.cloud.environment, seconds=300,
        )
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in self.description()["Outputs"]}
        return printed

    def description(self):
        [stack] = self.cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return stack

    @cached_property
    def url(self):
        return f"{self.cloud.url}/_aws/execute-api/{self.outputs['ApiId']}/$default"

    @cached_property
    def issuer(self):
        """What API Gateway itself says its name is: no ISSUER is set."""
        return f"https://{self.outputs['ApiId']}.execute-api.localhost"

    def get(self, path):
        return requests.get(self.url + path, timeout=30)

    def mintlet(self, *arguments):
        """The command line, with an operator's credentials."""
        environment = self.cloud.environment | {
            "CLIENTS_TABLE": self.outputs["ClientsTableName"],
            "STATE_TABLE": self.outputs["StateTableName"],
        }
        return run(MINTLET, *arguments, env=environment)

    def doctor(self, *arguments, **credentials):
        """What the doctor says of the whole deployment: its exit code, and its findings by check."""
        done = subprocess.run(
            [
                MINTLET, "doctor", "--json", "--url", self.url, "--issuer", self.issuer,
                "--clients-table", self.outputs["ClientsTableName"], "--state-table", self.outputs["StateTableName"],
                "--secret-id", self.outputs["SigningKeysSecretArn"], *arguments,
            ],
            capture_output=True, text=True, timeout=60, env=self.cloud.environment | credentials,
        )
        assert done.stderr == ""
        findings = {}
        for finding in json.loads(done.stdout)["findings"]:
            findings.setdefault(finding["check"], []).append(finding)
        return done.returncode, findings

    def generate_key(self, *arguments):
        return self.mintlet("key", "generate", "--secret-id", self.outputs["SigningKeysSecretArn"], *arguments)

    @cached_property
    def secret(self):
        """The deployed key ring, under the name that every call takes."""
        return {"SecretId": self.outputs["SigningKeysSecretArn"]}

    def enable_rotation(self):
        client = self.cloud.client("lambda")
        arn = client.get_function_configuration(FunctionName=self.outputs["RotateFunctionName"])["FunctionArn"]
        # This marks the secret as one that is rotated; beyond that MiniStack only copies the version.
        self.cloud.client("secretsmanager").rotate_secret(
            **self.secret, RotationLambdaARN=arn, RotationRules={"AutomaticallyAfterDays": 30}
        )

    def begin_rotation(self):
        """What RotateSecret does on AWS before it calls the function: a pending version without a value. Returns its id."""
        # A value of no characters is one that boto3 would not send, and MiniStack's nearest to none.
        client = self.cloud.client("secretsmanager", config=Config(parameter_validation=False))
        token = str(uuid.uuid4())
        # On AWS a label is at one version; MiniStack would leave this one at the older version too.
        if pending := self.staged().get("AWSPENDING"):
            client.update_secret_version_stage(**self.secret, VersionStage="AWSPENDING", RemoveFromVersionId=pending)
        client.put_secret_value(**self.secret, ClientRequestToken=token, SecretString="", VersionStages=["AWSPENDING"])
        return token

    def rotation_step(self, step, token, **changes):
        """Calls the deployed function as Secrets Manager does. Returns its error, or None."""
        event = {"Step": step, "ClientRequestToken": token, **self.secret, **changes}
        answer = self.cloud.client("lambda").invoke(
            FunctionName=self.outputs["RotateFunctionName"], Payload=json.dumps(event)
        )
        payload = json.loads(answer["Payload"].read() or "null")
        return payload["errorMessage"] if "FunctionError" in answer else None

    def rotate(self):
        """A whole rotation."""
        token = self.begin_rotation()
        for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
            error = self.rotation_step(step, token)
            assert error is None, f"{step}: {error}"
        return token

    def staged(self):
        """The version that each staging label is at."""
        versions = self.cloud.client("secretsmanager").describe_secret(**self.secret)["VersionIdsToStages"]
        return {stage: version for version, stages in versions.items() for stage in stages}

    def empty_the_secret(self):
        """On AWS a secret without SecretString has no version at all; MiniStack makes one, with an empty text."""
        client = self.cloud.client("secretsmanager")
        secret = {"SecretId": self.outputs["SigningKeysSecretArn"]}
        version = client.get_secret_value(**secret)
        assert version["SecretString"] == "", "created without a value"
        client.update_secret_version_stage(**secret, VersionStage="AWSCURRENT", RemoveFromVersionId=version["VersionId"])

    def configure(self, function="FunctionName", **variables):
        """Changes a function's environment, so that its next request starts a new one. None takes a variable out."""
        client = self.cloud.client("lambda")
        name = self.outputs[function]
        now = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        then = {key: value for key, value in (now | variables).items() if value is not None}
        client.update_function_configuration(FunctionName=name, Environment={"Variables": then})
        client.get_waiter("function_updated_v2").wait(FunctionName=name)

    @contextmanager
    def frozen(self):
        """Stops the function's processes, as Lambda does between two calls."""
        processes = [
            int(exe.parent.name)
            for exe in Path("/proc").glob("[0-9]*/exe")
            if str(self.cloud.folder) in read_link(exe)
        ]
        assert processes, "the function runs"
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def log(self):
        """Every line in the function's log group, as CloudWatch has it."""
        client = self.cloud.client("logs")
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=self.log_group)
        return [event["message"] for page in pages for event in page["events"]]

    @cached_property
    def log_group(self):
        function = self.cloud.client("lambda").get_function_configuration(FunctionName=self.outputs["FunctionName"])
        return function["LoggingConfig"]["LogGroup"]

    def requests_logged(self):
        """The function's own lines, one for each request."""
        entries = [json.loads(line) for line in self.log() if line.startswith("{")]
        return [entry for entry in entries if "cold_start" in entry]

    def cold_starts(self):
        return sum(entry["cold_start"] is True for entry in self.requests_logged())


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    with cloud.program:
        cloud.ready()
        yield cloud


@pytest.fixture(scope="session")
def stack(cloud):
    stack = Stack(cloud)
    stack.deploy()
    stack.enable_rotation()
    stack.empty_the_secret()
    return stack


class Faults:
    """microburst between the function and the services it calls. It signs anew, since it is another host."""

    def __init__(self, cloud):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.program = Program(
            "microburst", "--upstream", cloud.url, "--host", "127.0.0.1", "--port", port, "--resign",
            env=cloud.environment,
            log=cloud.folder / "microburst.log",
        )

    def ready(self):
        self.program.wait_until(
            lambda: requests.get(f"{self.url}/_microburst/health", timeout=5).ok, seconds=60, what="microburst answers"
        )

    def clear(self):
        requests.post(f"{self.url}/_microburst/rules", json=[], timeout=5).raise_for_status()
        requests.delete(f"{self.url}/_microburst/fired", timeout=5).raise_for_status()

    def inject(self, service, fault):
        self.clear()
        requests.post(
            f"{self.url}/_microburst/rules", json=[{"service": service, **fault}], timeout=5
        ).raise_for_status()

    def fired(self):
        return requests.get(f"{self.url}/_microburst/fired", timeout=5).json()

    def seen(self):
        return requests.get(f"{self.url}/_microburst/health", timeout=5).json()["requests_seen"]


@pytest.fixture(scope="session")
def microburst(cloud):
    faults = Faults(cloud)
    with faults.program:
        faults.ready()
        yield faults


@pytest.fixture(scope="session")
def clients_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("clients") / "clients.json"
    file.write_text(json.dumps({"clients": [{"client_id": name, **body} for name, body in CLIENTS.items()]}))
    return file
