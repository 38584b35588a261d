//! Mutual TLS (RFC 8705): client authentication by certificate, and tokens that are bound to one.

use std::sync::LazyLock;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderName, StatusCode, header};
use mintlet::{
    cli::registration,
    dialect::{DIALECTS, Dialect},
    edge::apigw::Event,
    oauth::{certificate::Certificate, error::Reason, jwt::Alg, vocabulary::JWT_BEARER_ASSERTION},
    service::{MutualTls, ORIGIN_SECRET_HEADER, OriginSecret},
};
use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType, date_time_ymd};
use serde_json::{Value, json};

use crate::{
    proofs::ProofKey,
    signer::Signer,
    support::{Ask, ISSUER, NOW, SECRET, World, body, parts, token_in},
};

const MTLS: &str = "https://mtls.example.com";
const ORIGIN_SECRET: &str = "an-origin-secret-of-more-than-32-characters";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const DPOP: HeaderName = HeaderName::from_static("dpop");
const CERTIFICATE_HEADER: HeaderName = HeaderName::from_static("cloudfront-viewer-cert-pem");
const SUBJECT: &str = r"CN=billing\, worker,OU=Payments,O=Example Corp,C=DE";

// A certificate whose private key is forgotten: nobody here looks at the handshake.
fn certificate(change: impl FnOnce(&mut CertificateParams)) -> rcgen::Certificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in [
        (DnType::CountryName, "DE"),
        (DnType::OrganizationName, "Example Corp"),
        (DnType::OrganizationalUnitName, "Payments"),
        (DnType::CommonName, "billing, worker"),
    ] {
        params.distinguished_name.push(kind, value);
    }
    params.subject_alt_names = vec![
        SanType::DnsName("billing.example.com".try_into().unwrap()),
        SanType::URI("spiffe://example.com/billing".try_into().unwrap()),
        SanType::IpAddress("2001:db8::7".parse().unwrap()),
        SanType::Rfc822Name("Billing@example.com".try_into().unwrap()),
    ];
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

static OURS: LazyLock<rcgen::Certificate> = LazyLock::new(|| certificate(|_| {}));
// The same names under another key.
static OTHER: LazyLock<rcgen::Certificate> = LazyLock::new(|| certificate(|_| {}));

fn thumbprint(certificate: &rcgen::Certificate) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate.der()))
}

// The certificate's key: the uncompressed point that ends its SubjectPublicKeyInfo (RFC 5480 section 2.2).
fn jwk(certificate: &rcgen::Certificate) -> Value {
    let bit_string = [0x03, 0x42, 0x00, 0x04];
    let at = certificate.der().windows(4).position(|bytes| bytes == bit_string).unwrap() + 4;
    let (x, y) = certificate.der()[at..at + 64].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
}

// What clients that sign assertions sign them with.
static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(Alg::ES256));

