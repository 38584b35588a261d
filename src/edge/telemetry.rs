//! Logs: JSON lines with timestamp and level, one per request, none with a secret or a token in it.

use std::time::Duration;

use http::StatusCode;
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt,
    layer::{Layered, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

use crate::{keyring::KeyRing, service::Record};

// In CloudWatch heard at any level: an alarm depends on it.
const KEY_RING: &str = "key_ring";

/// Starts logging JSON lines on standard output, for CloudWatch.
pub fn start_json(level: LevelFilter) {
    start(
        level,
        LevelFilter::INFO,
        fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false),
    );
}

/// Starts logging text on standard error, for a terminal.
#[cfg(feature = "cli")]
pub fn start_text(level: LevelFilter) {
    use std::io::{IsTerminal as _, stderr};
    start(
        level,
        LevelFilter::OFF,
        fmt::layer().compact().with_target(false).with_ansi(stderr().is_terminal()).with_writer(stderr),
    );
}

// Libraries are heard from `warn` up: their finer levels show requests.
// A panic is logged with its place and without its message, which may hold anything.
fn start(level: LevelFilter, key_ring: LevelFilter, lines: impl Layer<Layered<Targets, Registry>> + Send + Sync) {
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        // The embedded engine warns of every condition that is not met.
        .with_target("dynoxide", LevelFilter::ERROR)
        .with_target("mintlet", level)
        .with_target("token", level)
        .with_target("rotate", level)
        .with_target(KEY_RING, key_ring);
    // A second start, in a test binary, changes nothing.
    drop(tracing_subscriber::registry().with(targets).with(lines).try_init());
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a defect was met");
    }));
}

/// Logs the canonical line of a request.
///
/// `secret_expires_in`: seconds that the secret used is still good for, if it expires soon.
pub fn log_request(
    record: &Record,
    status: StatusCode,
    request_id: &str,
    cold_start: bool,
    secret_expires_in: Option<u64>,
    took: Duration,
) {
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                $level,
                request_id,
                dialect = record.route,
                grant_type = record.grant_type,
                client_id = record.client_id.as_deref(),
                auth_method = record.auth_method,
                credential_id = record.credential_id.as_deref(),
                secret_expires_in,
                status = status.as_u16(),
                outcome = record.reason.map_or("ok", |_| "refused"),
                reason = record.reason.map(crate::oauth::error::Reason::name),
                detail = record.detail.as_deref(),
                kid = record.kid.as_deref(),
                jti = record.jti.as_deref(),
                jkt = record.jkt.as_deref(),
                cold_start,
                store_us = micros(record.store),
                hook_us = (!record.hook.is_zero()).then(|| micros(record.hook)),
                duration_us = micros(took),
                "request"
            )
        };
    }
    if status.is_server_error() {
        line!(Level::ERROR);
    } else {
        line!(Level::INFO);
    }
}

/// Logs that the key ring was read, and how old its newest key is: what `infra/alarms.yaml` watches.
pub fn log_key_ring(ring: &KeyRing, now: u64) {
    tracing::info!(
        target: KEY_RING,
        keys = ring.keys().len(),
        newest_key_age_days = ring.newest_key_age(now).map(|seconds| seconds / (24 * 60 * 60)),
        "key ring read"
    );
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
