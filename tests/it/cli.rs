//! `mintlet serve` as its users run it, and what every command says of itself.

use std::os::unix::fs::PermissionsExt as _;

use http::{Request, StatusCode};
use mintlet::dialect::DIALECTS;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    server::{Server, failed, mintlet, run, said, send, text},
    support::{SECRET, parts, token_in},
};

#[tokio::test]
async fn the_curl_lines_that_serve_prints_get_tokens_when_pasted_into_a_shell() {
    let mut server = Server::start(&["--in-memory"], &[]).await;
    let lines = server.lines("curl ", DIALECTS.len()).await;
    for (dialect, line) in DIALECTS.iter().zip(lines) {
        assert!(line.contains(&format!("{}{}", server.url, dialect.path)), "{line}");
        let output = Command::new("sh").args(["-c", &line]).env("no_proxy", "*").output().await.unwrap();
        let body: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| unreachable!("{line}: {output:?}"));
        let (_, claims) = parts(token_in(&body));
        assert_eq!(claims["iss"], server.url, "{line}");
    }
}

#[tokio::test]
async fn serve_says_where_everything_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&["--data-dir", text(&data)], &[]).await;
    let said = |index: usize| server.announced[index].as_str();
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    assert_eq!(said(1), format!("issuer    {}", server.url));
    assert!(said(2).starts_with("DynamoDB  http://127.0.0.1:") && said(2).ends_with(" (AWS_ENDPOINT_URL_DYNAMODB)"));
    assert_eq!(said(3), format!("keys      {} (SIGNING_KEYS_FILE)", data.join("signing-keys.json").display()));
    assert_eq!(said(4), "clients   mintlet-clients (CLIENTS_TABLE)");
    assert_eq!(server.announced.len(), 5);
}

#[tokio::test]
async fn what_serve_honours_of_the_environment_is_honoured() {
    let vars = [("ISSUER", "http://localhost:9/base"), ("DIALECTS", "frontier"), ("ACCESS_TOKEN_LIFETIME", "60")];
    let mut server = Server::start(&["--in-memory"], &vars).await;
    let line = server.lines("curl ", 1).await.remove(0);
    assert!(line.contains("/v1beta1/auth/token"), "{line}");
    assert_eq!(server.get("/oauth2/token").await["error"], "not_found");
    assert_eq!(server.get("/.well-known/openid-configuration").await["issuer"], vars[0].1);
    let (_, body) = line.split_once("-d '").unwrap();
    let request = Request::post(format!("{}/base/v1beta1/auth/token", server.url));
    let answer = send(request.body(body.trim_end_matches('\'').as_bytes().to_vec()).unwrap()).await.unwrap();
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    let (_, claims) = parts(token_in(&body));
    assert_eq!((&claims["iss"], claims["exp"].as_u64()), (&json!(vars[0].1), claims["iat"].as_u64().map(|at| at + 60)));
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_to_be_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = failed(&run(&["serve", "--in-memory", "--port", &port]).await);
    assert!(said.starts_with(&format!("mintlet: port {port}: ")) && said.contains("--port"), "{said}");
    let said = failed(&run(&["serve", "--in-memory", "--port", "0", "--dynamodb-port", &port]).await);
    assert!(said.starts_with(&format!("mintlet: port {port} for DynamoDB: ")), "{said}");
}

#[tokio::test]
async fn a_configuration_with_faults_stops_the_start_with_all_of_them() {
    let vars = [("ISSUER", "http://example.com"), ("DIALECTS", "klingon"), ("LOG_LEVEL", "loud")];
    let output = mintlet(&["serve", "--in-memory", "--port", "0"]).envs(vars).output().await.unwrap();
    let said = failed(&output);
    assert!(vars.iter().all(|(name, value)| said.contains(name) && !said.contains(value)), "{said}");
}

#[tokio::test]
async fn a_clients_file_with_faults_stops_the_start_with_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clients.json");
    let clients =
        json!({"clients": [{"client_id": "a", "scope": "a  b"}, {"client_id": "", "client_secret": "hunter2"}]});
    std::fs::write(&file, clients.to_string()).unwrap();
    let data = dir.path().join("data");
    let args = ["serve", "--data-dir", text(&data), "--port", "0", "--clients", text(&file)];
    let said = failed(&run(&args).await);
    assert!(said.contains("clients[0] (\"a\"): scope: ") && said.contains("clients[1] (\"\"): client_id: "), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!data.exists(), "something was written");
    let missing = dir.path().join("missing.json");
    let said = failed(&run(&["serve", "--in-memory", "--port", "0", "--clients", text(&missing)]).await);
    assert!(said.contains(text(&missing)), "{said}");
}