fn clients() -> Value {
    let mut key = jwk(&OURS);
    key["x5c"] = json!([STANDARD.encode(OURS.der())]);
    let by_name = |id: &str, name: &str, value: &str| json!({"client_id": id, "token_endpoint_auth_method": "tls_client_auth", name: value, "scope": "read"});
    json!([
        by_name("subject", "tls_client_auth_subject_dn", SUBJECT),
        by_name("dns", "tls_client_auth_san_dns", "BILLING.example.com"),
        by_name("uri", "tls_client_auth_san_uri", "spiffe://example.com/billing"),
        by_name("ip", "tls_client_auth_san_ip", "2001:DB8:0::7"),
        by_name("email", "tls_client_auth_san_email", "Billing@EXAMPLE.com"),
        by_name("other-subject", "tls_client_auth_subject_dn", r"CN=Billing\, worker,OU=Payments,O=Example Corp,C=DE"),
        by_name("other-dns", "tls_client_auth_san_dns", "example.com"),
        by_name("other-uri", "tls_client_auth_san_uri", "spiffe://example.com/Billing"),
        by_name("other-ip", "tls_client_auth_san_ip", "192.0.2.7"),
        by_name("other-email", "tls_client_auth_san_email", "billing@example.com"),
        // A name of one kind in a registration of another.
        by_name("dns-as-uri", "tls_client_auth_san_uri", "billing.example.com"),
        by_name("uri-as-dns", "tls_client_auth_san_dns", "spiffe://example.com/billing"),
        {
            "client_id": "self-signed", "token_endpoint_auth_method": "self_signed_tls_client_auth", "scope": "read",
            "jwks": {"keys": [jwk(&OTHER), key]}
        },
        {
            "client_id": "disabled", "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": SUBJECT,
            "disabled": true
        },
        {
            "client_id": "unbound", "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": SUBJECT,
            "tls_client_certificate_bound_access_tokens": false
        },
        {"client_id": "secret", "client_secret": SECRET, "eventhos": {"id": 1, "identifier": "secret"}},
        {
            "client_id": "bound", "client_secret": SECRET, "tls_client_certificate_bound_access_tokens": true,
            "eventhos": {"id": 2, "identifier": "bound"}
        },
        {
            "client_id": "exchanger", "client_secret": SECRET, "grant_types": [TOKEN_EXCHANGE],
            "audience": ["secret", "bound"], "subject_token_clients": ["secret", "bound"]
        },
        {
            "client_id": "signer", "jwks": {"keys": [SIGNER.jwk()]}, "grant_types": ["client_credentials", JWT_BEARER],
            "tls_client_certificate_bound_access_tokens": true
        },
    ])
}

async fn world() -> World {
    let mutual_tls = MutualTls { base_url: Some(MTLS.to_owned()), origin_secret: OriginSecret::new(ORIGIN_SECRET) };
    World::with(clients(), &[Alg::ES256], |settings| settings.mutual_tls = Some(mutual_tls), 0).await
}

fn ask(id: &str, certificate: Option<&rcgen::Certificate>) -> Ask {
    let mut ask = Ask::form("/oauth2/token", &format!("grant_type=client_credentials&client_id={id}"));
    ask.0.client_certificate = certificate.map(rcgen::Certificate::pem);
    ask
}

fn cnf(response: &mintlet::dialect::Response) -> Value {
    parts(token_in(&body(response))).1["cnf"].clone()
}

#[tokio::test]
async fn a_certificate_of_the_registered_name_or_the_registered_one_gets_a_token_that_is_bound_to_it() {
    let world = world().await;
    for (id, method) in [
        ("subject", "tls_client_auth"),
        ("dns", "tls_client_auth"),
        ("uri", "tls_client_auth"),
        ("ip", "tls_client_auth"),
        ("email", "tls_client_auth"),
        ("self-signed", "self_signed_tls_client_auth"),
    ] {
        let answer = world.send(ask(id, Some(&OURS))).await;
        assert_eq!(answer.record.reason, None, "{id}");
        let text = body(&answer.response);
        assert_eq!(
            (text["token_type"].as_str(), text["expires_in"].as_u64(), text["scope"].as_str()),
            (Some("Bearer"), Some(3600), Some("read")),
            "{id}"
        );
        assert_eq!(
            parts(text["access_token"].as_str().unwrap()).1,
            json!({
                "iss": ISSUER, "sub": id, "aud": id, "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "jti": "the-jti",
                "client_id": id, "scope": "read", "cnf": {"x5t#S256": thumbprint(&OURS)}
            })
        );
        assert_eq!(answer.record.auth_method, Some(method));
        assert_eq!(answer.record.credential_id, Some(thumbprint(&OURS)));
    }
}

