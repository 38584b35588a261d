//! What the server logs of requests, read from the real binary.

use http::Request;
use serde_json::json;

use crate::{
    server::{Server, send},
    signer::Signer,
    support::{SECRET, encode},
};

#[tokio::test]
async fn a_secret_that_is_sent_as_a_client_id_is_not_logged_and_the_id_of_a_client_is() {
    let file = json!({"clients": [{"client_id": "billing", "client_secret": SECRET}]});
    let clients = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(clients.path(), file.to_string()).unwrap();
    let args = ["--in-memory", "--clients", clients.path().to_str().unwrap()];
    let server = Server::start(&args, &[("LOG_LEVEL", "debug")]).await;
    let grant = "grant_type=client_credentials";
    let jwt_bearer = encode("urn:ietf:params:oauth:grant-type:jwt-bearer");
    let signer = Signer::new(mintlet::oauth::jwt::Alg::RS256);
    let assertion = signer.jwt_with(
        &json!({"alg": "RS256", "kid": SECRET}),
        &json!({"iss": SECRET, "sub": SECRET, "aud": server.url, "exp": mintlet::edge::moment::now() + 60, "jti": "a"}),
    );
    let client_assertion = format!(
        "client_assertion={assertion}&client_assertion_type={}",
        encode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    let forms = [
        ("/oauth2/token", format!("client_id={SECRET}")),
        ("/oauth2/token", format!("{grant}&client_id={SECRET}")),
        ("/oauth2/token", format!("{grant}&client_id={SECRET}&client_secret=billing")),
        ("/oauth2/token", format!("grant_type={SECRET}&client_id=billing&client_secret={SECRET}")),
        ("/oauth2/token", format!("{grant}&{client_assertion}")),
        ("/oauth2/token", format!("grant_type={jwt_bearer}&assertion={assertion}")),
        ("/v1beta1/auth/token", format!("grant_type={jwt_bearer}&assertion={assertion}")),
        ("/auth/token", format!("{grant}&client_id={SECRET}&client_secret=billing")),
        ("/oauth2/introspect", format!("token=x&client_id={SECRET}&client_secret=billing")),
        ("/oauth2/revoke", format!("token=x&{client_assertion}")),
    ];
    for (path, form) in &forms {
        let request = Request::post(format!("{}{path}", server.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.clone().into_bytes())
            .unwrap();
        assert!(send(request).await.unwrap().status().is_client_error(), "{path} {form}");
    }
    for path in ["/oauth2/token", "/api/id/v1/auth/token", "/v1beta1/auth/token"] {
        assert_eq!(server.post(path, (SECRET, "billing"), grant).await.status(), 401, "{path}");
    }
    assert_eq!(server.post("/oauth2/token", ("billing", "wrong"), grant).await.status(), 401);
    assert_eq!(server.post("/oauth2/introspect", ("billing", "wrong"), "token=x").await.status(), 401);
    let (_, log) = server.stop("TERM").await;
    assert_eq!(log.matches("outcome=\"refused\"").count(), forms.len() + 5, "{log}");
    assert!(!log.contains(SECRET), "{log}");
    // Whose secret is wrong is worth to know.
    assert_eq!(log.matches("client_id=\"billing\"").count(), 2, "{log}");
}
