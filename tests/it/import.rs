//! `mintlet client import`: from a file as another system exports it to a token for the secret that the client had there.
//!
//! The hashes and ciphers in `exports/` were made by hashlib and bcrypt of Python, and by Node.js as eventhos makes them.

use mintlet::{
    cli::import::{Mode, Report, SYSTEMS, System, entry::Imported, import},
    dialect::{DIALECTS, Dialect},
    oauth::{error::Reason, jwt::Alg, secret::Secret},
};
use serde_json::{Value, json};

use crate::support::{Ask, NOW, World, body, parts, token_in};

const CRYPTO_KEY: &str = "the crypto key of an eventhos";
const CHECK: Mode = Mode { dry_run: true, partial: false };
const WRITE: Mode = Mode { dry_run: false, partial: false };
const PARTIAL: Mode = Mode { dry_run: false, partial: true };

const HYDRA: &str = include_str!("exports/hydra.json");
const FRONTIER: &str = include_str!("exports/frontier.json");
const EVENTHOS: &str = include_str!("exports/eventhos.json");
const COGNITO: &str = include_str!("exports/cognito.json");
const AUTH0: &str = include_str!("exports/auth0.json");
const KEYCLOAK: &str = include_str!("exports/keycloak.json");

fn system(name: &str) -> System {
    SYSTEMS.into_iter().find(|system| system.name == name).unwrap()
}

fn dialect(name: &str) -> &'static Dialect {
    DIALECTS.iter().find(|dialect| dialect.name == name).unwrap()
}

fn read(name: &str, text: &str) -> Vec<Imported> {
    let key = Secret::new(CRYPTO_KEY);
    system(name).read(text, (name == "eventhos").then_some(&key)).unwrap()
}

async fn empty() -> World {
    World::new(json!([]), &[Alg::ES256]).await
}

async fn run(world: &World, name: &str, text: &str, mode: Mode) -> Report {
    import(&world.clients, read(name, text), mode).await.unwrap()
}

/// What the report says of each client, without the notes.
fn results(report: &Report) -> Value {
    let lines = report.json()["clients"].as_array().unwrap().clone();
    lines.into_iter().map(|line| json!([line["result"], line["client_id"]])).collect()
}

/// A token for the secret that the client had, with its claims; the secret with one character more gets none.
async fn token(world: &World, dialect: &Dialect, id: &str, secret: &str, more: &[(&str, &str)]) -> (Value, Value) {
    let wrong = Ask::token_with(dialect, id, &format!("{secret}x"), more);
    world.refuses(dialect, id, wrong, Reason::SecretMismatch).await;
    let answer = world.send(Ask::token_with(dialect, id, secret, more)).await;
    assert_eq!(answer.record.reason, None, "{id}");
    let body = body(&answer.response);
    let (_, claims) = parts(token_in(&body));
    (body, claims)
}

async fn table(world: &World) -> Vec<Value> {
    world.clients.list().await.unwrap().iter().map(|client| json!(client)).collect()
}

#[tokio::test]
async fn hydra() {
    let world = empty().await;
    let report = run(&world, "hydra", HYDRA, WRITE).await;
    println!("{:#}", report.json());
}

#[tokio::test]
async fn all() {
    let world = empty().await;
    for (name, text) in [("frontier", FRONTIER), ("eventhos", EVENTHOS), ("cognito", COGNITO), ("auth0", AUTH0), ("keycloak", KEYCLOAK)] {
        let report = run(&world, name, text, WRITE).await;
        println!("{:#}", report.json());
    }
    println!("{:#}", json!(table(&world).await));
}