#[tokio::test]
async fn a_certificate_authenticates_who_introspects_and_revokes() {
    let world = world().await;
    let token = token_in(&body(&world.send(ask("self-signed", Some(&OURS))).await.response)).to_owned();
    let about_of = |path: &str, id: &str, certificate: &rcgen::Certificate| {
        let mut ask = Ask::form(path, &format!("token={token}&client_id={id}"));
        ask.0.client_certificate = Some(certificate.pem());
        ask
    };
    let about = |path: &str, certificate: &rcgen::Certificate| about_of(path, "self-signed", certificate);
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        let reason = world.send(about(path, &OTHER)).await.record.reason;
        assert_eq!(reason, Some(Reason::CertificateMismatch), "{path}");
        // The certificate is the token's client's, and who asks is nobody.
        let reason = world.send(about_of(path, "nobody", &OURS)).await.record.reason;
        assert_eq!(reason, Some(Reason::UnknownClient), "{path}");
    }
    let answer = world.send(about("/oauth2/introspect", &OURS)).await;
    assert_eq!(answer.record.auth_method, Some("self_signed_tls_client_auth"));
    let shown = body(&answer.response);
    assert_eq!((&shown["active"], &shown["cnf"]), (&json!(true), &parts(&token).1["cnf"]));
    assert!(shown["cnf"]["x5t#S256"].is_string());
    assert_eq!(world.send(about("/oauth2/revoke", &OURS)).await.record.reason, None);
    assert_eq!(body(&world.send(about("/oauth2/introspect", &OURS)).await.response), json!({"active": false}));
}

#[tokio::test]
async fn any_other_certificate_is_refused_like_an_unknown_client() {
    let world = world().await;
    let oauth2 = Dialect::oauth2();
    for id in
        ["other-subject", "other-dns", "other-uri", "other-ip", "other-email", "dns-as-uri", "uri-as-dns", "secret"]
    {
        world.refuses(oauth2, id, ask(id, Some(&OURS)), Reason::CertificateMismatch).await;
    }
    world.takes(oauth2, "the name alone counts", ask("subject", Some(&OTHER))).await;
    world.refuses(oauth2, "not the name", ask("self-signed", Some(&OTHER)), Reason::CertificateMismatch).await;
    let nameless = certificate(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names.clear();
    });
    for id in ["subject", "dns", "uri", "ip", "email", "self-signed"] {
        world.refuses(oauth2, id, ask(id, Some(&nameless)), Reason::CertificateMismatch).await;
        world.refuses(oauth2, id, ask(id, None), Reason::NoCredentials).await;
    }
    world.refuses(oauth2, "unknown", ask("nobody", Some(&OURS)), Reason::UnknownClient).await;
    world.refuses(oauth2, "no id", ask("", Some(&OURS)), Reason::NoCredentials).await;
    world.refuses(oauth2, "4 KiB", ask(&"x".repeat(4097), Some(&OURS)), Reason::CredentialTooLong).await;
    world.refuses(oauth2, "disabled", ask("disabled", Some(&OURS)), Reason::ClientDisabled).await;
    let mut malformed = ask("subject", Some(&OURS));
    malformed.0.client_certificate.as_mut().unwrap().push_str(&OTHER.pem());
    world.refuses(oauth2, "two certificates", malformed, Reason::MalformedCertificate).await;
}

#[tokio::test]
async fn what_is_not_one_whole_certificate_of_at_most_16_kib_is_refused() {
    let world = world().await;
    let over = |pem: String| {
        let mut ask = ask("subject", None);
        ask.0.client_certificate = Some(pem);
        ask
    };
    let pem_of =
        |der: &[u8]| format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der));
    let pem = OURS.pem();
    let named_twice = certificate(|params| {
        // dNSName a (RFC 5280 section 4.2.1.6).
        let second = CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0x03, 0x82, 0x01, b'a']);
        params.custom_extensions.push(second);
    });
    for (title, pem) in [
        ("no first line", pem.replace("-----BEGIN CERTIFICATE-----", "")),
        ("no last line", pem.replace("-----END CERTIFICATE-----", "")),
        ("another label", pem.replace("CERTIFICATE", "X509 CERTIFICATE")),
        ("a byte after it", pem_of(&[OURS.der().as_ref(), &[0]].concat())),
        ("cut off", pem_of(&OURS.der()[..OURS.der().len() - 1])),
        ("alternative names twice", named_twice.pem()),
        ("16 KiB and more", pem.replace("-----END", &format!("{}-----END", "\n".repeat(16 * 1024)))),
    ] {
        world.refuses(Dialect::oauth2(), title, over(pem), Reason::MalformedCertificate).await;
    }
    world.takes(Dialect::oauth2(), "the same DER", over(pem_of(OURS.der()))).await;
    world
        .takes(
            Dialect::oauth2(),
            "15 KiB",
            over(pem.replace("-----END", &format!("{}-----END", "\n".repeat(15 * 1024 - pem.len())))),
        )
        .await;
}

