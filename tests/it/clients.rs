//! A client that knows nothing of this code: the `oauth2` crate, over HTTP, against `mintlet serve`.

use http::Request;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use mintlet::{
    dialect::DIALECTS,
    edge::moment,
    oauth::{jwt::Alg, vocabulary::JWT_BEARER_ASSERTION},
};
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, IntrospectionUrl, RequestTokenError, RevocationUrl,
    Scope, TokenIntrospectionResponse as _, TokenResponse as _, TokenUrl,
    basic::{BasicClient, BasicErrorResponseType, BasicTokenType},
};
use serde_json::{Value, json};

use crate::{
    proofs::ProofKey,
    server::{Server, send},
    signer::Signer,
    support::SECRET,
};

const ODD_SECRET: &str = "a secret: with+every/odd%character=&é in it";

fn file() -> Value {
    json!({"clients": [
        {"client_id": "billing", "client_secret": SECRET, "scope": "read write", "audience": ["https://api.example.com"]},
        {"client_id": "odd id", "client_secret": ODD_SECRET},
        {"client_id": "without-grant", "client_secret": SECRET, "grant_types": []}
    ]})
}

type Client = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

fn client(server: &Server, path: &str, id: &str, secret: &str) -> Client {
    BasicClient::new(ClientId::new(id.to_owned()))
        .set_client_secret(ClientSecret::new(secret.to_owned()))
        .set_token_uri(TokenUrl::new(format!("{}{path}", server.url)).unwrap())
}

const OAUTH2: &str = "/oauth2/token";
const SCREENING_EAGLE: &str = "/api/id/v1/auth/token";

#[tokio::test]
async fn an_independent_client_gets_tokens_that_verify() {
    let server = Server::with_clients(&file()).await;
    let jwks: JwkSet = serde_json::from_value(server.get("/oauth2/jwks").await).unwrap();
    for (path, auth, typ) in [
        (OAUTH2, AuthType::BasicAuth, "at+jwt"),
        (OAUTH2, AuthType::RequestBody, "at+jwt"),
        (SCREENING_EAGLE, AuthType::BasicAuth, "JWT"),
    ] {
        let client = client(&server, path, "billing", SECRET).set_auth_type(auth);
        let asked = client.exchange_client_credentials().add_scope(Scope::new("write".to_owned()));
        let token = asked.request_async(&send).await.unwrap();
        assert_eq!(*token.token_type(), BasicTokenType::Bearer);
        assert_eq!(token.expires_in().unwrap().as_secs(), 3600);
        assert_eq!(token.scopes().unwrap(), &vec![Scope::new("write".to_owned())]);
        assert!(token.refresh_token().is_none());

        let token = token.access_token().secret();
        let header = decode_header(token).unwrap();
        assert_eq!(header.typ.as_deref(), Some(typ));
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&["https://api.example.com"]);
        validation.set_issuer(&[&server.url]);
        let key = DecodingKey::from_jwk(jwks.find(&header.kid.unwrap()).unwrap()).unwrap();
        let claims = decode::<Value>(token, &key, &validation).unwrap().claims;
        assert_eq!(claims["client_id"], "billing");
        // 128 random bits in base64url.
        assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    }
}

#[tokio::test]
async fn no_two_tokens_are_the_same() {
    let server = Server::with_clients(&file()).await;
    let client = client(&server, OAUTH2, "billing", SECRET);
    let first = client.exchange_client_credentials().request_async(&send).await.unwrap();
    let second = client.exchange_client_credentials().request_async(&send).await.unwrap();
    assert_ne!(first.access_token().secret(), second.access_token().secret());
}

