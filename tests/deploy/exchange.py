"""What a client of each dialect sends, and how a resource server checks what it got."""

import secrets

import jwt
import requests


def secret():
    return secrets.token_urlsafe(32)


# One for each dialect, and one that is there to be disabled. Their secrets are this run's alone.
CLIENTS = {
    "batch-job": {
        "client_name": "Batch job",
        "client_secret": secret(),
        "grant_types": ["client_credentials"],
        "scope": "invoices:read invoices:write",
        "audience": ["https://billing.example.com"],
    },
    "site-inspector": {
        "client_name": "Site inspector",
        "client_secret": secret(),
        "grant_types": ["client_credentials"],
        "scope": "projects:read",
        "audience": ["https://inspect.example.com"],
        "roles": ["inspector"],
    },
    "6f1c1d0e-7d2b-4b34-9d0f-0a5f1c2b3d4e": {
        "client_name": "Deployer",
        "client_secret": secret(),
        "grant_types": ["client_credentials"],
        "audience": ["https://frontier.example.com"],
        "claims": {"org_ids": "c3b6f6a0-7d0e-4a43-8f0b-2e9d5c1a6f22"},
    },
    "order-producer": {
        "client_name": "Order producer",
        "client_secret": secret(),
        "grant_types": ["client_credentials"],
        "eventhos": {"id": 7, "identifier": "order-producer", "roles": ["producer"], "long_lived": False},
    },
    "short-stay": {
        "client_name": "Short stay",
        "client_secret": secret(),
        "grant_types": ["client_credentials"],
        "scope": "invoices:read",
    },
}
FRONTIER_CLIENT = "6f1c1d0e-7d2b-4b34-9d0f-0a5f1c2b3d4e"


def ask_oauth2(url, client_id="batch-job", client_secret=None):
    return requests.post(
        f"{url}/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(client_id, client_secret or CLIENTS[client_id]["client_secret"]),
        timeout=60,
    )


def ask_screening_eagle(url):
    return requests.post(
        f"{url}/api/id/v1/auth/token",
        data={"grant_type": "client_credentials", "scope": "projects:read"},
        auth=("site-inspector", CLIENTS["site-inspector"]["client_secret"]),
        timeout=60,
    )


def ask_frontier(url):
    return requests.post(
        f"{url}/v1beta1/auth/token",
        json={
            "grant_type": "client_credentials",
            "client_id": FRONTIER_CLIENT,
            "client_secret": CLIENTS[FRONTIER_CLIENT]["client_secret"],
        },
        timeout=60,
    )


def ask_eventhos(url):
    return requests.post(
        f"{url}/auth/token",
        data={
            "grant_type": "client_credentials",
            "response_type": "token",
            "client_id": "order-producer",
            "client_secret": CLIENTS["order-producer"]["client_secret"],
        },
        timeout=60,
    )


DIALECTS = {
    "oauth2": ask_oauth2,
    "screening-eagle": ask_screening_eagle,
    "frontier": ask_frontier,
    "eventhos": ask_eventhos,
}


def token_of(answer):
    """The token in a success answer, whichever dialect it is in."""
    assert answer.status_code in (200, 201), answer.text
    body = answer.json()
    return body["content"]["jwt_token"] if "content" in body else body["access_token"]


def verify(token, jwks, *, issuer, audience, algorithms=("RS256",)):
    """Header and claims of a token, after PyJWT has verified it with the key that its kid names."""
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWKSet.from_dict(jwks)[header["kid"]]
    claims = jwt.decode(
        token,
        key,
        algorithms=list(algorithms),
        issuer=issuer,
        audience=audience,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id"]},
    )
    return header, claims
