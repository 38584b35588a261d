"""Authlib behind Flask: one client; access tokens are RS256 JWTs by authlib.jose, signed with a key held in memory.

PORT, CLIENT_ID and CLIENT_SECRET come from the environment.
"""

import hashlib
import hmac
import os
import time
import uuid
import warnings

warnings.simplefilter("ignore")  # authlib.jose is deprecated in favour of its successor

from authlib.integrations.flask_oauth2 import AuthorizationServer  # noqa: E402
from authlib.jose import JsonWebKey, jwt  # noqa: E402
from authlib.oauth2.rfc6749 import ClientMixin, grants  # noqa: E402
from authlib.oauth2.rfc6750 import BearerTokenGenerator  # noqa: E402
from flask import Flask  # noqa: E402

ISSUER = f"http://127.0.0.1:{os.environ['PORT']}"
KEY = JsonWebKey.generate_key("RSA", 2048, is_private=True)
HEADER = {"alg": "RS256", "typ": "at+jwt", "kid": "bench"}


class Client(ClientMixin):
    client_id = os.environ["CLIENT_ID"]
    secret = hashlib.sha256(os.environ["CLIENT_SECRET"].encode()).digest()

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return scope or "read write"

    def check_client_secret(self, client_secret):
        return hmac.compare_digest(hashlib.sha256(client_secret.encode()).digest(), self.secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_post"

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


class ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]


def sign(client, grant_type, user, scope):
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "sub": client.client_id,
        "client_id": client.client_id,
        "aud": "https://api.example.com",
        "scope": scope or "read write",
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + 3600,
    }
    return jwt.encode(HEADER, claims, KEY).decode()


CLIENT = Client()
app = Flask(__name__)
server = AuthorizationServer(
    app,
    query_client=lambda client_id: CLIENT if client_id == CLIENT.client_id else None,
    save_token=lambda token, request: None,
)
server.register_grant(ClientCredentials)
server.register_token_generator("default", BearerTokenGenerator(access_token_generator=sign))


@app.post("/token")
def token():
    return server.create_token_response()
