//! The real `mintlet` binary: its commands, its server on a free loopback port, and HTTP requests to that.

use std::{
    io,
    path::Path,
    process::{ExitStatus, Output, Stdio},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
};

/// A running `mintlet serve`. Dropped, it is killed.
pub struct Server {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    /// What it said until it listened.
    pub announced: Vec<String>,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts it on a free port and waits until it listens. A client is not cached, unless `vars` say otherwise.
    pub async fn start(args: &[&str], vars: &[(&str, &str)]) -> Self {
        let mut child = mintlet(&["serve", "--port", "0"])
            .args(args)
            .env("CLIENT_CACHE_TTL", "0")
            .envs(vars.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut announced: Vec<String> = Vec::new();
        while !announced.last().is_some_and(|line| line.starts_with("clients ")) {
            let Some(line) = lines.next_line().await.unwrap() else {
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
                unreachable!("it ended before it listened: {said}");
            };
            announced.push(line);
        }
        let url = announced[0].strip_prefix("mintlet listens on ").unwrap().to_owned();
        Self { url, announced, child, lines }
    }

    /// In memory, with the clients of a file.
    pub async fn with_clients(clients: &Value) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), clients.to_string()).unwrap();
        Self::start(&["--in-memory", "--clients", file.path().to_str().unwrap()], &[]).await
    }

    /// The next lines that it says which begin with `prefix`.
    pub async fn lines(&mut self, prefix: &str, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        while found.len() < count {
            let line = self.lines.next_line().await.unwrap().expect("a line more");
            if line.starts_with(prefix) {
                found.push(line);
            }
        }
        found
    }

    /// Sends it a signal (`TERM`, `INT`) and waits; returns how it ended and all that it logged.
    pub async fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().await.unwrap().success());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
        (self.child.wait().await.unwrap(), log)
    }

    /// Posts a form with HTTP Basic.
    pub async fn post(&self, path: &str, basic: (&str, &str), form: &str) -> Response<Vec<u8>> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let pair = STANDARD.encode(format!("{}:{}", basic.0, basic.1));
        let request = Request::post(format!("{}{path}", self.url))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, format!("Basic {pair}"))
            .body(form.as_bytes().to_vec());
        send(request.unwrap()).await.unwrap()
    }

    /// Gets a path as JSON.
    pub async fn get(&self, path: &str) -> Value {
        let request = Request::get(format!("{}{path}", self.url)).body(Vec::new()).unwrap();
        serde_json::from_slice(send(request).await.unwrap().body()).unwrap()
    }
}

/// A server with a data directory and no clients, and the client commands that go to it.
pub struct Desk {
    pub server: Server,
    dir: TempDir,
}

impl Desk {
    /// Starts it.
    pub async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let none = dir.path().join("none.json");
        std::fs::write(&none, r#"{"clients":[]}"#).unwrap();
        let data = dir.path().join("data");
        let server = Server::start(&["--data-dir", text(&data), "--clients", text(&none)], &[]).await;
        Self { server, dir }
    }

    /// Runs a client command.
    pub async fn run(&self, args: &[&str]) -> Output {
        run(&[&["client", "--local", "--data-dir", &self.data()], args].concat()).await
    }

    /// What a client command says in JSON.
    pub async fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&said(&self.run(&[args, &["--json"]].concat()).await)).unwrap()
    }

    /// What a client command that fails says.
    pub async fn fails(&self, args: &[&str]) -> String {
        failed(&self.run(args).await)
    }

    /// With what status a client is answered that asks for a token.
    pub async fn token(&self, id: &str, secret: &str) -> StatusCode {
        self.server.post("/oauth2/token", (id, secret), "grant_type=client_credentials").await.status()
    }

    /// The same, with something on standard input.
    pub async fn run_with(&self, args: &[&str], input: &str) -> Output {
        run_with(&[&["client", "--local", "--data-dir", &self.data()], args].concat(), input).await
    }

    /// A client of its DynamoDB.
    pub fn sdk(&self) -> aws_sdk_dynamodb::Client {
        let line = &self.server.announced[2];
        let endpoint = line.strip_prefix("DynamoDB  ").and_then(|line| line.split(' ').next()).unwrap();
        mintlet::cli::local::sdk(endpoint)
    }

    /// Its data directory, as an argument.
    pub fn data(&self) -> String {
        text(&self.dir.path().join("data")).to_owned()
    }

    /// The path of a file with that content.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        text(&path).to_owned()
    }
}

/// A `mintlet` command line, without anything of this process's environment.
pub fn mintlet(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mintlet"));
    command.args(args).env_clear().kill_on_drop(true);
    command
}

/// Runs a `mintlet` command line to its end.
pub async fn run(args: &[&str]) -> Output {
    mintlet(args).stdin(Stdio::null()).output().await.unwrap()
}

/// The same, with something on standard input.
pub async fn run_with(args: &[&str], input: &str) -> Output {
    let mut child = mintlet(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

/// What a command that went well printed.
pub fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a command that failed printed; nothing of it on standard output, where a script would take it for a result.
pub fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Sends a request over a connection of its own.
pub async fn send(request: Request<Vec<u8>>) -> io::Result<Response<Vec<u8>>> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().expect("an absolute URI").clone();
    head.uri = head.uri.path_and_query().expect("a path").as_str().parse().map_err(io::Error::other)?;
    head.headers.insert(header::HOST, authority.as_str().parse().map_err(io::Error::other)?);
    let stream = TcpStream::connect(authority.as_str()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(Request::from_parts(head, Full::<Bytes>::from(body))).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        drop(sender);
        Ok::<_, hyper::Error>(Response::from_parts(head, body))
    };
    let (response, _) = tokio::join!(exchange, connection);
    response.map_err(io::Error::other)
}
