//! `mintlet token`: look into tokens.

use std::{io::Read as _, path::PathBuf, process::ExitCode};

use clap::{Args as ClapArgs, Subcommand};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use super::{Failure, read};
use crate::edge::moment;

/// Look into tokens
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  echo \"$TOKEN\" | mintlet token inspect --jwks jwks.json")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Decode a token, read from standard input, and verify it against published keys
    ///
    /// With --jwks it ends with 0 only if the signature is good and the token has not expired; without, nothing is verified.
    #[command(after_help = "Example:\n  curl -s localhost:9000/oauth2/jwks > jwks.json\n  \
        echo \"$TOKEN\" | mintlet token inspect --jwks jwks.json")]
    Inspect {
        /// The published keys (RFC 7517), a file
        #[arg(long)]
        jwks: Option<PathBuf>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// Carries out `mintlet token`.
///
/// # Errors
/// A [`Failure`] if there is no token to look into.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let Command::Inspect { jwks, json: in_json } = args.command;
    let mut token = String::new();
    std::io::stdin().read_to_string(&mut token).map_err(Failure::new)?;
    let token = token.trim();
    let header = part(token, 0).ok_or_else(|| Failure::new("not a JWT: its header cannot be read"))?;
    let claims = part(token, 1).ok_or_else(|| Failure::new("not a JWT: its claims cannot be read"))?;
    let verdict = match jwks {
        None => None,
        Some(path) => {
            let keys = serde_json::from_str(&read(&path)?)
                .map_err(|error| Failure::new(format!("{}: not a JWK set: {error}", path.display())))?;
            Some(verify(token, &keys).and_then(|()| check_time(&claims, moment::now())))
        }
    };
    let valid = verdict.as_ref().map(Result::is_ok);
    let reason = verdict.as_ref().and_then(|verdict| verdict.as_ref().err());
    if in_json {
        say!("{}", json!({"header": header, "claims": claims, "valid": valid, "reason": reason}));
    } else {
        let verdict = if valid.is_some() { "valid" } else { "not verified: no --jwks" };
        say!("{header:#}\n{claims:#}\n{}", reason.map_or(verdict, String::as_str));
    }
    Ok(if valid == Some(false) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn part(token: &str, index: usize) -> Option<Value> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let text = token.split('.').nth(index)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn verify(token: &str, keys: &JwkSet) -> Result<(), String> {
    let header = jsonwebtoken::decode_header(token).map_err(|error| format!("invalid: {error}"))?;
    let kid = header.kid.ok_or("invalid: the header names no key")?;
    let key = keys.find(&kid).ok_or("invalid: the key that the header names is not published")?;
    // The algorithm is the key's, never the token's word for it.
    let algorithm = key.common.key_algorithm.and_then(|alg| alg.to_string().parse::<Algorithm>().ok());
    let mut validation = Validation::new(algorithm.ok_or("invalid: the key names no algorithm")?);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_jwk(key).map_err(|error| format!("invalid: the key: {error}"))?;
    jsonwebtoken::decode::<Value>(token, &key, &validation).map(|_| ()).map_err(|error| format!("invalid: {error}"))
}

fn check_time(claims: &Value, now: u64) -> Result<(), String> {
    match (claims.get("exp").and_then(Value::as_u64), claims.get("nbf").and_then(Value::as_u64)) {
        (None, _) => Err("invalid: it has no exp".to_owned()),
        (Some(exp), _) if exp <= now => Err(format!("invalid: it expired {} s ago", now - exp)),
        (_, Some(nbf)) if nbf > now => Err(format!("invalid: it is good only in {} s", nbf - now)),
        _ => Ok(()),
    }
}