#[tokio::test]
async fn a_certificate_is_good_from_its_first_second_to_its_last() {
    let params = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2027, 1, 1);
        params.not_after = date_time_ymd(2027, 2, 1);
    };
    let (certificate, world) = (certificate(params), world().await);
    let (first, last) = (1_798_761_600, 1_801_440_000);
    for (now, reason) in [
        (first - 1, Some(Reason::CertificateNotValid)),
        (first, None),
        (last, None),
        (last + 1, Some(Reason::CertificateNotValid)),
    ] {
        let answer = world.send_at(ask("subject", Some(&certificate)), now).await;
        assert_eq!(answer.record.reason, reason, "{now}");
        assert_eq!(answer.response.status().is_success(), reason.is_none());
    }
}

#[tokio::test]
async fn a_certificate_is_one_method_and_a_second_one_decides() {
    let world = world().await;
    let oauth2 = Dialect::oauth2();
    // The secret authenticates, and the certificate of the connection is no second method; but it does not stand in for one.
    let over_mtls = |ask: Ask| {
        let mut ask = ask;
        ask.0.client_certificate = Some(OURS.pem());
        ask
    };
    world.takes(oauth2, "a secret", over_mtls(Ask::token(oauth2, "secret", SECRET))).await;
    let wrong = over_mtls(Ask::token(oauth2, "subject", SECRET));
    world.refuses(oauth2, "a certificate's client with a secret", wrong, Reason::SecretMismatch).await;
    let body = "grant_type=client_credentials&client_id=subject&client_assertion=x";
    let assertion = over_mtls(Ask::form(oauth2.path, body));
    assert!(world.send(assertion).await.record.reason.is_some());
}

#[tokio::test]
async fn a_certificate_that_is_registered_anew_works_on_a_warm_instance() {
    let on = MutualTls { base_url: Some(MTLS.to_owned()), origin_secret: None };
    let world = World::with(clients(), &[Alg::ES256], |settings| settings.mutual_tls = Some(on), 300).await;
    let send = |now| world.send_at(ask("other-dns", Some(&OURS)), now);
    assert_eq!(send(NOW).await.record.reason, Some(Reason::CertificateMismatch));
    let changed = json!({"clients": [{
        "client_id": "other-dns", "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "billing.example.com", "scope": "read"
    }]});
    world.clients.apply(registration::read_file(&changed.to_string()).unwrap()).await.unwrap();
    assert_eq!(send(NOW + 5).await.record.reason, None);
}

#[tokio::test]
async fn only_the_oauth2_dialect_takes_a_certificate_for_a_client() {
    let world = world().await;
    for dialect in DIALECTS.iter().filter(|dialect| dialect.name != "oauth2") {
        let mut ask = Ask::form(dialect.path, "grant_type=client_credentials&client_id=subject");
        ask.0.client_certificate = Some(OURS.pem());
        world.refuses(dialect, "", ask, Reason::NoCredentials).await;
    }
}

