"""What template.yaml says, on the template as SAM expands it: an allow list, so that any addition has to be added here."""

import logging

import pytest
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from support import ROOT, plain_environment, run

REGION = "eu-central-1"

# Every action that each function may take, and on what.
ALLOWED = {
    "TokenFunctionRole": {
        "dynamodb:GetItem": [{"Fn::GetAtt": ["ClientsTable", "Arn"]}, {"Fn::GetAtt": ["StateTable", "Arn"]}],
        "dynamodb:PutItem": [{"Fn::GetAtt": ["StateTable", "Arn"]}],
        "dynamodb:UpdateItem": [{"Fn::GetAtt": ["StateTable", "Arn"]}],
        "secretsmanager:GetSecretValue": [{"Fn::GetAtt": ["SigningKeys", "Id"]}],
        "logs:CreateLogStream": [{"Fn::GetAtt": ["TokenLogGroup", "Arn"]}],
        "logs:PutLogEvents": [{"Fn::GetAtt": ["TokenLogGroup", "Arn"]}],
        # Only with a claims hook, and then that one function.
        "lambda:InvokeFunction": [{"Ref": "ClaimsHookFunctionArn"}],
    },
    # tests/it/rotate.rs holds the same list against the calls that are made.
    "RotateFunctionRole": {
        "secretsmanager:DescribeSecret": [{"Fn::GetAtt": ["SigningKeys", "Id"]}],
        "secretsmanager:GetSecretValue": [{"Fn::GetAtt": ["SigningKeys", "Id"]}],
        "secretsmanager:PutSecretValue": [{"Fn::GetAtt": ["SigningKeys", "Id"]}],
        "secretsmanager:UpdateSecretVersionStage": [{"Fn::GetAtt": ["SigningKeys", "Id"]}],
        "logs:CreateLogStream": [{"Fn::GetAtt": ["RotateLogGroup", "Arn"]}],
        "logs:PutLogEvents": [{"Fn::GetAtt": ["RotateLogGroup", "Arn"]}],
    },
}
FUNCTIONS = {"TokenFunction": "Token", "RotateFunction": "Rotate"}

ROUTES = {
    "ANY /oauth2/token",
    "ANY /api/id/v1/auth/token",
    "ANY /v1beta1/auth/token",
    "ANY /auth/token",
    "GET /.well-known/jwks.json",
    "GET /oauth2/jwks",
    "GET /v1beta1/auth/jwks",
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/openid-configuration",
    "GET /health",
}