#[tokio::test]
async fn clients_and_keys_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clients.json");
    let clients = json!({"clients": [{"client_id": "billing", "client_secret": SECRET, "access_token_signed_response_alg": "ES256"}]});
    std::fs::write(&file, clients.to_string()).unwrap();
    let data = dir.path().join("data");
    let token = async |server: &Server| {
        let answer = server.post("/oauth2/token", ("billing", SECRET), "grant_type=client_credentials").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        parts(token_in(&body)).0
    };
    let first = Server::start(&["--data-dir", text(&data), "--clients", text(&file)], &[]).await;
    let (header, keys) = (token(&first).await, first.get("/oauth2/jwks").await);
    let (status, log) = first.stop("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);

    let second = Server::start(&["--data-dir", text(&data)], &[]).await;
    assert_eq!(second.announced.last().unwrap(), "clients   mintlet-clients (CLIENTS_TABLE)");
    assert_eq!(token(&second).await, header);
    assert_eq!(second.get("/oauth2/jwks").await, keys);
    let (status, log) = second.stop("INT").await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_server_that_is_stopped_as_soon_as_it_listens_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let server = Server::start(&["--data-dir", text(dir.path())], &[]).await;
        let (status, log) = server.stop(signal).await;
        assert_eq!(status.code(), Some(0), "{signal} {log}");
        assert!(!dir.path().join("dynamodb-endpoint").exists());
    }
}

#[tokio::test]
async fn what_serve_keeps_only_its_owner_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&["--data-dir", text(&data)], &[]).await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("signing-keys.json")), 0o600);
    server.get("/health").await;
    assert_eq!(server.stop("TERM").await.0.code(), Some(0));

    let keys = data.join("signing-keys.json");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = failed(&run(&["serve", "--port", "0", "--data-dir", text(&data)]).await);
    assert!(said.contains("its mode 0644 lets others read it; run chmod 600 on it"), "{said}");
}

#[tokio::test]
async fn a_second_server_with_the_same_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = Server::start(&["--data-dir", text(dir.path())], &[]).await;
    let said = failed(&run(&["serve", "--port", "0", "--data-dir", text(dir.path())]).await);
    assert!(said.starts_with("mintlet: another `mintlet serve` runs with the data directory "), "{said}");
    first.get("/health").await;
    assert_eq!(first.stop("TERM").await.0.code(), Some(0));
}

#[tokio::test]
async fn without_a_running_server_local_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for killed in [false, true] {
        if killed {
            let server = Server::start(&["--data-dir", text(dir.path())], &[]).await;
            assert!(!server.stop("KILL").await.0.success());
        }
        let said = failed(&run(&["client", "list", "--local", "--data-dir", text(dir.path())]).await);
        assert!(said.starts_with("mintlet: no `mintlet serve` runs with the data directory "), "{said}");
    }
}

#[tokio::test]
async fn the_server_caps_a_body_before_it_has_all_of_it() {
    let server = Server::start(&["--in-memory"], &[]).await;
    let request = Request::post(format!("{}/oauth2/token", server.url)).header("content-type", "text/plain");
    let answer = send(request.body(vec![b'a'; 16 * 1024 + 1]).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn the_help_of_every_command_has_an_example() {
    let mut found = 0;
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(command) = waiting.pop() {
        let args: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = said(&run(&args).await);
        assert!(help.contains("Example"), "mintlet {}", args.join(" "));
        found += 1;
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in commands.take_while(|line| !line.is_empty()) {
            // A name stands at two spaces; what is further in continues a text.
            let name = line.strip_prefix("  ").filter(|line| !line.starts_with(' '));
            let name = name.and_then(|line| line.split(' ').next()).filter(|name| *name != "help");
            waiting.extend(name.map(|name| command.iter().cloned().chain([name.to_owned()]).collect()));
        }
    }
    assert!(found >= 18, "only {found} commands were found");
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    for args in
        [&["nonsense"][..], &[], &["client", "show"], &["serve", "--port", "x"], &["key", "generate", "--alg", "none"]]
    {
        let output = run(args).await;
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}
