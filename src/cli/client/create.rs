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
    /// A further resource that it may ask for: a URI, or {"resource","scope","access_token_lifetime"}; may be repeated
    #[arg(long = "allowed-resource", value_name = "URI|JSON")]
    allowed_resources: Vec<String>,
    /// A type of authorization_details that it may ask for; may be repeated
    #[arg(long = "authorization-details-type", value_name = "TYPE")]
    authorization_details_types: Vec<String>,
    /// A client whose tokens it may exchange, besides its own; needs the grant too; may be repeated
    #[arg(long = "subject-token-client", value_name = "CLIENT_ID")]
    subject_token_clients: Vec<String>,
    /// What it is itself in the aud of tokens that it may introspect, besides its id; may be repeated
    #[arg(long = "resource-identifier", value_name = "URI")]
    resource_identifiers: Vec<String>,
    /// The `sub` of its tokens [default: its id]
    #[arg(long)]
    subject: Option<String>,
    /// Where it publishes its keys, if the deployment's JWKS_URI_HOSTS lists the host
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth or self_signed_tls_client_auth; with the last
    /// three it gets no secret [default: any that it has credentials for, but no certificate]
    #[arg(long)]
    token_endpoint_auth_method: Option<String>,
    /// The subject of its certificate, for tls_client_auth: this or one of the next four
    #[arg(long, value_name = "DN")]
    tls_client_auth_subject_dn: Option<String>,
    /// A DNS name of its certificate
    #[arg(long, value_name = "NAME")]
    tls_client_auth_san_dns: Option<String>,
    /// A URI of its certificate
    #[arg(long, value_name = "URI")]
    tls_client_auth_san_uri: Option<String>,
    /// An IP address of its certificate
    #[arg(long, value_name = "ADDRESS")]
    tls_client_auth_san_ip: Option<String>,
    /// A mail address of its certificate
    #[arg(long, value_name = "ADDRESS")]
    tls_client_auth_san_email: Option<String>,
    /// Its public keys, as a JSON object {"keys":[...]}; `client key add` adds more
    #[arg(long)]
    jwks: Option<String>,
    /// rfc7523, or frontier for Frontier's SDK: the rules by which its assertions are taken [default: rfc7523]
    #[arg(long, value_name = "PROFILE")]
    assertion_profile: Option<String>,
    /// Seconds by which the exp of its assertions may lie ahead: 60 to 3600 [default: 300]
    #[arg(long, value_name = "SECONDS")]
    assertion_lifetime: Option<u64>,
    /// Take the token endpoint as the only audience of its assertions too
    #[arg(long)]
    legacy_assertion_audience: bool,
    /// Seconds for which its tokens are good: 60 to 86400 [default: the deployment's]
    #[arg(long)]
    access_token_lifetime: Option<u64>,
    /// RS256, PS256, ES256, ES384, EdDSA or HS256 [default: the deployment's]
    #[arg(long)]
    access_token_signed_response_alg: Option<String>,
    /// Give it tokens only with a DPoP proof, bound to the proof's key
    #[arg(long)]
    dpop_bound_access_tokens: bool,
    /// Whether its tokens are bound to its certificate: without a value, or =true or =false [default: if that authenticates it]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    tls_client_certificate_bound_access_tokens: Option<bool>,
    /// The alg of introspection that it asks for as a JWT [default: the deployment's]
    #[arg(long, value_name = "ALG")]
    introspection_signed_response_alg: Option<String>,
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
        let resources = self.allowed_resources.iter().map(|text| resource(text)).collect::<Result<Vec<_>, _>>()?;
        set("allowed_resources", (!resources.is_empty()).then(|| json!(resources)));
        set("authorization_details_types", list(self.authorization_details_types));
        set("subject_token_clients", list(self.subject_token_clients));
        set("resource_identifiers", list(self.resource_identifiers));
        set("subject", self.subject.map(Value::from));
        set("jwks_uri", self.jwks_uri.map(Value::from));
        set("token_endpoint_auth_method", self.token_endpoint_auth_method.map(Value::from));
        set("tls_client_auth_subject_dn", self.tls_client_auth_subject_dn.map(Value::from));
        set("tls_client_auth_san_dns", self.tls_client_auth_san_dns.map(Value::from));
        set("tls_client_auth_san_uri", self.tls_client_auth_san_uri.map(Value::from));
        set("tls_client_auth_san_ip", self.tls_client_auth_san_ip.map(Value::from));
        set("tls_client_auth_san_email", self.tls_client_auth_san_email.map(Value::from));
        set("jwks", self.jwks.map(|text| object("--jwks", &text)).transpose()?);
        set("assertion_profile", self.assertion_profile.map(Value::from));
        set("assertion_lifetime", self.assertion_lifetime.map(Value::from));
        set("legacy_assertion_audience", self.legacy_assertion_audience.then_some(Value::Bool(true)));
        set("access_token_lifetime", self.access_token_lifetime.map(Value::from));
        set("access_token_signed_response_alg", self.access_token_signed_response_alg.map(Value::from));
        set("dpop_bound_access_tokens", self.dpop_bound_access_tokens.then_some(Value::Bool(true)));
        set(
            "tls_client_certificate_bound_access_tokens",
            self.tls_client_certificate_bound_access_tokens.map(Value::Bool),
        );
        set("introspection_signed_response_alg", self.introspection_signed_response_alg.map(Value::from));
        set("scope_claim", self.scope_claim.map(Value::from));
        set("claims", self.claims.map(|text| object("--claims", &text)).transpose()?);
        set("roles", list(self.roles));
        set("eventhos", self.eventhos.map(|text| object("--eventhos", &text)).transpose()?);
        Ok(Value::Object(entry))
    }
}

// No URI begins with a brace (RFC 3986 section 3.1).
fn resource(text: &str) -> Result<Value, Failure> {
    if text.starts_with('{') { object("--allowed-resource", text) } else { Ok(json!({"resource": text})) }
}

fn object(flag: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::new(format!("{flag} is not JSON: {error}")))
}

fn random_id() -> Result<String, Failure> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = moment::random::<15>().map_err(Failure::new)?;
    Ok(format!("client-{}", URL_SAFE_NO_PAD.encode(bytes)))
}
