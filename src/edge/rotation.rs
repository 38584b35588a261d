//! Rotation by Secrets Manager: the four steps that it calls a rotation function for, each of which may be run again.
//!
//! createSecret puts the next ring beside the current one, as the version that the request token names; finishSecret puts it in
//! its place. A version says which one it was made from, so that a ring that was changed meanwhile is never overwritten.

use std::{collections::HashMap, fmt};

use aws_lc_rs::error::Unspecified;
use aws_sdk_secretsmanager::{
    Client as Sdk, operation::get_secret_value::GetSecretValueError, operation::put_secret_value::PutSecretValueError,
};
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{aws, keys};
use crate::keyring::{
    KeyRecord, KeyRing, RingDocument, RingFault,
    rotation::{self, Lead},
};

/// What Secrets Manager sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// What to do.
    pub step: Step,
    /// The secret's ARN.
    pub secret_id: String,
    /// The version that is to become the current one.
    pub client_request_token: String,
}

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Make the next ring, and put it beside the current one.
    CreateSecret,
    /// Tell others of it: there are none.
    SetSecret,
    /// See whether it can be used.
    TestSecret,
    /// Put it in the place of the current one.
    FinishSecret,
}

/// Why a step could not be done: a text that holds nothing of a key. It fails the invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationFault(String);

/// Rotates the key ring in one secret.
pub struct Rotator {
    sdk: Sdk,
    secret_id: String,
    lead: Lead,
}

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

impl Rotator {
    /// For one secret, by name or ARN. Nothing is contacted yet.
    #[must_use]
    pub fn new(sdk: Sdk, secret_id: &str, lead: Lead) -> Self {
        Self { sdk, secret_id: secret_id.to_owned(), lead }
    }

    /// Does one step.
    ///
    /// # Errors
    /// [`RotationFault`]. The step can then be run again.
    pub async fn handle(&self, event: &Event, now: u64) -> Result<(), RotationFault> {
        let stages = self.stages(&event.secret_id).await?;
        let version = event.client_request_token.as_str();
        if stages.is_at(version, CURRENT) {
            tracing::info!(step = ?event.step, version, "this version is the current one already");
            return Ok(());
        }
        if !stages.is_at(version, PENDING) {
            return Err(RotationFault(format!("the version {version} is not {PENDING} in this secret")));
        }
        let current = stages.at(CURRENT);
        match event.step {
            Step::CreateSecret => self.create(version, current, now).await?,
            Step::SetSecret => {}
            Step::TestSecret => self.test(version, current, now).await?,
            Step::FinishSecret => {
                self.test(version, current, now).await?;
                self.finish(version, current).await?;
            }
        }
        tracing::info!(step = ?event.step, version, "rotation step done");
        Ok(())
    }

    async fn create(&self, version: &str, current: Option<&str>, now: u64) -> Result<(), RotationFault> {
        if self.pending(version).await?.is_some() {
            return self.test(version, current, now).await;
        }
        let ring = self.current(current).await?;
        let rotation = rotation::rotate(&ring.document, now, self.lead, |alg| KeyRecord::generate(alg, now));
        let mut rotation = rotation.map_err(|Unspecified| RotationFault("no key could be made".to_owned()))?;
        rotation.ring.made_from = Some(current.unwrap_or_default().to_owned());
        let json = serde_json::to_string(&rotation.ring).map(Zeroizing::new);
        let json = json.map_err(|_| RotationFault("no ring could be written".to_owned()))?;
        let put = self.sdk.put_secret_value().secret_id(&self.secret_id).client_request_token(version);
        match put.secret_string(json.as_str()).version_stages(PENDING).send().await {
            Ok(_) => {
                for note in &rotation.notes {
                    tracing::info!(version, "{note}");
                }
            }
            // Another run with the same token was faster.
            Err(error) if error.as_service_error().is_some_and(PutSecretValueError::is_resource_exists_exception) => {}
            Err(error) => return Err(RotationFault(aws::fault(&error))),
        }
        self.test(version, current, now).await
    }