#[tokio::test]
async fn an_id_and_a_secret_of_odd_characters_survive_the_independent_clients_encoding() {
    let server = Server::with_clients(&file()).await;
    for (path, auth) in
        [(OAUTH2, AuthType::BasicAuth), (OAUTH2, AuthType::RequestBody), (SCREENING_EAGLE, AuthType::BasicAuth)]
    {
        let client = client(&server, path, "odd id", ODD_SECRET).set_auth_type(auth);
        client.exchange_client_credentials().request_async(&send).await.unwrap();
    }
}

#[tokio::test]
async fn an_independent_client_understands_every_refusal() {
    let server = Server::with_clients(&file()).await;
    let extension = |text: &str| BasicErrorResponseType::Extension(text.to_owned());
    let refusals = [
        ("billing", "wrong", None, BasicErrorResponseType::InvalidClient, extension("Unauthorized")),
        ("nobody", SECRET, None, BasicErrorResponseType::InvalidClient, extension("Unauthorized")),
        ("billing", SECRET, Some("admin"), BasicErrorResponseType::InvalidScope, extension("Forbidden")),
        ("billing", SECRET, Some("\""), BasicErrorResponseType::InvalidScope, extension("Bad Request")),
        ("without-grant", SECRET, None, BasicErrorResponseType::UnauthorizedClient, extension("Forbidden")),
    ];
    for (id, secret, scope, oauth2, screening_eagle) in refusals {
        for (path, expected) in [(OAUTH2, oauth2), (SCREENING_EAGLE, screening_eagle)] {
            let client = client(&server, path, id, secret).set_auth_type(AuthType::BasicAuth);
            let mut asked = client.exchange_client_credentials();
            if let Some(scope) = scope {
                asked = asked.add_scope(Scope::new(scope.to_owned()));
            }
            let Err(RequestTokenError::ServerResponse(refused)) = asked.request_async(&send).await else {
                unreachable!("{path} {id} {scope:?}: no answer that it understands");
            };
            assert_eq!(*refused.error(), expected, "{path} {id}");
            assert_eq!(refused.error_description().is_some(), path == OAUTH2);
        }
    }
}

// The client revokes over TLS alone, and here there is none: what it would send through it.
fn over_loopback(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    *request.uri_mut() = request.uri().to_string().replacen("https:", "http:", 1).parse().unwrap();
    request
}