#[tokio::test]
async fn a_token_is_bound_where_the_registration_asks_for_it() {
    let world = world().await;
    assert_eq!(cnf(&world.send(ask("unbound", Some(&OURS))).await.response), Value::Null);
    for dialect in &DIALECTS {
        let over_mtls = |id: &str, pem: Option<String>| {
            let mut ask = Ask::token(dialect, id, SECRET);
            ask.0.client_certificate = pem;
            ask
        };
        let bound = world.send(over_mtls("bound", Some(OTHER.pem()))).await;
        assert_eq!(cnf(&bound.response), json!({"x5t#S256": thumbprint(&OTHER)}), "{}", dialect.name);
        let free = world.send(over_mtls("secret", Some(OTHER.pem()))).await;
        assert_eq!(cnf(&free.response), Value::Null, "{}", dialect.name);
        world.refuses(dialect, "no certificate", over_mtls("bound", None), Reason::NoCertificateToBind).await;
        let malformed = over_mtls("bound", Some("x".to_owned()));
        world.refuses(dialect, "malformed", malformed, Reason::NoCertificateToBind).await;
        // Nothing is said of the client before its secret is proven.
        let wrong = Ask::token(dialect, "bound", "wrong");
        world.refuses(dialect, "wrong secret", wrong, Reason::SecretMismatch).await;
    }
}

