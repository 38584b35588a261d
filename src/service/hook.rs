//! The seam to the deployment's own code.

use std::{future::Future, time::Duration};

use crate::oauth::claims_hook::{Question, Verdict};

/// Who is asked before a token is signed: the deployment's own code, if it has any.
pub trait Hook: Send + Sync {
    /// Asks about a token that was decided on. `now` is in seconds since the epoch.
    fn consult(&self, question: &Question<'_>, now: u64) -> impl Future<Output = Result<Consulted, HookFault>> + Send;
}

/// What a hook answered, and what that took.
#[derive(Debug, PartialEq)]
pub struct Consulted {
    /// The answer.
    pub verdict: Verdict,
    /// The time that it took.
    pub took: Duration,
}

/// The hook did not answer in time, or not as it may. The text is for the log.
#[derive(Debug, PartialEq, Eq)]
pub struct HookFault(pub String);

/// A deployment without a claims hook: there is no value of it.
pub enum NoHook {}

impl Hook for NoHook {
    async fn consult(&self, _: &Question<'_>, _: u64) -> Result<Consulted, HookFault> {
        match *self {}
    }
}
