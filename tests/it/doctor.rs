//! `mintlet doctor` against a running `mintlet serve`: healthy, and with one thing broken at a time.

use std::{
    collections::HashMap,
    convert::Infallible,
    fs::{self, Permissions},
    future::pending,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Output,
};

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use mintlet::{
    cli::{clients_table::ClientsTable, doctor::Check, local},
    oauth::client::Client,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command};

use crate::{
    server::{Desk, mintlet, run, text},
    support::SECRET,
};

const HASH: &str = "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$EEqYVo55l7MGfPvwVPSRCq7RN6JXw+TBbKyW9De5Grw";

/// A patient: a server with one client, and what the doctor says of it.
struct Ward {
    desk: Desk,
}

impl Ward {
    async fn open() -> Self {
        let desk = Desk::open().await;
        let clients = json!({"clients": [{"client_id": "billing", "client_secret": SECRET}]});
        let file = desk.file("clients.json", &clients.to_string());
        assert!(desk.run(&["apply", "-f", &file]).await.status.success());
        Self { desk }
    }

    async fn examine(&self, args: &[&str]) -> Report {
        let local = ["doctor", "--local", "--data-dir", &self.desk.data(), "--json"];
        Report::of(&run(&[&local, args].concat()).await)
    }

    async fn is_well(&self) {
        assert_eq!(self.examine(&[]).await.amiss(), (0, vec![]));
    }

    fn ring(&self) -> String {
        format!("{}/signing-keys.json", self.desk.data())
    }

    fn engine(&self) -> &str {
        self.desk.server.announced[2].trim_start_matches("DynamoDB  ").split(' ').next().unwrap()
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        local::sdk(self.engine())
    }

    async fn register(&self, id: &str, more: &Value) {
        let mut client = json!({
            "client_id": id, "disabled": false, "grant_types": ["client_credentials"], "version": 1,
            "client_secrets": [{"id": "s", "hash": HASH, "created_at": 1}], "created_at": 1, "updated_at": 1,
        });
        client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let client: Client = serde_json::from_value(client).unwrap();
        ClientsTable::new(self.dynamodb(), "mintlet-clients").create(&client).await.unwrap();
    }

    /// A server that answers as the patient does, but for one path.
    async fn stand_in(&self, path: &'static str, change: impl FnOnce(&mut Canned)) -> String {
        let mut answers = HashMap::new();
        for path in ["/health", OPENID, OAUTH, JWKS] {
            let body = self.desk.server.get(path).await;
            let headers = vec![("cache-control", "public, max-age=300".to_owned())];
            answers.insert(path, Canned { status: 200, headers, body, silent: false });
        }
        change(answers.get_mut(path).unwrap());
        serve(move |request| answers.get(request.uri().path()).cloned().unwrap_or_default()).await
    }

    /// What the doctor says of that server, taken for the patient's.
    async fn with(&self, path: &'static str, change: impl FnOnce(&mut Canned)) -> (i32, Vec<(String, String)>) {
        let url = self.stand_in(path, change).await;
        self.examine(&["--url", &url, "--issuer", &self.desk.server.url]).await.amiss()
    }
}

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/.well-known/jwks.json";

/// What a stand-in answers.
#[derive(Clone, Default)]
struct Canned {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
    silent: bool,
}

// Answers each request as `answer` says, on a free port, for as long as the test runs.
async fn serve(answer: impl Fn(&Request<Incoming>) -> Canned + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let canned = answer(&request);
                async move {
                    if canned.silent {
                        pending::<()>().await;
                    }
                    let mut response = Response::builder().status(canned.status.max(100));
                    for (name, value) in canned.headers {
                        response = response.header(name, value);
                    }
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from(canned.body.to_string()))).unwrap())
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

struct Report {
    code: i32,
    json: Value,
}

