//! Fetching a JWK set over real connections: from a server on this machine, with and without TLS, that answers as it likes.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use mintlet::{
    edge::{
        jwks_uri::{
            JwksSource as _,
            fetch::{HttpSource, encrypted, get},
        },
        moment, roots,
    },
    oauth::{
        jwks_uri::{Fetched, JwksUri, is_global},
        jwt::Alg,
    },
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    events::Function,
    runtime_api::RuntimeApi,
    server::{Server, send},
    signer::Signer,
    support::{World, encode},
};

static KEY: LazyLock<Signer> = LazyLock::new(|| Signer::new(Alg::ES256));

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const LONG: Duration = Duration::from_secs(30);

fn jwks() -> String {
    json!({"keys": [KEY.jwk()]}).to_string()
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// What a server was asked: each request's head.
type Asked = Arc<Mutex<Vec<String>>>;

/// Answers every request with those bytes; then hangs up, or if told so never does.
async fn server(bytes: Vec<u8>, hangs_up: bool) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            // Whoever has read enough of it may be gone.
            drop(stream.write_all(&bytes).await);
            if !hangs_up {
                open.push(stream);
            }
        }
    });
    (address, asked)
}

fn uri(address: SocketAddr) -> JwksUri {
    JwksUri::parse(format!("http://localhost:{}/jwks.json?a=1", address.port())).unwrap()
}

async fn fetch(bytes: Vec<u8>) -> (Result<Fetched, String>, Vec<String>) {
    let (address, asked) = server(bytes, true).await;
    let fetched = HttpSource::new(None).fetch(&uri(address)).await;
    let asked = asked.lock().unwrap().clone();
    (fetched, asked)
}

fn kids(fetched: &Fetched) -> Vec<&str> {
    fetched.jwks.list().map(|(kid, _)| kid).collect()
}

#[tokio::test]
async fn a_set_is_fetched_with_one_plain_request() {
    let (fetched, asked) = fetch(answer("200 OK\r\nCache-Control: public, max-age=3600", &jwks())).await;
    let fetched = fetched.unwrap();
    assert_eq!((kids(&fetched), fetched.lifetime), (vec![KEY.kid.as_str()], 3600));
    let [request] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    let mut lines: Vec<String> = request.trim_end().split("\r\n").map(str::to_lowercase).collect();
    assert_eq!(lines.remove(0), "get /jwks.json?a=1 http/1.1");
    lines.sort();
    let host = lines.iter().position(|line| line.starts_with("host: localhost:")).unwrap();
    lines.remove(host);
    assert_eq!(
        lines,
        [
            "accept: application/jwk-set+json, application/json",
            "connection: close",
            concat!("user-agent: mintlet/", env!("CARGO_PKG_VERSION")),
        ]
    );
    let padded = format!("{}{}", jwks(), " ".repeat(64 * 1024 - jwks().len()));
    let fetched = fetch(answer("200 OK", &padded)).await.0.unwrap();
    assert_eq!((kids(&fetched), fetched.lifetime), (vec![KEY.kid.as_str()], 300));
}

#[tokio::test]
async fn an_answer_that_is_not_a_set_as_it_is_to_be_is_none() {
    let private = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "d": "AAAA"}]}).to_string();
    let endless = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        format!("1000\r\n{}\r\n", " ".repeat(4096)).repeat(17)
    );
    let too_long = format!("{}{}", jwks(), " ".repeat(64 * 1024 - jwks().len() + 1));
    let cut = answer("200 OK", &jwks());
    for (title, bytes, fault) in [
        ("a redirect", answer("302 Found\r\nLocation: /jwks.json", &jwks()), "an answer of HTTP status 302"),
        ("another", answer("308 Permanent Redirect\r\nLocation: /", &jwks()), "an answer of HTTP status 308"),
        ("not found", answer("404 Not Found", &jwks()), "an answer of HTTP status 404"),
        ("a failure", answer("500 Internal Server Error", &jwks()), "an answer of HTTP status 500"),
        ("created", answer("201 Created", &jwks()), "an answer of HTTP status 201"),
        ("too long", answer("200 OK", &too_long), "an answer over 64 KiB, or cut short"),
        ("endless", endless.into_bytes(), "an answer over 64 KiB, or cut short"),
        ("cut short", cut[..cut.len() - 1].to_vec(), "an answer over 64 KiB, or cut short"),
        ("a page", answer("200 OK", "<html>"), "its answer is not a JSON object, or has a repeated member"),
        (
            "a private key",
            answer("200 OK", &private),
            "its answer: keys[0]: has a member of a private or symmetric key: register the public key only",
        ),
    ] {
        let (fetched, asked) = fetch(bytes).await;
        assert_eq!(fetched.unwrap_err(), fault, "{title}");
        assert_eq!(asked.len(), 1, "{title}");
    }
    for (title, bytes) in [("nothing", Vec::new()), ("no HTTP", b"SSH-2.0-server\r\n\r\n".to_vec())] {
        assert!(fetch(bytes).await.0.is_err(), "{title}");
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(HttpSource::new(None).fetch(&uri(closed)).await.is_err());
}

#[tokio::test]
async fn an_answer_that_takes_its_time_is_none() {
    let head = answer("200 OK", &jwks());
    for bytes in [Vec::new(), b"HTTP/1.1 200 OK\r\n".to_vec(), head[..head.len() - 1].to_vec()] {
        let (address, _) = server(bytes, false).await;
        let connector = encrypted(RootCertStore::empty(), |_| true).unwrap();
        let fetched = get(&connector, uri(address).as_str(), Duration::from_millis(50)).await;
        assert_eq!(fetched.unwrap_err(), "no answer in time");
    }
}

