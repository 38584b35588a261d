//! The connections to AWS: kept and used again, given up with a host that fails, and only to whom a root vouches for.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use mintlet::{
    config::Config,
    dialect::DIALECTS,
    edge::{aws::Connection, dynamodb::DynamoDb, handler::Handler},
    oauth::client::ClientId,
    service::StoreFault,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

const NO_SUCH_CLIENT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const FAILURE: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}";
const NO_ANSWER: &str = "";
const NO_HTTP: &str = "SSH-2.0-OpenSSH\r\n\r\n";

/// The connection that each request came over, counted from 0; and how it named its sender.
type Asked = Arc<Mutex<(Vec<usize>, Vec<String>)>>;
/// What the requests are answered, one after the other; the last one again and again.
type Replies = Arc<Mutex<VecDeque<&'static str>>>;

async fn backend(replies: &[&'static str], tls: Option<TlsAcceptor>) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, replies) = (Asked::default(), Arc::new(Mutex::new(replies.iter().copied().collect::<VecDeque<_>>())));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        for connection in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let (noted, replies, tls) = (Arc::clone(&noted), Arc::clone(&replies), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => answer(stream, connection, &noted, &replies).await,
                    // A client that does not trust this certificate goes away.
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => answer(stream, connection, &noted, &replies).await,
                        Err(_) => None,
                    },
                }
            });
        }
    });
    (address, asked)
}

// Until one of the two sides has had enough.
async fn answer<S>(stream: S, connection: usize, noted: &Asked, replies: &Replies) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.to_lowercase();
            if line.contains("user-agent:") {
                noted.lock().unwrap().1.push(line.trim_end().to_owned());
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).await.ok()?;
        noted.lock().unwrap().0.push(connection);
        let reply = {
            let mut replies = replies.lock().unwrap();
            if replies.len() > 1 { replies.pop_front()? } else { *replies.front()? }
        };
        stream.write_all(reply.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        if reply == NO_ANSWER {
            return None;
        }
    }
}

fn config(endpoint: String, more: impl IntoIterator<Item = (&'static str, String)>) -> Config {
    let vars = [
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "id".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_ENDPOINT_URL", endpoint),
        ("SIGNING_KEYS_FILE", "/nowhere".to_owned()),
    ];
    Config::from_vars(vars.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value))).unwrap()
}

fn store(endpoint: String, bundle: Option<PathBuf>) -> DynamoDb {
    let config = config(endpoint, bundle.map(|path| ("AWS_CA_BUNDLE", path.to_str().unwrap().to_owned())));
    DynamoDb::new(Connection::new(&config.aws).unwrap().dynamodb(), "clients", "state")
}

async fn look_up(store: &DynamoDb) -> Result<(), StoreFault> {
    let found = store.client(&ClientId::parse("a").unwrap()).await?;
    assert!(found.is_none(), "there is no client");
    Ok(())
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (address, asked) = backend(&[NO_SUCH_CLIENT], None).await;
    let store = store(format!("http://{address}"), None);
    for _ in 0..3 {
        look_up(&store).await.unwrap();
    }
    assert_eq!(asked.lock().unwrap().0, [0, 0, 0]);
}

#[tokio::test]
async fn a_request_names_its_sender_and_its_release_alone() {
    let (address, asked) = backend(&[NO_SUCH_CLIENT], None).await;
    look_up(&store(format!("http://{address}"), None)).await.unwrap();
    assert_eq!(asked.lock().unwrap().1, [concat!("user-agent: mintlet/", env!("CARGO_PKG_VERSION"))]);
}

#[tokio::test]
async fn the_start_looks_a_client_up_whichever_route_is_on() {
    for dialect in &DIALECTS {
        let (address, asked) = backend(&[NO_SUCH_CLIENT], None).await;
        let config = config(format!("http://{address}"), [("DIALECTS", dialect.name.to_owned())]);
        Handler::new(&config).unwrap().warm_up(&config.settings).await;
        assert_eq!(asked.lock().unwrap().0, [0], "{}", dialect.name);
    }
}

#[tokio::test]
async fn a_host_that_fails_is_not_asked_again() {
    let (address, asked) = backend(&[FAILURE, NO_SUCH_CLIENT], None).await;
    look_up(&store(format!("http://{address}"), None)).await.unwrap();
    assert_eq!(asked.lock().unwrap().0, [0, 1]);
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_anew() {
    let (address, asked) = backend(&[NO_SUCH_CLIENT, NO_ANSWER, NO_SUCH_CLIENT], None).await;
    let store = store(format!("http://{address}"), None);
    look_up(&store).await.unwrap();
    look_up(&store).await.unwrap();
    assert_eq!(asked.lock().unwrap().0, [0, 0, 1]);
}

#[tokio::test]
async fn what_does_not_speak_http_is_asked_once() {
    let (address, asked) = backend(&[NO_HTTP], None).await;
    let fault = look_up(&store(format!("http://{address}"), None)).await.unwrap_err();
    let StoreFault::Unavailable(detail) = &fault else { panic!("{fault:?}") };
    assert!(detail.contains("invalid HTTP version"), "{detail}");
    assert_eq!(asked.lock().unwrap().0, [0]);
}

/// A root, and a server of 127.0.0.1 that it vouches for.
fn authority(name: &str) -> (String, TlsAcceptor) {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (root.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn a_bundle_alone_says_whom_to_trust() {
    let folder = tempfile::tempdir().unwrap();
    let ((ours, acceptor), (another, _)) = (authority("ours"), authority("another"));
    let (address, asked) = backend(&[NO_SUCH_CLIENT], Some(acceptor)).await;
    let endpoint = format!("https://{address}");
    let bundle = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        Some(path)
    };
    look_up(&store(endpoint.clone(), bundle("ours", &ours))).await.unwrap();
    let both = format!("{another}{ours}");
    look_up(&store(endpoint.clone(), bundle("both", &both))).await.unwrap();
    let asked_before = asked.lock().unwrap().0.len();
    for untrusting in [bundle("another", &another), None] {
        let fault = look_up(&store(endpoint.clone(), untrusting)).await.unwrap_err();
        let StoreFault::Unavailable(detail) = &fault else { panic!("{fault:?}") };
        assert!(detail.contains("invalid peer certificate: UnknownIssuer"), "{detail}");
    }
    assert_eq!(asked.lock().unwrap().0.len(), asked_before);
}
