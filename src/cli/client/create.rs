//! `mintlet client create`: flags that become an entry of a clients file.

use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};

use crate::{cli::Failure, edge::moment};

#[derive(Debug, ClapArgs)]
pub(super) struct Create {
    /// Its id; a random one if left out
    #[arg(long)]
    client_id: Option<String>,
    /// Its name
    #[arg(long)]
    client_name: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// A grant it may use; may be repeated [default: client_credentials]
    #[arg(long = "grant-type")]
    grant_types: Vec<String>,
    /// All that it may ask for, separated by spaces
    #[arg(long)]
    scope: Option<String>,
    /// What it gets when it asks for nothing [default: all of its scope]
    #[arg(long)]
    default_scope: Option<String>,
    /// An audience it may ask for; may be repeated
    #[arg(long)]
    audience: Vec<String>,
    /// The `sub` of its tokens [default: its id]
    #[arg(long)]
    subject: Option<String>,
    /// Where it publishes its keys, if the deployment's JWKS_URI_HOSTS lists the host
    #[arg(long)]
    jwks_uri: Option<String>,
    /// client_secret_basic or client_secret_post [default: both]
    #[arg(long)]
    token_endpoint_auth_method: Option<String>,
    /// Seconds for which its tokens are good: 60 to 86400 [default: the deployment's]
    #[arg(long)]
    access_token_lifetime: Option<u64>,
    /// RS256, PS256, ES256, ES384, EdDSA or HS256 [default: the deployment's]
    #[arg(long)]
    access_token_signed_response_alg: Option<String>,
    /// Give it tokens only with a DPoP proof, bound to the proof's key
    #[arg(long)]
    dpop_bound_access_tokens: bool,
    /// Whether the scope claim is a string or an array
    #[arg(long)]
    scope_claim: Option<String>,
    /// More claims of its tokens, as a JSON object
    #[arg(long)]
    claims: Option<String>,
    /// A role; may be repeated
    #[arg(long = "role")]
    roles: Vec<String>,
    /// What eventhos says of it, as a JSON object {"id","identifier","roles","long_lived"}
    #[arg(long)]
    eventhos: Option<String>,
}

impl Create {
    // The same form as an entry of a clients file, so that one set of rules checks both.
    pub(super) fn into_entry(self) -> Result<Value, Failure> {
        let client_id = match self.client_id {
            Some(id) => id,
            None => random_id()?,
        };
        let mut entry = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                entry.insert(name.to_owned(), value);
            }
        };
        let list = |items: Vec<String>| (!items.is_empty()).then(|| json!(items));
        set("client_id", Some(json!(client_id)));
        set("client_name", self.client_name.map(Value::from));
        set("description", self.description.map(Value::from));
        set("grant_types", list(self.grant_types));
        set("scope", self.scope.map(Value::from));
        set("default_scope", self.default_scope.map(Value::from));
        set("audience", list(self.audience));
        set("subject", self.subject.map(Value::from));
        set("jwks_uri", self.jwks_uri.map(Value::from));
        set("token_endpoint_auth_method", self.token_endpoint_auth_method.map(Value::from));
        set("access_token_lifetime", self.access_token_lifetime.map(Value::from));
        set("access_token_signed_response_alg", self.access_token_signed_response_alg.map(Value::from));
        set("dpop_bound_access_tokens", self.dpop_bound_access_tokens.then_some(Value::Bool(true)));
        set("scope_claim", self.scope_claim.map(Value::from));
        set("claims", self.claims.map(|text| object("--claims", &text)).transpose()?);
        set("roles", list(self.roles));
        set("eventhos", self.eventhos.map(|text| object("--eventhos", &text)).transpose()?);
        Ok(Value::Object(entry))
    }
}

fn object(flag: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::new(format!("{flag} is not JSON: {error}")))
}

fn random_id() -> Result<String, Failure> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = moment::random::<15>().map_err(Failure::new)?;
    Ok(format!("client-{}", URL_SAFE_NO_PAD.encode(bytes)))
}
