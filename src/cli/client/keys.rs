//! `mintlet client key`: the public keys with which a client's assertions are verified.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Target, id, public_key};
use crate::{
    cli::{Failure, clients_table::ClientsTable, key::write_private_file, merge::later_than, read},
    keyring::{KeyRecord, SigningKey},
    oauth::{
        client::Client,
        jwk::Jwks,
        jwt::Alg,
        vocabulary::{AssertionProfile, ClientAuthMethod, GrantType},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Add a public key that the client made: a JWK, a JWK set, or a PEM file
    #[command(
        after_help = "Examples:\n  openssl pkey -in key.pem -pubout | mintlet client key add --local --client-id billing --file -\n  \
        mintlet client key add --local --client-id billing --file key.jwk"
    )]
    Add(Add),
    /// Make a key pair, keep its public half, and print the private one, once
    #[command(
        after_help = "Examples:\n  mintlet client key generate --local --client-id billing --out billing.pem\n  \
        mintlet client key generate --local --client-id billing --format frontier --out billing.json"
    )]
    Generate(Generate),
    /// List the keys of a client
    #[command(after_help = "Example:\n  mintlet client key list --local --client-id billing")]
    List(One),
    /// Take a key away from a client
    ///
    /// Warm instances notice within CLIENT_CACHE_TTL seconds. Tokens that it got stay good until they expire.
    #[command(after_help = "Example:\n  mintlet client key remove --local --client-id billing --kid KID")]
    Remove(Remove),
}