    // Whether the pending ring may take the place of the current one.
    async fn test(&self, version: &str, current: Option<&str>, now: u64) -> Result<(), RotationFault> {
        let clear = self.how_to_clear(version);
        let Some(json) = self.pending(version).await? else {
            return Err(RotationFault(format!("the version {version} has no value: createSecret has to come first")));
        };
        let pending = Ring::parse(json);
        let pending = pending
            .map_err(|fault| RotationFault(format!("the version {version} is no key ring: {fault}; {clear}")))?;
        let made_from = pending.document.made_from.as_deref();
        let current_ring = self.current(current).await?;
        // When rotation is set up without rotating, this step is called alone, with a copy.
        let copied = current.is_some() && pending.json == current_ring.json;
        if made_from != Some(current.unwrap_or_default()) && !copied {
            return Err(RotationFault(format!("the ring was changed while the rotation was under way; {clear}")));
        }
        if let Some(bad) = pending.keys.keys().iter().find(|held| !held.key.verifies()) {
            let kid = bad.key.kid();
            return Err(RotationFault(format!(
                "what the key {kid} signs does not verify with what it publishes; {clear}"
            )));
        }
        match rotation::lost(&current_ring.keys, &pending.keys, now) {
            None => Ok(()),
            Some(kid) => Err(RotationFault(format!("the published key {kid} would be lost; {clear}"))),
        }
    }

    async fn finish(&self, version: &str, current: Option<&str>) -> Result<(), RotationFault> {
        let update = self.sdk.update_secret_version_stage().secret_id(&self.secret_id).version_stage(CURRENT);
        // Secrets Manager refuses if another version has become the current one since.
        let update = update.move_to_version_id(version).set_remove_from_version_id(current.map(str::to_owned));
        update.send().await.map(|_| ()).map_err(|error| RotationFault(aws::fault(&error)))
    }

    // Which versions the configured secret has, if it is the one meant and is set up for rotation.
    async fn stages(&self, meant: &str) -> Result<Stages, RotationFault> {
        let secret = self.sdk.describe_secret().secret_id(&self.secret_id).send().await;
        let secret = secret.map_err(|error| RotationFault(aws::fault(&error)))?;
        if ![secret.arn(), secret.name()].contains(&Some(meant)) {
            return Err(RotationFault(
                "this function rotates another secret: SIGNING_KEYS_SECRET_ID names it".to_owned(),
            ));
        }
        if secret.rotation_enabled() != Some(true) {
            return Err(RotationFault("rotation is not enabled for this secret".to_owned()));
        }
        Ok(Stages(secret.version_ids_to_stages.unwrap_or_default()))
    }

    // The ring that a rotation starts from: an empty one, if the secret was just deployed.
    async fn current(&self, version: Option<&str>) -> Result<Ring, RotationFault> {
        let Some(version) = version else { return Ok(Ring::default()) };
        let gone = || RotationFault("the current version has no value".to_owned());
        let json = self.value(version).await?.ok_or_else(gone)?;
        if json.trim_ascii().is_empty() {
            return Ok(Ring::default());
        }
        Ring::parse(json).map_err(|fault| RotationFault(format!("the current version is no key ring: {fault}")))
    }

    // RotateSecret makes the pending version without a value.
    async fn pending(&self, version: &str) -> Result<Option<Zeroizing<Vec<u8>>>, RotationFault> {
        Ok(self.value(version).await?.filter(|json| !json.trim_ascii().is_empty()))
    }

    async fn value(&self, version: &str) -> Result<Option<Zeroizing<Vec<u8>>>, RotationFault> {
        match self.sdk.get_secret_value().secret_id(&self.secret_id).version_id(version).send().await {
            Ok(output) => Ok(keys::secret_value(output)),
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(RotationFault(aws::fault(&error))),
        }
    }

    fn how_to_clear(&self, version: &str) -> String {
        let id = &self.secret_id;
        format!(
            "give it up with `aws secretsmanager update-secret-version-stage --secret-id {id} --version-stage {PENDING} \
             --remove-from-version-id {version}` and start anew with `aws secretsmanager rotate-secret --secret-id {id}`"
        )
    }
}

// A ring as it is stored, as it can be changed, and as it signs.
#[derive(Default)]
struct Ring {
    json: Zeroizing<Vec<u8>>,
    document: RingDocument,
    keys: KeyRing,
}

impl Ring {
    fn parse(json: Zeroizing<Vec<u8>>) -> Result<Self, RingFault> {
        let document = RingDocument::from_json(&json)?;
        Ok(Self { keys: KeyRing::try_from(&document)?, document, json })
    }
}

// Which staging labels each version has.
struct Stages(HashMap<String, Vec<String>>);

impl Stages {
    fn is_at(&self, version: &str, stage: &str) -> bool {
        self.0.get(version).is_some_and(|stages| stages.iter().any(|held| held == stage))
    }

    fn at(&self, stage: &str) -> Option<&str> {
        self.0.keys().map(String::as_str).find(|version| self.is_at(version, stage))
    }
}

impl fmt::Display for RotationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RotationFault> for Diagnostic {
    fn from(fault: RotationFault) -> Self {
        Self { error_type: "RotationFault".to_owned(), error_message: fault.0 }
    }
}