#[tokio::test]
async fn a_token_is_bound_to_the_certificate_and_the_key_of_the_proof_at_once() {
    let (world, key) = (world().await, ProofKey::fixed());
    let answer = world.send(ask("subject", Some(&OURS)).header(DPOP, &key.proof())).await;
    assert_eq!(cnf(&answer.response), json!({"jkt": key.thumbprint(), "x5t#S256": thumbprint(&OURS)}));
    assert_eq!(body(&answer.response)["token_type"], "DPoP");
    // The one is no substitute for the other, and a proof is not used up without it.
    let proof = key.proof_with(|_, claims| drop(claims.insert("jti".to_owned(), json!("proof-2"))));
    let bound = |certificate| {
        let mut ask = Ask::token(Dialect::oauth2(), "bound", SECRET).header(DPOP, &proof);
        ask.0.client_certificate = certificate;
        ask
    };
    world.refuses(Dialect::oauth2(), "no certificate", bound(None), Reason::NoCertificateToBind).await;
    world.takes(Dialect::oauth2(), "certificate and proof", bound(Some(OURS.pem()))).await;
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_is_not_exchanged_whatever_is_proven() {
    let (world, key) = (world().await, ProofKey::fixed());
    let over_mtls = |ask: Ask, proof: Option<&str>| {
        let mut ask = ask;
        ask.0.client_certificate = Some(OURS.pem());
        let Some(jti) = proof else { return ask };
        ask.header(DPOP, &key.proof_with(|_, claims| drop(claims.insert("jti".to_owned(), json!(jti)))))
    };
    let issue = async |id: &str, proof: Option<&str>| {
        let answer = world.send(over_mtls(Ask::token(Dialect::oauth2(), id, SECRET), proof)).await;
        token_in(&body(&answer.response)).to_owned()
    };
    let exchange = |subject: &str, proof: Option<&str>| {
        let kind = "urn:ietf:params:oauth:token-type:access_token";
        let form = format!("grant_type={TOKEN_EXCHANGE}&subject_token={subject}&subject_token_type={kind}");
        over_mtls(Ask::form("/oauth2/token", &form).basic("exchanger", SECRET), proof)
    };
    let oauth2 = Dialect::oauth2();
    world.takes(oauth2, "bound to nothing", exchange(&issue("secret", None).await, None)).await;
    world.takes(oauth2, "bound to the key", exchange(&issue("secret", Some("a")).await, Some("b"))).await;
    let (certificate, both) = (issue("bound", None).await, issue("bound", Some("c")).await);
    for (title, subject, proof) in [
        ("to the certificate", &certificate, None),
        ("to the certificate, with a proof", &certificate, Some("d")),
        ("to both", &both, None),
        ("to both, with a proof", &both, Some("d")),
    ] {
        world.refuses(oauth2, title, exchange(subject, proof), Reason::SubjectTokenBound).await;
    }
}

#[tokio::test]
async fn beside_an_assertion_a_certificate_binds_and_does_not_authenticate() {
    let world = world().await;
    let assertion =
        |jti: &str| SIGNER.jwt(&json!({"iss": "signer", "sub": "signer", "aud": ISSUER, "exp": NOW + 60, "jti": jti}));
    let authenticating = |jti: &str| {
        format!(
            "grant_type=client_credentials&client_assertion_type={JWT_BEARER_ASSERTION}&client_assertion={}",
            assertion(jti)
        )
    };
    let granting = |jti: &str| format!("grant_type={JWT_BEARER}&client_id=signer&assertion={}", assertion(jti));
    for (body, method) in [(authenticating("a"), Some("private_key_jwt")), (granting("b"), None)] {
        let over = |certificate: Option<&rcgen::Certificate>| {
            let mut ask = Ask::form("/oauth2/token", &body);
            ask.0.client_certificate = certificate.map(rcgen::Certificate::pem);
            ask
        };
        world.refuses(Dialect::oauth2(), "no certificate", over(None), Reason::NoCertificateToBind).await;
        let answer = world.send(over(Some(&OTHER))).await;
        assert_eq!(cnf(&answer.response), json!({"x5t#S256": thumbprint(&OTHER)}), "{body}");
        assert_eq!((answer.record.auth_method, answer.record.credential_id), (method, Some(SIGNER.kid.clone())));
    }
}

#[tokio::test]
async fn a_certificate_in_a_header_is_believed_of_cloudfront_alone() {
    let world = world().await;
    let oauth2 = Dialect::oauth2();
    let pem = OURS.pem();
    let encoded: String = pem
        .chars()
        .map(|c| match c {
            '\n' => "%0A".to_owned(),
            '\r' => "%0D".to_owned(),
            ' ' => "%20".to_owned(),
            plain => plain.to_string(),
        })
        .collect();
    let from_cloudfront = |secret: &str, header: &HeaderName| {
        ask("subject", None).header(ORIGIN_SECRET_HEADER, secret).header(header.clone(), &encoded)
    };
    let answer = world.send(from_cloudfront(ORIGIN_SECRET, &CERTIFICATE_HEADER)).await;
    assert_eq!(cnf(&answer.response), json!({"x5t#S256": thumbprint(&OURS)}));

    let refused = Reason::NoCredentials;
    let wrong = from_cloudfront("an-origin-secret-of-more-than-32-Characters", &CERTIFICATE_HEADER);
    world.refuses(oauth2, "wrong secret", wrong, refused).await;
    let none = ask("subject", None).header(CERTIFICATE_HEADER, &encoded);
    world.refuses(oauth2, "no secret", none, refused).await;
    let twice = from_cloudfront(ORIGIN_SECRET, &CERTIFICATE_HEADER).header(ORIGIN_SECRET_HEADER, ORIGIN_SECRET);
    world.refuses(oauth2, "the secret twice", twice, refused).await;
    let twice = from_cloudfront(ORIGIN_SECRET, &CERTIFICATE_HEADER).header(CERTIFICATE_HEADER, &encoded);
    world.refuses(oauth2, "two certificates", twice, refused).await;
    // What CloudFront sends of certificates that it has not verified, and what other proxies send.
    for other in ["client-cert", "x-amzn-mtls-clientcert", "x-amzn-mtls-clientcert-leaf", "x-client-cert", "x-ssl-cert"]
    {
        let other = from_cloudfront(ORIGIN_SECRET, &HeaderName::from_static(other));
        world.refuses(oauth2, "another header", other, refused).await;
    }
    // The connection that API Gateway sees is then CloudFront's own.
    let mut own = ask("subject", Some(&OURS)).header(ORIGIN_SECRET_HEADER, ORIGIN_SECRET);
    world.refuses(oauth2, "CloudFront's own certificate", Ask(own.0), refused).await;
    own = ask("subject", Some(&OURS)).header(CERTIFICATE_HEADER, "x");
    world.takes(oauth2, "a header beside API Gateway's word", own).await;
}

#[tokio::test]
async fn where_mutual_tls_is_off_a_certificate_is_nothing() {
    let world = World::new(clients(), &[Alg::ES256]).await;
    let oauth2 = Dialect::oauth2();
    world.refuses(oauth2, "off", ask("subject", Some(&OURS)), Reason::NoCredentials).await;
    let header = ask("subject", None).header(ORIGIN_SECRET_HEADER, ORIGIN_SECRET);
    world.refuses(oauth2, "off", header.header(CERTIFICATE_HEADER, "x"), Reason::NoCredentials).await;
}

#[tokio::test]
async fn the_metadata_names_what_is_on() {
    let plain = World::new(json!([]), &[Alg::ES256]).await;
    let metadata = body(&plain.send(Ask::get("/.well-known/oauth-authorization-server")).await.response);
    assert_eq!(metadata.get("tls_client_certificate_bound_access_tokens"), None);
    assert_eq!(metadata.get("mtls_endpoint_aliases"), None);
    let methods = json!([
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth"
    ]);
    let aliases = json!({
        "token_endpoint": "https://mtls.example.com/oauth2/token",
        "introspection_endpoint": "https://mtls.example.com/oauth2/introspect",
        "revocation_endpoint": "https://mtls.example.com/oauth2/revoke"
    });
    for (base_url, alias) in [(Some(MTLS), Some(aliases)), (None, None)] {
        let on = MutualTls { base_url: base_url.map(str::to_owned), origin_secret: OriginSecret::new(ORIGIN_SECRET) };
        let world = World::with(json!([]), &[Alg::ES256], |settings| settings.mutual_tls = Some(on), 0).await;
        let metadata = body(&world.send(Ask::get("/.well-known/openid-configuration")).await.response);
        assert_eq!(metadata["token_endpoint"], format!("{ISSUER}/oauth2/token"));
        for endpoint in ["token", "introspection", "revocation"] {
            assert_eq!(metadata[format!("{endpoint}_endpoint_auth_methods_supported")], methods, "{endpoint}");
        }
        assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
        assert_eq!(metadata.get("mtls_endpoint_aliases").cloned(), alias);
    }
}

#[tokio::test]
async fn an_event_says_in_its_own_place_what_certificate_api_gateway_verified() {
    let world = world().await;
    let certificate = json!({
        "clientCert": {
            "clientCertPem": OURS.pem(), "subjectDN": "CN=other", "issuerDN": "CN=other", "serialNumber": "1",
            "validity": {"notBefore": "May 28 12:30:02 2019 GMT", "notAfter": "Aug  5 09:36:04 2021 GMT"}
        }
    });
    let event = |name: &str, place: &str, value: &Value| {
        let text = std::fs::read_to_string(format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut event: Value = serde_json::from_str(&text).unwrap();
        event["body"] = json!("grant_type=client_credentials&client_id=subject");
        event["isBase64Encoded"] = json!(false);
        for headers in ["headers", "multiValueHeaders"] {
            if let Some(headers) = event.get_mut(headers).and_then(Value::as_object_mut) {
                headers.retain(|name, _| !name.eq_ignore_ascii_case(header::AUTHORIZATION.as_str()));
            }
        }
        event["requestContext"][place] = value.clone();
        Ask(serde_json::from_value::<Event>(event).unwrap().call)
    };
    let (http, rest) = ("http-api-oauth2-basic", "rest-api-oauth2-basic");
    for (name, place) in [(http, "authentication"), (rest, "identity")] {
        let answer = world.send(event(name, place, &certificate)).await;
        assert_eq!(answer.response.status(), StatusCode::OK, "{name}: {:?}", answer.record);
        for nothing in [json!({}), json!({"clientCert": null})] {
            let ask = event(name, place, &nothing);
            world.refuses(Dialect::oauth2(), name, ask, Reason::NoCredentials).await;
        }
    }
    // The other kind's place.
    for (name, place) in [(http, "identity"), (rest, "authentication")] {
        world.refuses(Dialect::oauth2(), name, event(name, place, &certificate), Reason::NoCredentials).await;
    }
}

#[test]
fn a_registration_that_no_certificate_could_match_is_refused() {
    let faults = |members: Value| {
        let mut entry = json!({"client_id": "a"});
        entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        registration::read_entry(entry).map(drop).unwrap_err()
    };
    let one = "token_endpoint_auth_method: tls_client_auth needs exactly one of tls_client_auth_subject_dn and \
               tls_client_auth_san_dns, _uri, _ip, _email";
    let method = "tls_client_auth";
    assert_eq!(faults(json!({"token_endpoint_auth_method": method})), [one]);
    assert_eq!(
        faults(json!({
            "token_endpoint_auth_method": method, "tls_client_auth_subject_dn": "CN=a", "tls_client_auth_san_dns": "a"
        })),
        [one]
    );
    assert_eq!(
        faults(json!({"tls_client_auth_san_ip": "192.0.2.1"})),
        ["tls_client_auth_*: only for a token_endpoint_auth_method of tls_client_auth"]
    );
    assert_eq!(
        faults(json!({"token_endpoint_auth_method": method, "tls_client_auth_san_uri": ""})),
        ["tls_client_auth_san_*: an empty string"]
    );
    let unreadable = faults(json!({"token_endpoint_auth_method": method, "tls_client_auth_subject_dn": "CN"}));
    assert_eq!(unreadable.first().unwrap(), "tls_client_auth_subject_dn: not a distinguished name (RFC 4514)");
    let mut key = jwk(&OURS);
    key["x5c"] = json!([STANDARD.encode("no certificate")]);
    for jwks in [json!(null), json!({"keys": []}), json!({"keys": [key]})] {
        assert_eq!(
            faults(json!({"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": jwks})),
            [
                "token_endpoint_auth_method: self_signed_tls_client_auth needs a jwks_uri, or a jwks with a key whose x5c holds the certificate"
            ]
        );
    }
}

mod fuzz {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    // A certificate with a few bytes changed, cut or put in: most are read as far as the change.
    fn nearly_a_certificate() -> impl Strategy<Value = Vec<u8>> {
        let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
        vec(change, 1..6).prop_map(|changes| {
            let mut der = OURS.der().to_vec();
            for (at, byte, kind) in changes {
                let at = at.index(der.len().max(1));
                match kind {
                    0 => der.truncate(at),
                    1 => der.insert(at.min(der.len()), byte),
                    _ => {
                        if let Some(old) = der.get_mut(at) {
                            *old = byte;
                        }
                    }
                }
            }
            der
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_stands_for_a_certificate_is_read_or_refused(der in prop_oneof![9 => nearly_a_certificate(), 1 => vec(any::<u8>(), 0..256)]) {
            let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&der));
            let read = Certificate::from_der(der);
            prop_assert_eq!(Certificate::from_pem(&pem).ok(), read);
        }

        #[test]
        fn whatever_stands_for_a_name_is_read_or_refused(text in "[A-Za-z0-9=+,#\\\\ .\"é\u{0}]{0,40}") {
            use mintlet::oauth::certificate::DistinguishedName;
            if let Ok(name) = DistinguishedName::parse(text.clone()) {
                prop_assert_eq!(String::from(name), text);
            }
        }
    }

    #[test]
    fn a_certificate_that_nests_without_end_is_refused() {
        let mut der = vec![0x30, 0x00];
        while der.len() < 12_000 {
            let length = u16::try_from(der.len()).unwrap().to_be_bytes();
            der.splice(0..0, [0x30, 0x82, length[0], length[1]]);
        }
        assert_eq!(Certificate::from_der(der), None);
    }
}
