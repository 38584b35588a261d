//! Where the key ring comes from: Secrets Manager, or a local file.
//!
//! It is read in init, parsed once, read again in the background when it has grown old, and kept in use if that fails.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use aws_sdk_secretsmanager::{Client as Sdk, operation::get_secret_value::GetSecretValueOutput, primitives::Blob};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{aws, telemetry};
use crate::{
    keyring::{KeyRing, MAX_HELD_SECONDS},
    oauth::jwt::Alg,
    service::{Keys, KeysUnavailable},
};

/// A place that holds a key ring.
#[derive(Clone)]
pub enum Source {
    /// A secret's current version.
    Secret {
        /// The client that reads it.
        sdk: Sdk,
        /// The secret's name or ARN.
        id: String,
    },
    /// A file that only its owner can read.
    File(PathBuf),
    /// The ring itself.
    Inline(Arc<Zeroizing<Vec<u8>>>),
}

/// The key ring of an instance, held in memory. Clones share it.
#[derive(Clone)]
pub struct HeldKeys(Arc<Inner>);

struct Inner {
    source: Source,
    ttl: u64,
    held: ArcSwapOption<Held>,
    // Taken while the source is being read, so that one read at a time is under way.
    reading: Mutex<()>,
    attempted_at: AtomicU64,
}

struct Held {
    ring: Arc<KeyRing>,
    read_at: u64,
}

// How often a failing source is asked again, in seconds: by an instance that holds keys, and by one that has none.
const RETRY_WHILE_HELD: u64 = 10;
const RETRY_WITHOUT: u64 = 2;

impl HeldKeys {
    /// Keys from `source`, read again after `ttl` seconds. Nothing is read yet.
    #[must_use]
    pub fn new(source: Source, ttl: u64) -> Self {
        Self(Arc::new(Inner {
            source,
            ttl,
            held: ArcSwapOption::empty(),
            reading: Mutex::new(()),
            attempted_at: AtomicU64::new(0),
        }))
    }

    // The ring held, if it is not older than its lifetime times `factor`.
    fn fresh(&self, wanted: Option<Alg>, now: u64, factor: u64) -> Option<Arc<KeyRing>> {
        let held = self.0.held.load();
        let held = held.as_ref()?;
        // A ring that cannot sign what is wanted, as after a first deployment, is soon looked at again.
        let ttl = if held.ring.signer(wanted, now).is_some() { self.0.ttl } else { self.0.ttl.min(RETRY_WITHOUT) };
        // One from the future means that the clock was set back.
        let age = now.checked_sub(held.read_at)?;
        (age < ttl.saturating_mul(factor)).then(|| Arc::clone(&held.ring))
    }

    fn held(&self, now: u64) -> Option<Arc<KeyRing>> {
        let held = self.0.held.load();
        let held = held.as_ref()?;
        (now.saturating_sub(held.read_at) < MAX_HELD_SECONDS).then(|| Arc::clone(&held.ring))
    }

    // At most one try in a while, however many requests ask for it.
    fn may_try(&self, now: u64, interval: u64) -> bool {
        let last = self.0.attempted_at.load(Ordering::Relaxed);
        now.abs_diff(last) >= interval.min(self.0.ttl)
            && self.0.attempted_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    async fn read(&self, now: u64) -> Result<Arc<KeyRing>, KeysUnavailable> {
        let json = read_source(&self.0.source).await.map_err(KeysUnavailable)?;
        let ring = KeyRing::from_json(&json).map_err(|fault| KeysUnavailable(fault.to_string()))?;
        telemetry::log_key_ring(&ring, now);
        let ring = Arc::new(ring);
        self.0.held.store(Some(Arc::new(Held { ring: Arc::clone(&ring), read_at: now })));
        Ok(ring)
    }

    // Reads the ring again, unless another request just has. One that is held stays in use if that fails.
    async fn refresh(&self, wanted: Option<Alg>, now: u64) {
        let _reading = self.0.reading.lock().await;
        if self.fresh(wanted, now, 1).is_some() {
            return;
        }
        if let Err(KeysUnavailable(detail)) = self.read(now).await {
            tracing::warn!(detail, "the key ring could not be read again; going on with the one held");
        }
    }
}

impl Keys for HeldKeys {
    async fn ring(&self, wanted: Option<Alg>, now: u64) -> Result<Arc<KeyRing>, KeysUnavailable> {
        if let Some(ring) = self.fresh(wanted, now, 1) {
            return Ok(ring);
        }
        if let Some(ring) = self.held(now) {
            let signs = ring.signer(wanted, now).is_some();
            if !self.may_try(now, if signs { RETRY_WHILE_HELD } else { RETRY_WITHOUT }) {
                return Ok(ring);
            }
            // Lambda freezes an instance between requests, and with it what runs in the background: one that is seldom
            // asked would never get to the end of it. So a ring of twice its age is worth waiting for.
            if signs && self.fresh(wanted, now, 2).is_some() {
                let keys = self.clone();
                tokio::spawn(async move { keys.refresh(wanted, now).await });
                return Ok(ring);
            }
            self.refresh(wanted, now).await;
            return Ok(self.held(now).unwrap_or(ring));
        }
        let _reading = self.0.reading.lock().await;
        if let Some(ring) = self.fresh(wanted, now, 1) {
            return Ok(ring);
        }
        if !self.may_try(now, RETRY_WITHOUT) {
            return Err(KeysUnavailable("the key ring could not be read a moment ago".to_owned()));
        }
        self.read(now).await
    }

    async fn reread(&self, now: u64) -> Option<Arc<KeyRing>> {
        let _reading = self.0.reading.lock().await;
        let read_at = self.0.held.load().as_ref().map(|held| held.read_at);
        let recent = read_at.is_some_and(|read_at| now.abs_diff(read_at) < RETRY_WHILE_HELD);
        if recent || !self.may_try(now, RETRY_WHILE_HELD) {
            return None;
        }
        self.read(now).await.ok()
    }
}

/// The text of a ring as it is stored, wiped on drop.
///
/// # Errors
/// A text for logs and terminals that holds nothing of a key.
pub async fn read_source(source: &Source) -> Result<Zeroizing<Vec<u8>>, String> {
    match source {
        Source::Secret { sdk, id } => {
            let output = sdk.get_secret_value().secret_id(id).send().await.map_err(|error| aws::fault(&error))?;
            secret_value(output).ok_or_else(|| "the secret has no value".to_owned())
        }
        Source::File(path) => read_private_file(path),
        Source::Inline(json) => Ok(Zeroizing::clone(json)),
    }
}

/// What a secret's version holds, as text or as bytes.
#[must_use]
pub fn secret_value(output: GetSecretValueOutput) -> Option<Zeroizing<Vec<u8>>> {
    let text = output.secret_string.map(String::into_bytes);
    text.or(output.secret_binary.map(Blob::into_inner)).map(Zeroizing::new)
}

/// The permission bits of a file, if they let others than its owner at it.
#[must_use]
pub fn open_to_others(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Reads a file that nobody but its owner may read.
pub(crate) fn read_private_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?;
    if let Some(mode) = open_to_others(path) {
        return Err(format!("{shown}: its mode {mode:04o} lets others read it; run chmod 600 on it"));
    }
    if !metadata.is_file() {
        return Err(format!("{shown}: not a file"));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(|error| format!("{shown}: {error}"))
}