impl Report {
    fn of(output: &Output) -> Self {
        assert!(output.stderr.is_empty(), "{output:?}");
        let json = serde_json::from_slice(&output.stdout).unwrap();
        Self { code: output.status.code().unwrap(), json }
    }

    fn findings(&self) -> &[Value] {
        self.json["findings"].as_array().unwrap()
    }

    fn finding(&self, check: &str) -> &Value {
        self.findings().iter().find(|finding| finding["check"] == check).unwrap()
    }

    // The exit code, and the check and status of every finding that asks for something to be done.
    fn amiss(&self) -> (i32, Vec<(String, String)>) {
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        let amiss = self.findings().iter().filter(|finding| finding.get("fix").is_some());
        (self.code, amiss.map(|finding| (text(finding, "check"), text(finding, "status"))).collect())
    }
}

fn warning(check: &str) -> (i32, Vec<(String, String)>) {
    (1, vec![(check.to_owned(), "warning".to_owned())])
}

fn fault(check: &str) -> (i32, Vec<(String, String)>) {
    (2, vec![(check.to_owned(), "fault".to_owned())])
}

// A text without what is another in each run.
fn steady(said: &str, places: &[(&str, &str)]) -> String {
    let said = places.iter().fold(said.to_owned(), |said, (from, to)| said.replace(from, to));
    let mut words: Vec<&str> = said.split(' ').collect();
    for index in 1..words.len() {
        let unit = words[index].trim_end().trim_end_matches([',', ';']);
        if words[index - 1].parse::<u64>().is_ok() && (unit.starts_with("ms") || unit == "s" || unit.starts_with("s\n"))
        {
            words[index - 1] = "N";
        }
    }
    words.join(" ")
}

#[tokio::test]
async fn a_healthy_server_has_nothing_to_mend() {
    let ward = Ward::open().await;
    let output = run(&["doctor", "--local", "--data-dir", &ward.desk.data()]).await;
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
    let kid = ward.desk.server.get(JWKS).await["keys"][0]["kid"].as_str().unwrap().to_owned();
    let places = [(&*ward.desk.server.url, "URL"), (&*kid, "KID"), (&*ward.desk.data(), "DATA")];
    insta::assert_snapshot!("healthy", steady(&String::from_utf8(output.stdout).unwrap(), &places));
}

