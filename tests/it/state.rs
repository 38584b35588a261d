//! The state table's contract, through the real SDK against the embedded engine.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use mintlet::{
    cli::local::{self, Engine, create_tables},
    config::{CLIENTS_TABLE, STATE_TABLE},
    edge::{client_cache::CachedClients, dynamodb::DynamoDb},
    grant::{Facts, Found, Lookups, StateRow, Write},
    oauth::{client::ClientId, error::Reason},
    service::{Store, StoreFault, WriteFault},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::NOW;

async fn engine() -> Engine {
    let engine = Engine::start(0, None).await.unwrap();
    create_tables(&engine.sdk(), CLIENTS_TABLE, STATE_TABLE).await.unwrap();
    engine
}

fn store(engine: &Engine) -> DynamoDb {
    DynamoDb::new(engine.sdk(), CLIENTS_TABLE, STATE_TABLE)
}

fn row(jti: &str) -> StateRow {
    StateRow::RevokedToken { client_id: ClientId::parse("a").unwrap(), jti: jti.to_owned() }
}

fn once(jti: &str, lost: Reason) -> Write {
    Write::UseOnce { row: row(jti), expires_at: NOW + 60, lost }
}

const LOST: Result<(), WriteFault> = Err(WriteFault::Lost(Reason::SecretExpired));

#[tokio::test]
async fn of_fifty_that_use_a_row_at_once_one_wins() {
    let engine = engine().await;
    let store = store(&engine);
    let write = [once("a", Reason::SecretExpired)];
    let outcomes = join_all((0..50).map(|_| store.commit(&write, NOW))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == LOST).count(), 49);
}

#[tokio::test]
async fn a_row_can_be_used_again_from_its_expiry_on_though_it_was_not_deleted() {
    let engine = engine().await;
    let store = store(&engine);
    let write = [once("a", Reason::SecretExpired)];
    assert_eq!(store.commit(&write, NOW).await, Ok(()));
    assert_eq!(store.commit(&write, NOW + 59).await, LOST);
    assert_eq!(store.commit(&write, NOW + 60).await, Ok(()));
}

#[tokio::test]
async fn of_several_writes_all_are_carried_out_or_none() {
    let engine = engine().await;
    let store = store(&engine);
    assert_eq!(store.commit(&[once("b", Reason::SecretMismatch)], NOW).await, Ok(()));
    let two = [once("a", Reason::SecretMismatch), once("b", Reason::SecretExpired)];
    assert_eq!(store.commit(&two, NOW).await, LOST);
    assert_eq!(
        store.commit(&[once("a", Reason::SecretMismatch), once("c", Reason::SecretMismatch)], NOW).await,
        Ok(())
    );
    assert_eq!(store.commit(&[], NOW).await, Ok(()));
}

#[tokio::test]
async fn what_is_put_is_found_until_it_expires_even_through_the_cache() {
    let engine = engine().await;
    let cached = CachedClients::new(store(&engine), 300);
    let client_id = ClientId::parse("billing").unwrap();
    let lookups = Lookups {
        client_ids: vec![client_id.clone()],
        rows: vec![row("a"), StateRow::RevokedClient { client_id: client_id.clone() }],
        ..Lookups::default()
    };
    let found = async |now| cached.load(&lookups, now).await.unwrap().facts.state;
    assert_eq!(found(NOW).await, []);
    for (at, expires_at) in [(7, NOW + 60), (9, NOW + 90)] {
        let put = Write::Put { row: row("a"), expires_at, at };
        assert_eq!(cached.commit(&[put], NOW).await, Ok(()));
        assert_eq!(found(NOW).await, [(row("a"), Found { expires_at, at })]);
    }
    let again = cached.reload(&lookups, &Facts::default(), NOW + 60).await.unwrap().unwrap();
    assert_eq!(again.facts.state.len(), 1);
    assert_eq!(found(NOW + 89).await.len(), 1);
    assert_eq!(found(NOW + 90).await, []);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_no_absent_row() {
    let engine = engine().await;
    let put = engine.sdk().put_item().table_name(STATE_TABLE).item("pk", AttributeValue::S(row("a").pk()));
    put.item("at", AttributeValue::N("1".to_owned())).send().await.unwrap();
    let lookups = Lookups { rows: vec![row("a")], ..Lookups::default() };
    let fault = store(&engine).load(&lookups, NOW).await.unwrap_err();
    assert_eq!(fault, StoreFault::MalformedItem("at expires_at of a row of the state table".to_owned()));
}

#[tokio::test]
async fn a_table_that_is_not_there_is_an_outage_and_no_lost_row() {
    let engine = engine().await;
    engine.sdk().delete_table().table_name(STATE_TABLE).send().await.unwrap();
    let store = store(&engine);
    for writes in [vec![once("a", Reason::SecretExpired)], vec![once("a", Reason::SecretExpired); 2]] {
        assert!(matches!(store.commit(&writes, NOW).await, Err(WriteFault::Unavailable(_))));
    }
    let lookups = Lookups { rows: vec![row("a")], ..Lookups::default() };
    assert!(matches!(store.load(&lookups, NOW).await, Err(StoreFault::Unavailable(_))));
}

#[tokio::test]
async fn a_write_that_the_sdk_sends_again_is_not_lost_to_itself() {
    let engine = engine().await;
    let lossy = loses_the_first_answer(engine.endpoint().trim_start_matches("http://").to_owned()).await;
    let store_behind = DynamoDb::new(local::sdk(&lossy), CLIENTS_TABLE, STATE_TABLE);
    let write = [once("a", Reason::SecretExpired)];
    assert_eq!(store_behind.commit(&write, NOW).await, Ok(()));
    assert_eq!(store(&engine).commit(&write, NOW).await, LOST);
}

// Passes on what it is sent, but drops the first connection as soon as its request has been answered.
async fn loses_the_first_answer(engine: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let mut behind = TcpStream::connect(&engine).await.unwrap();
        let mut bytes = vec![0; 64 * 1024];
        let mut answered = false;
        while !answered {
            tokio::select! {
                read = first.read(&mut bytes) => behind.write_all(&bytes[..read.unwrap()]).await.unwrap(),
                _ = behind.readable() => answered = true,
            }
        }
        drop(first);
        loop {
            let (mut next, _) = listener.accept().await.unwrap();
            let mut behind = TcpStream::connect(&engine).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut next, &mut behind).await });
        }
    });
    format!("http://{address}")
}