// What a client signs to authenticate: a new assertion each time.
fn client_assertion(signer: &Signer, server: &Server, jti: &str) -> [(&'static str, String); 2] {
    let claims = json!({"iss": "holder", "sub": "holder", "aud": server.url, "exp": moment::now() + 60, "jti": jti});
    [("client_assertion_type", JWT_BEARER_ASSERTION.to_owned()), ("client_assertion", signer.jwt(&claims))]
}

#[tokio::test]
async fn an_independent_client_gets_a_bound_token_introspects_it_and_revokes_it_all_by_private_key_jwt() {
    let signer = Signer::new(Alg::ES256);
    let holder = json!({
        "client_id": "holder", "jwks": {"keys": [signer.jwk()]}, "scope": "read", "dpop_bound_access_tokens": true,
        "token_endpoint_auth_method": "private_key_jwt"
    });
    let server = Server::with_clients(&json!({"clients": [holder]})).await;
    let https = server.url.replacen("http:", "https:", 1);
    let over_tls = |request: Request<Vec<u8>>| send(over_loopback(request));
    // It makes no proofs; its way to send requests may add them.
    let key = ProofKey::generate(Alg::ES256);
    let with_proof = |mut request: Request<Vec<u8>>| {
        let proof = key.proof_with(|_, claims| {
            claims.insert("htu".to_owned(), json!(request.uri().to_string()));
            claims.insert("iat".to_owned(), json!(moment::now()));
        });
        request.headers_mut().insert("dpop", proof.parse().unwrap());
        send(request)
    };
    let client = BasicClient::new(ClientId::new("holder".to_owned()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(TokenUrl::new(format!("{}{OAUTH2}", server.url)).unwrap())
        .set_introspection_url(IntrospectionUrl::new(format!("{https}/oauth2/introspect")).unwrap())
        .set_revocation_url(RevocationUrl::new(format!("{https}/oauth2/revoke")).unwrap());

    let mut asked = client.exchange_client_credentials();
    for (name, value) in client_assertion(&signer, &server, "a") {
        asked = asked.add_extra_param(name, value);
    }
    let token = asked.request_async(&with_proof).await.unwrap();
    assert_eq!(*token.token_type(), BasicTokenType::Extension("dpop".to_owned()));
    let token = token.access_token();

    for (jti, active) in [("b", true), ("c", false)] {
        let mut asked = client.introspect(token);
        for (name, value) in client_assertion(&signer, &server, jti) {
            asked = asked.add_extra_param(name, value);
        }
        let shown = asked.request_async(&over_tls).await.unwrap();
        assert_eq!((shown.active(), shown.client_id().is_some()), (active, active));
        let mut asked = client.revoke_token(token.clone().into()).unwrap();
        for (name, value) in client_assertion(&signer, &server, &format!("{jti}-revoke")) {
            asked = asked.add_extra_param(name, value);
        }
        asked.request_async(&over_tls).await.unwrap();
    }
}

#[tokio::test]
async fn an_independent_client_introspects_and_revokes_by_its_secret() {
    let server = Server::with_clients(&file()).await;
    let https = server.url.replacen("http:", "https:", 1);
    let over_tls = |request: Request<Vec<u8>>| send(over_loopback(request));
    for auth in [AuthType::BasicAuth, AuthType::RequestBody] {
        let client = client(&server, OAUTH2, "billing", SECRET)
            .set_auth_type(auth)
            .set_introspection_url(IntrospectionUrl::new(format!("{https}/oauth2/introspect")).unwrap())
            .set_revocation_url(RevocationUrl::new(format!("{https}/oauth2/revoke")).unwrap());
        let token = client.exchange_client_credentials().request_async(&send).await.unwrap();
        let token = token.access_token();
        let shown = client.introspect(token).request_async(&over_tls).await.unwrap();
        assert!(shown.active());
        assert_eq!(shown.scopes().unwrap().len(), 2);
        client.revoke_token(token.clone().into()).unwrap().request_async(&over_tls).await.unwrap();
        assert!(!client.introspect(token).request_async(&over_tls).await.unwrap().active());
    }
}

#[tokio::test]
async fn what_a_client_sends_cannot_forge_a_log_line_and_no_secret_is_logged() {
    let server = Server::with_clients(&file()).await;
    let mut tokens = Vec::new();
    for dialect in &DIALECTS {
        let forged =
            format!("grant_type=client_credentials&client_id=x%0A{FORGED}%0D%1B[2K&client_secret=hunter2hunter2");
        server.post(dialect.path, ("x\n2030", "hunter2hunter2"), &forged).await;
        let mut ask = http::Request::post(format!("{}{}", server.url, dialect.path));
        ask = ask.header("content-type", "application/x-www-form-urlencoded");
        send(ask.body(forged.into_bytes()).unwrap()).await.unwrap();
        let answer = server.post(dialect.path, ("billing", SECRET), "grant_type=client_credentials").await;
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        tokens.extend(body["access_token"].as_str().map(str::to_owned));
    }
    assert_eq!(tokens.len(), 3);
    let (_, log) = server.stop("TERM").await;
    let requests: Vec<_> = log.lines().collect();
    assert_eq!(requests.len(), 12, "{log}");
    assert!(requests.iter().all(|line| line.contains("request_id") && !line.contains(['\r', '\u{1b}'])), "{log}");
    assert_eq!(log.matches("client_id=\"billing\"").count(), 3, "{log}");
    // What is nobody's id is not there at all.
    for secret in tokens.iter().map(String::as_str).chain([SECRET, "hunter2", "Basic ", FORGED]) {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

const FORGED: &str = "2030-01-01T00:00:00Z";