// Servers of TLS on this machine, and who vouches for them.
struct Authority(rcgen::Certificate, Issuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(params.self_signed(&key).unwrap(), Issuer::new(params, key))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    // Answers one request, if it comes so far.
    fn serve(&self, name: &str) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.1).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
            let mut head = [0; 4096];
            let _ = stream.read(&mut head)?;
            stream.write_all(&answer("200 OK", &jwks()))?;
            stream.conn.send_close_notify();
            stream.flush()
        });
        address
    }
}

async fn fetch_encrypted(
    roots: RootCertStore,
    takes: fn(IpAddr) -> bool,
    server: SocketAddr,
) -> Result<Fetched, String> {
    let connector = encrypted(roots, takes).unwrap();
    get(&connector, &format!("https://localhost:{}/jwks.json", server.port()), LONG).await
}

#[tokio::test]
async fn a_server_has_a_certificate_of_its_name_under_a_root() {
    let (ours, other) = (Authority::new(), Authority::new());
    let is_loopback: fn(IpAddr) -> bool = |address| address.is_loopback();
    let fetched = fetch_encrypted(ours.roots(), is_loopback, ours.serve("localhost")).await.unwrap();
    assert_eq!(kids(&fetched), [KEY.kid.as_str()]);
    let fault = fetch_encrypted(other.roots(), is_loopback, ours.serve("localhost")).await.unwrap_err();
    assert!(fault.contains("invalid peer certificate: BadSignature"), "{fault}");
    let fault = fetch_encrypted(ours.roots(), is_loopback, ours.serve("keys.example.com")).await.unwrap_err();
    assert!(fault.contains("not valid for"), "{fault}");
    // The guard is in the connection: the name is right, the server answers, the address is nobody's to ask.
    let fault = fetch_encrypted(ours.roots(), is_global, ours.serve("localhost")).await.unwrap_err();
    assert!(fault.ends_with("the name has an address that is not taken"), "{fault}");
}

#[tokio::test]
async fn a_deployment_goes_to_no_address_that_is_not_global() {
    let roots = NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), Authority::new().0.pem()).unwrap();
    let source = HttpSource::new(Some(roots.path().to_owned()));
    let fault = source.fetch(&JwksUri::parse("https://localhost/jwks.json").unwrap()).await.unwrap_err();
    assert!(fault.ends_with("the name has an address that is not taken"), "{fault}");
}

#[tokio::test]
async fn the_roots_are_read_when_they_are_needed_and_tried_again() {
    let file = NamedTempFile::new().unwrap();
    let shown = file.path().display();
    assert_eq!(roots::system(Some(file.path())).unwrap_err(), format!("{shown}: no certificate in PEM"));
    let source = HttpSource::new(Some(file.path().to_owned()));
    let uri = JwksUri::parse("https://localhost/jwks.json").unwrap();
    assert_eq!(source.fetch(&uri).await.unwrap_err(), format!("{shown}: no certificate in PEM"));
    // One that cannot be read takes nothing from the others.
    let pem = format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Authority::new().0.pem());
    std::fs::write(file.path(), pem).unwrap();
    assert_eq!(roots::system(Some(file.path())).unwrap().len(), 1);
    assert!(source.fetch(&uri).await.unwrap_err().ends_with("the name has an address that is not taken"));
    std::fs::remove_file(file.path()).unwrap();
    assert!(roots::system(Some(file.path())).is_err());
}

fn clients(jwks_uri: &str) -> Value {
    json!([{"client_id": "svc", "jwks_uri": jwks_uri, "grant_types": [JWT_BEARER]}])
}

fn grant(issuer: &str, jti: &str) -> String {
    let claims = json!({"iss": "svc", "sub": "svc", "aud": issuer, "exp": moment::now() + 60, "jti": jti});
    format!("grant_type={}&assertion={}", encode(JWT_BEARER), KEY.jwt(&claims))
}

#[tokio::test]
async fn the_local_server_asks_this_machine_if_it_is_listed() {
    let (address, asked) = server(answer("200 OK", &jwks()), true).await;
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({"clients": clients(uri(address).as_str())}).to_string()).unwrap();
    for (hosts, status, times) in [("", 400, 0), ("keys.example.com", 400, 0), ("localhost", 200, 1)] {
        let args = ["--in-memory", "--clients", file.path().to_str().unwrap()];
        let local = Server::start(&args, &[("JWKS_URI_HOSTS", hosts)]).await;
        for jti in ["a", "b"] {
            let request = http::Request::post(format!("{}/oauth2/token", local.url))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(grant(&local.url, jti).into_bytes());
            assert_eq!(send(request.unwrap()).await.unwrap().status(), status, "{hosts}");
        }
        assert_eq!(asked.lock().unwrap().len(), times, "{hosts}");
    }
}

#[tokio::test]
async fn the_function_never_asks_its_own_machine() {
    let (address, asked) = server(answer("200 OK", &jwks()), true).await;
    let world = World::new(clients(uri(address).as_str()), &[]).await;
    let api = RuntimeApi::start().await;
    let issuer = "https://auth.example.com";
    let vars = [("JWKS_URI_HOSTS", "localhost"), ("ISSUER", issuer)];
    let function = Function::start(&api, world.engine.endpoint(), &vars);
    let event = format!("{}/events/http-api-oauth2-post-text.json", env!("CARGO_MANIFEST_DIR"));
    let mut event: Value = serde_json::from_slice(&std::fs::read(event).unwrap()).unwrap();
    event["body"] = json!(grant(issuer, "a"));
    let reply = api.invoke(event.to_string().into_bytes()).await.unwrap();
    assert_eq!(reply["statusCode"], 400, "{reply}");
    let log = function.stop().await;
    assert!(log.contains("assertion_unknown_key"), "{log}");
    assert_eq!(asked.lock().unwrap().len(), 0);
}