#[derive(Debug, ClapArgs)]
pub(super) struct One {
    /// The client
    #[arg(long, allow_hyphen_values = true)]
    client_id: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Add {
    #[command(flatten)]
    one: One,
    /// The public key; - is standard input
    #[arg(short, long)]
    file: PathBuf,
    /// Its id, for a PEM file [default: its RFC 7638 thumbprint]
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Generate {
    #[command(flatten)]
    one: One,
    /// RS256, PS256, ES256, ES384 or EdDSA [default: ES256, or RS256 for Frontier]
    #[arg(long, value_parser = parse_alg)]
    alg: Option<Alg>,
    /// How the private key is written
    ///
    /// `frontier` sets the client's assertion_profile besides: its assertions are taken as Frontier's SDK makes them, at the
    /// frontier route alone.
    #[arg(long, value_enum, default_value_t = Format::Pem)]
    format: Format,
    /// A file for the private key, readable by its owner alone [default: standard output]
    #[arg(short, long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// PKCS#8 in PEM
    Pem,
    /// The JSON key file that Frontier's SDK reads
    Frontier,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Remove {
    #[command(flatten)]
    one: One,
    /// The key's id, as `key list` shows it
    #[arg(long, allow_hyphen_values = true)]
    kid: String,
}

// What Frontier's own server calls a key that it made for a service user.
const FRONTIER_KEY_TYPE: &str = "sv_rsa";

impl Keys {
    pub(super) async fn run(self, target: &Target, table: &ClientsTable) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(target, table).await,
            Self::Generate(generate) => generate.run(target, table).await,
            Self::List(one) => {
                let client = existing(table, &one).await?;
                let listed = client.jwks.iter().flat_map(Jwks::list);
                if target.json {
                    let keys: Vec<_> = listed.map(|(kid, alg)| json!({"kid": kid, "alg": alg})).collect();
                    say!("{}", json!({"client_id": one.client_id, "keys": keys}));
                } else {
                    listed.for_each(|(kid, alg)| say!("{kid}\t{}", alg.as_str()));
                }
                Ok(())
            }
            Self::Remove(Remove { one, kid }) => {
                let before = existing(table, &one).await?;
                let listed: Vec<_> = before.jwks.iter().flat_map(Jwks::list).map(|(kid, _)| kid).collect();
                let Some(index) = listed.iter().position(|listed| *listed == kid) else {
                    return Err(Failure::new(format!("client {} has no key {kid:?}", one.client_id)));
                };
                let mut keys = keys_of(&before);
                keys.remove(index);
                store(table, &before, &keys).await?;
                let text = format!("removed key {kid} of {}", one.client_id);
                target.report(&json!({"client_id": one.client_id, "kid": kid}), &text);
                Ok(())
            }
        }
    }
}

impl Add {
    async fn run(self, target: &Target, table: &ClientsTable) -> Result<(), Failure> {
        let Self { one, file, kid } = self;
        let new = public_key::read(&read(&file)?, kid.as_deref())
            .map_err(|fault| Failure::new(format!("{}: {fault}", file.display())))?;
        let before = existing(table, &one).await?;
        let mut keys = keys_of(&before);
        let had = keys.len();
        keys.extend(new);
        let jwks = store(table, &before, &keys).await?;
        let added: Vec<_> = jwks.list().skip(had).map(|(kid, _)| kid).collect();
        let text = format!("added to {}: {}", one.client_id, added.join(", "));
        target.report(&json!({"client_id": one.client_id, "kids": added}), &text);
        advise(&before);
        Ok(())
    }
}

impl Generate {
    async fn run(self, target: &Target, table: &ClientsTable) -> Result<(), Failure> {
        let Self { one, alg, format, out } = self;
        let alg = match (alg, format) {
            (None, Format::Pem) => Alg::ES256,
            (None | Some(Alg::RS256), Format::Frontier) => Alg::RS256,
            (Some(alg), Format::Pem) => alg,
            (Some(_), Format::Frontier) => return Err(Failure::new("Frontier's SDK signs with RS256 alone")),
        };
        if out.as_ref().is_some_and(|path| path.exists()) {
            return Err(Failure::new("the file is there already: name another one with --out"));
        }
        let before = existing(table, &one).await?;
        let profiled = match format {
            Format::Pem => before.clone(),
            Format::Frontier => of_frontier(&before)?,
        };
        let record = KeyRecord::generate(alg, 0).map_err(Failure::new)?;
        let key = SigningKey::from_record(&record).map_err(Failure::new)?;
        let mut keys = keys_of(&before);
        keys.push(json!(key.public_jwk()));
        let private = pem(record.material().map_err(Failure::new)?.as_slice());
        let private = match format {
            Format::Pem => private,
            Format::Frontier => Zeroizing::new(format!(
                "{:#}\n",
                json!({
                    "type": FRONTIER_KEY_TYPE,
                    "kid": before.client_id,
                    "principal_id": before.subject.as_deref().unwrap_or(before.client_id.as_str()),
                    "private_key": private.as_str(),
                })
            )),
        };
        let kid = key.kid();
        // What is not the key goes to standard error, so that standard output can be kept as it is.
        match out {
            Some(path) => {
                // Before its public half: a key that nobody has would be of no use.
                write_private_file(&path, private.as_bytes())?;
                if let Err(failure) = replace(table, &before, &profiled, &keys).await {
                    drop(std::fs::remove_file(&path));
                    return Err(failure);
                }
                let text = format!("added key {kid} to {}; its private half is in {}", one.client_id, path.display());
                target.report(&json!({"client_id": one.client_id, "kid": kid, "alg": alg, "out": path}), &text);
            }
            None if target.json => {
                replace(table, &before, &profiled, &keys).await?;
                let text = private.as_str();
                say!("{}", json!({"client_id": one.client_id, "kid": kid, "alg": alg, "private_key": text}));
            }
            None => {
                replace(table, &before, &profiled, &keys).await?;
                say!("{}", private.trim_end());
                eprintln!("added key {kid} to {}\nThe private key is shown this once: store it now.", one.client_id);
            }
        }
        advise(&profiled);
        Ok(())
    }
}

// The client as one of Frontier's SDK. What it has used up by the stricter rules would be good again by these.
fn of_frontier(client: &Client) -> Result<Client, Failure> {
    let id = &client.client_id;
    if client.token_endpoint_auth_method == Some(ClientAuthMethod::PrivateKeyJwt) {
        return Err(Failure::new(format!(
            "client {id} authenticates by private_key_jwt: create another one for Frontier's SDK"
        )));
    }
    if client.assertion_profile != AssertionProfile::Frontier && client.jwks.is_some() {
        return Err(Failure::new(format!(
            "client {id} has keys whose assertions are good once, and would be no more: create another one for Frontier's SDK"
        )));
    }
    Ok(Client { assertion_profile: AssertionProfile::Frontier, ..client.clone() })
}

async fn existing(table: &ClientsTable, one: &One) -> Result<Client, Failure> {
    table.existing(&id(&one.client_id)?).await
}

fn keys_of(client: &Client) -> Vec<Value> {
    client.jwks.as_ref().map(|jwks| jwks.jwks().to_vec()).unwrap_or_default()
}

async fn store(table: &ClientsTable, before: &Client, keys: &[Value]) -> Result<Jwks, Failure> {
    replace(table, before, before, keys).await
}

async fn replace(table: &ClientsTable, before: &Client, after: &Client, keys: &[Value]) -> Result<Jwks, Failure> {
    if before.jwks_uri.is_some() {
        let id = &before.client_id;
        return Err(Failure::new(format!(
            "client {id} has a jwks_uri: it publishes its keys, and has none of its own here"
        )));
    }
    let jwks = Jwks::of(keys).map_err(Failure::new)?;
    let kept = (!keys.is_empty()).then(|| jwks.clone());
    let after = Client { jwks: kept, updated_at: later_than(before), ..after.clone() };
    table.replace(before, &after).await?;
    Ok(jwks)
}

fn pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let pem = Pem::new("PRIVATE KEY", pkcs8);
    Zeroizing::new(pem::encode_config(&pem, EncodeConfig::new().set_line_ending(LineEnding::LF)))
}

fn advise(client: &Client) {
    if !client.grant_types.contains(&GrantType::JwtBearer) {
        let (id, grant) = (&client.client_id, GrantType::JwtBearer.as_str());
        match client.assertion_profile {
            AssertionProfile::Rfc7523 => {
                eprintln!(
                    "note: {id} may authenticate with it; to use it as a grant, it needs {grant} among its grant_types"
                );
            }
            AssertionProfile::Frontier => eprintln!("note: to use it, {id} needs {grant} among its grant_types"),
        }
    }
}

fn parse_alg(text: &str) -> Result<Alg, String> {
    let names = Alg::ASYMMETRIC.map(Alg::as_str).join(", ");
    Alg::asymmetric(text).ok_or_else(|| format!("one of {names}"))
}
