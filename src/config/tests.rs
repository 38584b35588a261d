use super::*;

const GOOD: &[(&str, &str)] = &[
    ("ISSUER", "https://auth.example.com"),
    ("SIGNING_KEYS_SECRET_ID", "keys"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "id"),
    ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ("LOG_LEVEL", ""),
];

fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigFaults> {
    Config::from_vars(GOOD.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn what_is_not_set_has_its_default() {
    let config = read(&[]).unwrap();
    assert_eq!(config.clients_table, "mintlet-clients");
    assert_eq!(config.state_table, "mintlet-state");
    assert_eq!(config.signing_keys, SigningKeys::Secret("keys".to_owned()));
    assert_eq!((config.client_cache_ttl, config.keys_cache_ttl, config.secret_expiry_warning), (30, 300, 604_800));
    assert_eq!(config.settings.access_token_lifetime.as_seconds(), 3600);
    assert!(!config.settings.requires_dpop_nonce);
    assert!(read(&[("DPOP_NONCE", "required")]).unwrap().settings.requires_dpop_nonce);
    assert!(!read(&[("DPOP_NONCE", "off")]).unwrap().settings.requires_dpop_nonce);
    assert_eq!(config.settings.dialects, ["oauth2", "screening-eagle", "frontier", "eventhos"]);
    assert_eq!(config.log_level, LevelFilter::INFO);
    assert_eq!(config.settings.authorization_details_types, [""; 0]);
}

#[test]
fn every_fault_is_reported_at_once() {
    let faults = read(&[
        ("ISSUER", "http://auth.example.com"),
        ("DIALECTS", "oauth2,klingon"),
        ("ACCESS_TOKEN_LIFETIME", "59"),
        ("DPOP_NONCE", "on"),
        ("MTLS_BASE_URL", "http://mtls.example.com"),
        ("CLOUDFRONT_ORIGIN_SECRET", "hunter2"),
        ("JWKS_URI_HOSTS", "https://keys.example.com"),
        ("CLIENT_CACHE_TTL", "-1"),
        ("KEYS_CACHE_TTL", "0"),
        ("SECRET_EXPIRY_WARNING", "7776001"),
        ("LOG_LEVEL", "trace"),
        ("SIGNING_KEYS_FILE", "keys.json"),
    ])
    .unwrap_err();
    assert_eq!(
        faults.0,
        [
            "ISSUER is not an https URL without query and fragment",
            "DIALECTS names a dialect that there is not",
            "ACCESS_TOKEN_LIFETIME is not 60..=86400 seconds",
            "DPOP_NONCE is not required or off",
            "MTLS_BASE_URL is not an https URL without query and fragment",
            "CLOUDFRONT_ORIGIN_SECRET is not 32 visible ASCII characters or more",
            "SIGNING_KEYS_SECRET_ID and SIGNING_KEYS_FILE are both set; one is enough",
            "JWKS_URI_HOSTS is not a list of host names",
            "CLIENT_CACHE_TTL is not 0..=3600 seconds",
            "KEYS_CACHE_TTL is not 1..=3600 seconds",
            "SECRET_EXPIRY_WARNING is not 0..=7776000 seconds",
            "LOG_LEVEL is not error, warn, info or debug",
        ]
    );
}

#[test]
fn what_is_required_is_named() {
    let faults = Config::from_vars([]).unwrap_err();
    assert_eq!(
        faults.0,
        [
            "SIGNING_KEYS_SECRET_ID and SIGNING_KEYS_FILE are both missing; one is needed",
            "AWS_REGION is missing",
            "AWS_ACCESS_KEY_ID is missing",
            "AWS_SECRET_ACCESS_KEY is missing",
        ]
    );
}

#[test]
fn an_issuer_is_https_or_on_this_machine() {
    for good in ["https://a.example/base/", "http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
        assert_eq!(parse_issuer(good).as_deref(), Some(good));
    }
    for bad in [
        "",
        "a.example",
        "/a",
        "http://a.example",
        "ftp://a",
        "https://a/?b",
        "https://a/#b",
        "https://u@a/",
        "https://a/\"b",
    ] {
        assert_eq!(parse_issuer(bad), None, "{bad}");
    }
    assert_eq!(base_path("https://a.example/base/"), "/base");
    assert_eq!(base_path("https://a.example"), "");
}

#[test]
fn a_specific_endpoint_goes_before_the_general_one() {
    let config = read(&[("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_DYNAMODB", "http://db")]).unwrap();
    assert_eq!(config.aws.dynamodb_endpoint.as_deref(), Some("http://db"));
    assert_eq!(config.aws.secrets_manager_endpoint.as_deref(), Some("http://all"));
}

#[test]
fn a_claims_hook_is_a_function_or_on_this_machine() {
    let hook = |place, seconds| Some(ClaimsHook { place, timeout: Duration::from_secs(seconds) });
    let arn = "arn:aws:lambda:eu-central-1:123456789012:function:claims:$LATEST";
    assert_eq!(read(&[]).unwrap().claims_hook, None);
    assert_eq!(
        read(&[("CLAIMS_HOOK_FUNCTION", arn), ("CLAIMS_HOOK_TIMEOUT", "5")]).unwrap().claims_hook,
        hook(HookPlace::Function(arn.to_owned()), 5)
    );
    for good in ["http://127.0.0.1:9300/claims", "http://localhost:9300", "http://[::1]:9300/"] {
        assert_eq!(read(&[("CLAIMS_HOOK_URL", good)]).unwrap().claims_hook, hook(HookPlace::Url(good.to_owned()), 1));
    }
    for (name, value, fault) in [
        ("CLAIMS_HOOK_FUNCTION", "a/b", "CLAIMS_HOOK_FUNCTION is not the name or ARN of a Lambda function"),
        ("CLAIMS_HOOK_URL", "http://192.0.2.1/", "CLAIMS_HOOK_URL is not an http URL on a loopback address"),
        ("CLAIMS_HOOK_URL", "https://127.0.0.1/", "CLAIMS_HOOK_URL is not an http URL on a loopback address"),
        ("CLAIMS_HOOK_URL", "127.0.0.1", "CLAIMS_HOOK_URL is not an http URL on a loopback address"),
        ("CLAIMS_HOOK_TIMEOUT", "0", "CLAIMS_HOOK_TIMEOUT is not 1..=5 seconds"),
        ("CLAIMS_HOOK_TIMEOUT", "6", "CLAIMS_HOOK_TIMEOUT is not 1..=5 seconds"),
    ] {
        assert_eq!(read(&[(name, value)]).unwrap_err().0, [fault], "{value}");
    }
    let both = [("CLAIMS_HOOK_FUNCTION", "a"), ("CLAIMS_HOOK_URL", "http://[::1]/")];
    assert_eq!(read(&both).unwrap_err().0, ["CLAIMS_HOOK_FUNCTION and CLAIMS_HOOK_URL are both set; one is enough"]);
}

#[test]
fn a_jwks_uri_is_read_only_where_hosts_are_listed_and_never_from_this_machine() {
    assert_eq!(read(&[("SSL_CERT_FILE", "roots.pem")]).unwrap().published_keys, None);
    let config = read(&[("JWKS_URI_HOSTS", "keys.example.com,localhost"), ("SSL_CERT_FILE", "roots.pem")]);
    let published = config.unwrap().published_keys.unwrap();
    assert_eq!(published.roots, Some(PathBuf::from("roots.pem")));
    assert!(published.allowed.lists("keys.example.com") && !published.allowed.on_this_machine);
    for bad in ["*", "keys.example.com:443", "169.254.169.254", "keys.example.com,"] {
        let fault = "JWKS_URI_HOSTS is not a list of host names";
        assert_eq!(read(&[("JWKS_URI_HOSTS", bad)]).unwrap_err().0, [fault], "{bad}");
    }
}

#[test]
fn debug_shows_no_credential() {
    let secret = "hunter2-hunter2-hunter2-hunter2-hunter2";
    assert!(!format!("{:?}", read(&[("CLOUDFRONT_ORIGIN_SECRET", secret)]).unwrap()).contains("hunter2"));
}