def aslist(value):
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def resources():
    """The resources of the expanded template, without a call to AWS."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    template = yaml_parse((ROOT / "template.yaml").read_text())
    for function in FUNCTIONS:
        template["Resources"][function]["Properties"]["CodeUri"] = "s3://bucket/key"
    defaults = {name: value["Default"] for name, value in template["Parameters"].items()}

    class Session:
        region_name = REGION

    translator = Translator(managed_policy_map={}, sam_parser=Parser(), boto_session=Session())
    return translator.translate(template, defaults)["Resources"]


def of_type(resources, kind):
    return {name: body["Properties"] for name, body in resources.items() if body["Type"] == kind}


def statements(resources):
    for name, body in resources.items():
        for policy in aslist(body.get("Properties", {}).get("Policies", [])):
            if "Fn::If" in policy:
                condition, policy, otherwise = policy["Fn::If"]
                assert condition == "HasClaimsHook" and policy["PolicyName"] == "claims-hook"
                assert otherwise == {"Ref": "AWS::NoValue"}
            for statement in aslist(policy["PolicyDocument"]["Statement"]):
                yield name, statement


def test_each_function_may_do_exactly_what_is_listed(resources):
    granted = {}
    for role, statement in statements(resources):
        assert set(statement) == {"Sid", "Effect", "Action", "Resource"}, "no NotAction, no NotResource"
        assert statement["Effect"] == "Allow"
        for action in aslist(statement["Action"]):
            granted.setdefault(role, {}).setdefault(action, []).extend(aslist(statement["Resource"]))
    assert granted == ALLOWED


def test_without_a_claims_hook_no_function_may_be_invoked():
    conditions = yaml_parse((ROOT / "template.yaml").read_text())["Conditions"]
    assert conditions["HasClaimsHook"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ClaimsHookFunctionArn"}, ""]}]}


def test_no_role_comes_with_a_managed_policy_and_sam_adds_none(resources):
    roles = of_type(resources, "AWS::IAM::Role")
    assert roles.keys() == ALLOWED.keys()
    assert not [name for name, role in roles.items() if "ManagedPolicyArns" in role]
    assert not [name for name, body in resources.items() if body["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")]
    assert "AWSLambdaBasicExecutionRole" not in yaml.safe_dump(resources)
    functions = of_type(resources, "AWS::Lambda::Function")
    assert functions.keys() == FUNCTIONS.keys()
    for name, function in functions.items():
        assert function["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}


def test_only_lambda_takes_the_roles_and_only_this_api_and_this_secret_call_the_functions(resources):
    for role in of_type(resources, "AWS::IAM::Role").values():
        assert role["AssumeRolePolicyDocument"]["Statement"] == [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]
    assert of_type(resources, "AWS::Lambda::Permission") == {
        "HttpApiPermission": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": {"Ref": "TokenFunction"},
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": {
                "Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*/*"
            },
        },
        "RotatePermission": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": {"Ref": "RotateFunction"},
            "Principal": "secretsmanager.amazonaws.com",
            "SourceAccount": {"Ref": "AWS::AccountId"},
            "SourceArn": {"Fn::GetAtt": ["SigningKeys", "Id"]},
        },
    }


def test_the_keys_are_rotated_on_schedule_and_when_there_are_none_yet(resources):
    [rotation] = of_type(resources, "AWS::SecretsManager::RotationSchedule").values()
    assert rotation == {
        "SecretId": {"Fn::GetAtt": ["SigningKeys", "Id"]},
        "RotationLambdaARN": {"Fn::GetAtt": ["RotateFunction", "Arn"]},
        "RotateImmediatelyOnUpdate": True,
        "RotationRules": {"ScheduleExpression": {"Fn::Sub": "rate(${RotationDays} days)"}},
    }
    # Before the permission stands, the first rotation would fail.
    assert resources["SigningKeysRotation"]["DependsOn"] == "RotatePermission"
    variables = resources["RotateFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["SIGNING_KEYS_SECRET_ID"] == rotation["SecretId"]


def test_a_next_key_always_signs_and_its_predecessor_is_gone_before_the_next_rotation():
    parameters = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
    lead, period = parameters["RotationLead"], parameters["RotationDays"]
    # Gone two days after its end; the rotation itself may take a day to begin.
    assert lead["MaxValue"] / 86400 + 2 + 1 <= period["MinValue"]


def test_there_is_one_route_per_path_and_no_catch_all(resources):
    routes = of_type(resources, "AWS::ApiGatewayV2::Route").values()
    assert sorted(route["RouteKey"] for route in routes) == sorted(ROUTES)
    assert all(route["ApiId"] == {"Ref": "HttpApi"} for route in routes)
    assert all(route["Target"] == {"Fn::Sub": "integrations/${TokenIntegration}"} for route in routes)
    [integration] = of_type(resources, "AWS::ApiGatewayV2::Integration").values()
    assert integration["PayloadFormatVersion"] == "2.0"
    [stage] = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)


def test_what_cannot_be_made_again_outlives_the_stack(resources):
    for name in ("ClientsTable", "SigningKeys"):
        assert resources[name]["DeletionPolicy"] == "Retain", name
        assert resources[name]["UpdateReplacePolicy"] == "Retain", name
    clients = resources["ClientsTable"]["Properties"]
    assert clients["DeletionProtectionEnabled"] is True
    assert clients["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert clients["KeySchema"] == [{"AttributeName": "client_id", "KeyType": "HASH"}]
    state = resources["StateTable"]["Properties"]
    assert state["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert state["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    for table in (clients, state):
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"] == {"SSEEnabled": True}
    # No key in a template: the first rotation puts the ring in.
    assert not {"SecretString", "GenerateSecretString"} & set(resources["SigningKeys"]["Properties"])


def test_each_function_writes_json_to_a_log_group_of_its_own(resources):
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        group = f"{FUNCTIONS[name]}LogGroup"
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        assert function["LoggingConfig"]["LogGroup"] == {"Ref": group}
        assert resources[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        assert (function["Runtime"], function["Handler"]) == ("provided.al2023", "bootstrap")


def test_the_linters_have_nothing_to_say():
    run("cfn-lint", "--include-checks", "I", "--", "template.yaml", "infra/alarms.yaml", "infra/mtls-domain.yaml", env=plain_environment())
    run("sam", "validate", "--lint", env=plain_environment(AWS_DEFAULT_REGION=REGION))