#[tokio::test]
async fn what_the_doctor_says_to_run_mends_what_it_found() {
    let ward = Ward::open().await;
    ward.register("lapsed", &json!({"client_secrets": [{"id": "s", "hash": HASH, "created_at": 1, "expires_at": 2}]}))
        .await;
    fs::set_permissions(ward.ring(), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(ward.examine(&[]).await.code, 2);
    cure(&ward, "file-mode").await;
    assert_eq!(ward.examine(&[]).await.amiss(), warning("working-secret"));
    cure(&ward, "working-secret").await;
    ward.is_well().await;

    ward.register("elliptic", &json!({"access_token_signed_response_alg": "ES256"})).await;
    assert_eq!(ward.examine(&[]).await.amiss(), fault("client-algs"));
    cure(&ward, "client-algs").await;
    ward.is_well().await;

    // Made an hour ago, so that nothing hangs on the second in which the next is made.
    let mut ring: Value = serde_json::from_str(&fs::read_to_string(ward.ring()).unwrap()).unwrap();
    let kid = ring["keys"][0]["kid"].as_str().unwrap().to_owned();
    for time in ["created_at", "activate_at"] {
        ring["keys"][0][time] = json!(mintlet::edge::moment::now() - 3600);
    }
    fs::write(ward.ring(), ring.to_string()).unwrap();
    assert!(run(&["key", "retire", "--file", &ward.ring(), "--kid", &kid, "--in", "60"]).await.status.success());
    assert_eq!(ward.examine(&[]).await.amiss(), fault("next-key"));
    cure(&ward, "next-key").await;
    let (code, amiss) = ward.examine(&[]).await.amiss();
    assert_eq!((code, amiss), warning("lead"), "a key had to be made in haste");
}

// Runs the fix of a finding in a shell, up to where it goes on in words.
async fn cure(ward: &Ward, check: &str) {
    let report = ward.examine(&[]).await;
    let fix = report.finding(check)["fix"].as_str().unwrap();
    let command = fix.split([',', ';']).next().unwrap();
    let folder = Path::new(env!("CARGO_BIN_EXE_mintlet")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let output = Command::new("sh").args(["-c", command]).env_clear().env("PATH", path).output().await.unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
}

#[tokio::test]
async fn a_key_that_the_service_does_not_have_is_found_in_the_file() {
    let ward = Ward::open().await;
    let other = ward.desk.file("other.json", "");
    fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(ward.examine(&["--file", &other]).await.amiss().1, fault("ring").1);
    assert!(run(&["key", "generate", "--file", &other]).await.status.success());
    let report = ward.examine(&["--file", &other]).await;
    assert_eq!(report.amiss(), fault("jwks-kids"));
    fs::remove_file(&other).unwrap();
    assert_eq!(ward.examine(&["--file", &other]).await.amiss(), fault("ring"));
}

#[tokio::test]
async fn a_ring_that_the_function_would_refuse_is_a_fault() {
    let ward = Ward::open().await;
    let ring: Value = serde_json::from_str(&fs::read_to_string(ward.ring()).unwrap()).unwrap();
    let mut twice = ring.clone();
    twice["keys"].as_array_mut().unwrap().push(ring["keys"][0].clone());
    let mut foreign = ring.clone();
    foreign["version"] = json!(2);
    for (content, check) in [(twice.to_string(), "kid-unique"), (foreign.to_string(), "ring"), ("{".to_owned(), "ring")]
    {
        fs::write(ward.ring(), content).unwrap();
        let report = ward.examine(&[]).await;
        assert_eq!(report.amiss(), fault(check));
        assert!(!report.json.to_string().contains(ring["keys"][0]["private_key_pkcs8"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn another_issuer_than_the_one_asked_for_is_a_fault() {
    let ward = Ward::open().await;
    let url = &ward.desk.server.url;
    // The service's own paths stay where they are, so that nothing else is amiss.
    assert_eq!(ward.examine(&["--issuer", &format!("{url}/")]).await.amiss(), fault("issuer"));
    assert_eq!(ward.with(OPENID, |answer| answer.body["issuer"] = json!("https://a.example")).await.0, 2);
}

#[tokio::test]
async fn a_table_that_is_missing_is_a_fault_and_what_hangs_on_it_is_not_blamed() {
    let ward = Ward::open().await;
    assert_eq!(ward.examine(&["--state-table", "nowhere"]).await.amiss(), fault("state-table"));
    let report = ward.examine(&["--clients-table", "nowhere"]).await;
    assert_eq!(report.amiss(), fault("clients-table"));
    assert_eq!(report.finding("client-algs")["status"], "skipped");
    // The other table is there, and it is the wrong one.
    assert_eq!(ward.examine(&["--state-table", "mintlet-clients"]).await.amiss().1[0], fault("state-table").1[0]);
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_named_and_its_neighbours_are_judged_all_the_same() {
    let ward = Ward::open().await;
    let put = ward.dynamodb().put_item().table_name("mintlet-clients");
    let put = put
        .item("client_id", AttributeValue::S("broken".to_owned()))
        .item("version", AttributeValue::N("1".to_owned()));
    put.send().await.unwrap();
    ward.register(
        "lapsing",
        &json!({"client_secrets": [
            {"id": "s", "hash": HASH, "created_at": 1, "expires_at": mintlet::edge::moment::now() + 86_400},
        ]}),
    )
    .await;
    let report = ward.examine(&[]).await;
    assert_eq!(report.code, 2);
    assert_eq!(report.finding("client-items")["about"], json!(["broken"]));
    assert_eq!(report.finding("secret-expiry")["about"], json!(["lapsing"]));
    assert_eq!(ward.examine(&["--expiring-within", "1h"]).await.amiss(), fault("client-items"));
}

#[tokio::test]
async fn an_endpoint_is_held_against_what_verifiers_need() {
    let ward = Ward::open().await;
    assert_eq!(ward.with("/health", |_| {}).await, (0, vec![]), "the stand-in is as good as the server");
    let long_ago = || ("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
    assert_eq!(ward.with("/health", |answer| answer.headers.push(long_ago())).await, warning("clock"));
    assert_eq!(ward.with("/health", |answer| answer.status = 503).await, fault("health"));
    assert_eq!(ward.with(OAUTH, |answer| answer.status = 404).await, fault("metadata"));
    // A redirect is not followed: it leads where nobody was asked to go.
    let elsewhere = |answer: &mut Canned| {
        answer.status = 302;
        answer.headers.push(("location", ward.desk.server.url.clone() + OPENID));
    };
    assert_eq!(ward.with(OPENID, elsewhere).await, fault("metadata"));
    let astray = |answer: &mut Canned| answer.body["token_endpoint"] = json!("https://a.example/oauth2/token");
    assert_eq!(ward.with(OPENID, astray).await, fault("token-endpoint"));
    assert_eq!(ward.with(JWKS, |answer| answer.status = 503).await, fault("jwks"));
    assert_eq!(ward.with(JWKS, |answer| answer.body["keys"][0]["d"] = json!("AA")).await, fault("jwks-private"));
    assert_eq!(ward.with(JWKS, |answer| answer.body["keys"][0]["kid"] = json!("a")).await, fault("jwks-kids"));
    assert_eq!(ward.with(JWKS, |answer| answer.headers.clear()).await, warning("jwks-cache"));
}

#[tokio::test]
async fn keys_that_nobody_can_fetch_are_a_fault() {
    let ward = Ward::open().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let moved = |uri: String| move |answer: &mut Canned| answer.body["jwks_uri"] = json!(uri);
    assert_eq!(ward.with(OPENID, moved(format!("http://{closed}/jwks"))).await, fault("jwks"));
    assert_eq!(ward.with(OPENID, moved("http://keys.example/jwks".to_owned())).await, fault("jwks"));
    // The doctor gives up after three seconds, and not after the thirty of API Gateway.
    assert_eq!(ward.with(JWKS, |answer| answer.silent = true).await, fault("jwks"));
    let url = format!("http://{closed}");
    assert_eq!(ward.examine(&["--url", &url]).await.amiss(), fault("health"));
}

// AWS, refusing every call with a code of its own.
async fn refusing(code: &'static str) -> Report {
    let told = "User: arn:aws:iam::123456789012:user/doctor is not authorized to perform this";
    let url = serve(move |_| Canned {
        status: 400,
        headers: vec![("content-type", "application/x-amz-json-1.0".to_owned())],
        body: json!({"__type": format!("com.amazon.coral.service#{code}"), "Message": told, "message": told}),
        silent: false,
    });
    on_aws(&[("AWS_ENDPOINT_URL", &url.await)]).await
}

async fn on_aws(vars: &[(&str, &str)]) -> Report {
    let credentials =
        [("AWS_REGION", "eu-central-1"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let args = ["doctor", "--json", "--clients-table", "clients", "--state-table", "state", "--secret-id", "ring"];
    Report::of(&mintlet(&args).envs(credentials).envs(vars.iter().copied()).output().await.unwrap())
}

#[tokio::test]
async fn what_the_caller_may_not_do_is_told_call_by_call_and_nothing_else_is_blamed() {
    let mut report = refusing("AccessDeniedException").await;
    assert_eq!(report.code, 1);
    assert!(report.findings().iter().all(|finding| finding["area"] == "access" || finding["status"] == "skipped"));
    report.json["took_ms"] = json!(0);
    insta::assert_json_snapshot!("denied", report.json);
}

#[tokio::test]
async fn credentials_that_are_refused_or_missing_are_one_fault() {
    for code in ["UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"] {
        assert_eq!(refusing(code).await.amiss(), fault("credentials"), "{code}");
    }
    assert_eq!(
        on_aws(&[("AWS_REGION", ""), ("AWS_EC2_METADATA_DISABLED", "true")]).await.amiss(),
        fault("credentials")
    );
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_EC2_METADATA_DISABLED", "true")];
    assert_eq!(on_aws(&none).await.amiss(), fault("credentials"));
}

#[tokio::test]
async fn an_aws_that_is_not_there_is_a_fault_of_what_was_asked_first() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let report = on_aws(&[("AWS_ENDPOINT_URL", &format!("http://{closed}"))]).await;
    let checks: Vec<String> = report.amiss().1.into_iter().map(|(check, _)| check).collect();
    assert_eq!(
        (report.code, checks.as_slice()),
        (2, &["clients-table", "state-table", "ring", "clients"].map(str::to_owned)[..])
    );
}

#[tokio::test]
async fn the_embedded_engine_is_known_by_its_endpoint_too() {
    let ward = Ward::open().await;
    let args = ["doctor", "--json", "--clients-table", "mintlet-clients", "--state-table", "mintlet-state"];
    let mut command = mintlet(&args);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", ward.engine()).env("SIGNING_KEYS_FILE", ward.ring());
    let report = Report::of(&command.output().await.unwrap());
    assert_eq!(report.amiss(), (0, vec![]));
    assert_eq!((&report.finding("ring")["status"], &report.finding("clients")["status"]), (&json!("ok"), &json!("ok")));
}

#[tokio::test]
async fn what_is_not_given_is_said_to_be_skipped() {
    let ward = Ward::open().await;
    let report = Report::of(&run(&["doctor", "--json", "--url", &ward.desk.server.url]).await);
    assert_eq!(report.amiss(), (0, vec![]));
    let skipped = ["permissions", "clients-table", "state-table", "ring", "jwks-kids", "clients"];
    for check in skipped {
        assert_eq!(report.finding(check)["status"], "skipped", "{check}");
    }
    let named = |output: Output| Report::of(&output).finding("issuer")["what"].as_str().unwrap().to_owned();
    let by_variable = mintlet(&["doctor", "--json"]).env("ISSUER", &ward.desk.server.url).output().await.unwrap();
    assert_eq!(named(by_variable), format!("the metadata say {}", ward.desk.server.url));
}

#[tokio::test]
async fn a_doctor_that_can_look_at_nothing_ends_as_if_there_were_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    for (args, told) in [
        (&["doctor"][..], "mintlet: say what to look at: --local, or some of "),
        (
            &["doctor", "--local", "--data-dir", text(dir.path())],
            "mintlet: no `mintlet serve` runs with the data directory ",
        ),
        (
            &["doctor", "--url", "http://a.example"],
            "error: invalid value 'http://a.example' for '--url <URL>': not an https URL",
        ),
        (&["doctor", "--url", "https://a.example/?b"], "error: invalid value "),
    ] {
        let output = run(args).await;
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(told), "{said}");
    }
    let issuer = mintlet(&["doctor"]).env("ISSUER", "http://a.example").output().await.unwrap();
    assert_eq!(issuer.status.code(), Some(2));
    assert!(String::from_utf8(issuer.stderr).unwrap().starts_with("mintlet: ISSUER: not an https URL"));
}

#[test]
fn every_check_is_documented_in_the_order_in_which_it_is_shown() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md")).unwrap();
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: Vec<&str> = rows.map(|(name, _)| name).collect();
    let checks: Vec<&str> = Check::ALL.iter().map(|check| check.name()).collect();
    assert_eq!(documented, checks);
}
