//! `mintlet doctor`: looks a deployment over, or the local one, and says of what it finds how to mend it. It only reads.

pub mod access;
pub mod clients;
pub mod endpoint;
pub mod fetch;
pub mod finding;
pub mod report;
pub mod ring;
mod subject;
pub mod tables;
mod words;

use std::{path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;

pub use self::finding::Check;
use self::{
    access::{Calls, Unseen},
    clients::Clients,
    endpoint::{Observed, Place},
    fetch::Http,
    finding::Finding,
    report::Report,
    ring::Trouble,
    subject::{Subject, endpoint_of, parse_url},
    tables::Tables,
};
use super::{Failure, duration, key, local::DEFAULT_DATA_DIR};
use crate::{
    edge::moment::{self, Stopwatch},
    keyring::KeyRing,
};

/// Check a deployment, or the local one, and say how to mend what is found
///
/// Looks at what it is given: the API (--url), the tables (--clients-table, --state-table), the key ring (--secret-id or
/// --file), or with --local at all of a running `mintlet serve`. The rest is skipped. It only reads, and takes 15 s at the most.
///
/// Ends with 0 if there is nothing to mend, with 1 if there are warnings, and with 2 if there are faults or it could not look
/// at anything.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  mintlet doctor --local\n  \
    mintlet doctor --url https://auth.example.com --clients-table T --state-table S --secret-id ARN --json\n\n\
    The outputs of a deployed stack have the values: ApiUrl, ClientsTableName, StateTableName, SigningKeysSecretArn:\n  \
    aws cloudformation describe-stacks --stack-name mintlet --query 'Stacks[0].Outputs' --output table")]
pub struct Args {
    /// Look at the `mintlet serve` that runs with the data directory
    #[arg(long)]
    local: bool,
    /// The data directory of that server
    #[arg(long, default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// The clients table
    ///
    /// [default: $CLIENTS_TABLE; with --local always mintlet-clients]
    #[arg(long)]
    clients_table: Option<String>,
    /// The state table
    ///
    /// [default: $STATE_TABLE; with --local always mintlet-state]
    #[arg(long)]
    state_table: Option<String>,
    #[command(flatten)]
    place: key::Place,
    /// Where the API is; https, or http on this machine [default: the issuer]
    #[arg(long, value_parser = parse_url)]
    url: Option<String>,
    /// What tokens and metadata are to call the issuer [default: $ISSUER, or else the URL]
    #[arg(long, value_parser = parse_url)]
    issuer: Option<String>,
    /// How long before its end a client's last secret is said to expire: 30d, 12h, or seconds
    #[arg(long, default_value = "30d", value_parser = duration::parse)]
    expiring_within: u64,
    /// How long a key may sign without a successor: 30d, 12h, or seconds
    #[arg(long, default_value = "30d", value_parser = duration::parse)]
    rotation_period: u64,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

// What there is to judge.
struct Seen {
    calls: Calls,
    tables: Tables,
    ring: Result<KeyRing, Trouble>,
    endpoint: Option<(Observed, Place)>,
    clients: Result<Clients, Unseen>,
}

/// Carries out `mintlet doctor`.
pub async fn run(args: Args) -> ExitCode {
    let in_json = args.json;
    match Box::pin(examine(args)).await {
        Ok(report) => {
            if in_json {
                say!("{}", report.json());
            } else {
                say!("{}", report.text());
            }
            ExitCode::from(report.severity())
        }
        Err(failure) => {
            eprintln!("mintlet: {failure}");
            ExitCode::from(2)
        }
    }
}

async fn examine(args: Args) -> Result<Report, Failure> {
    let stopwatch = Stopwatch::start();
    let (expiring_within, rotation_period) = (args.expiring_within, args.rotation_period);
    let place = endpoint_of(&args)?;
    let http = match &place {
        Some(_) => Some(Http::new().map_err(Failure::new)?),
        None => None,
    };
    let has_endpoint = place.is_some();
    let endpoint = async {
        let (http, place) = http.zip(place)?;
        Some((endpoint::observe(&http, &place).await, place))
    };
    let (endpoint, backends) = tokio::join!(endpoint, backends(args, has_endpoint));
    let (subject, seen) = backends?;
    let seen = Seen { endpoint, ..seen };
    let findings = judge(subject, seen, moment::now(), expiring_within, rotation_period);
    Ok(Report { findings, took: stopwatch.elapsed() })
}

// All but the endpoint, side by side.
async fn backends(args: Args, has_endpoint: bool) -> Result<(Subject, Seen), Failure> {
    let subject = Box::pin(Subject::of(args, has_endpoint)).await?;
    let calls = Calls::default();
    let clients_table = subject.clients_table.as_deref().map_err(|why| *why);
    let state_table = subject.state_table.as_deref().map_err(|why| *why);
    let (tables, ring, clients) = tokio::join!(
        tables::observe(&calls, &subject.dynamodb, clients_table, state_table, subject.is_embedded),
        ring::observe(&calls, subject.source.clone()),
        clients::observe(&calls, &subject.dynamodb, clients_table),
    );
    Ok((subject, Seen { calls, tables, ring, endpoint: None, clients }))
}

fn judge(subject: Subject, seen: Seen, now: u64, expiring_within: u64, rotation_period: u64) -> Vec<Finding> {
    let asked_for = seen.clients.as_ref().map(Clients::algs);
    let ring_terms = ring::Terms {
        now,
        rotation_period,
        algs: asked_for.as_deref().map_err(|_| "what clients ask for is not known: see clients"),
        place: &subject.key_flags,
        is_file: subject.is_file(),
    };
    let client_terms = clients::Terms { now, expiring_within, place: &subject.client_flags };
    let mut findings = match subject.credentials {
        Some(finding) => vec![*finding],
        None if subject.needs_aws => access::judge(&seen.calls.into_inner()),
        None => vec![Check::Permissions.skipped("AWS is not asked, and local mode knows no permissions")],
    };
    let named = |table: &Result<String, &'static str>| table.clone().unwrap_or_default();
    let (clients_table, state_table) = (named(&subject.clients_table), named(&subject.state_table));
    findings.extend(tables::judge(&seen.tables, &clients_table, &state_table, subject.is_embedded));
    findings.extend(ring::judge(&seen.ring, &ring_terms));
    findings.extend(match &seen.endpoint {
        Some((observed, place)) => endpoint::judge(observed, place, seen.ring.as_ref().ok(), now),
        None => vec![Check::Health.skipped("not given: --url, or ISSUER")],
    });
    findings.extend(clients::judge(&seen.clients, &client_terms));
    findings
}
