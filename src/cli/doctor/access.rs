//! The doctor's calls to AWS: what each came to, and which of them the caller may not make.

use std::{cell::RefCell, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    config::{ProvideCredentials as _, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
};

use super::{
    super::sdk,
    finding::{Check, Finding},
};
use crate::edge::aws;

/// How long one call may take.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const CONFIG_TIMEOUT: Duration = Duration::from_secs(4);

/// Every call that was made.
#[derive(Default)]
pub struct Calls(RefCell<Vec<Call>>);

/// A call and what it came to.
pub struct Call {
    /// The IAM action.
    pub action: &'static str,
    /// The ARN that has to be granted; what only the account knows stands in capitals.
    pub resource: String,
    /// What it came to.
    pub outcome: Outcome,
}

/// Whether a call was allowed.
pub enum Outcome {
    /// It was, whatever else it came to.
    Allowed,
    /// It was not: AWS's own words.
    Denied(String),
    /// AWS does not take the credentials for anybody's: its own words.
    Unknown(String),
    /// There was no answer that tells.
    Unanswered,
}

/// Why something could not be looked at.
#[derive(Debug)]
pub enum Unseen {
    /// Nobody asked, or it is not there to be asked for: why.
    NotAsked(String),
    /// The caller may not look: the call that was refused. A finding of its own says more.
    Refused(&'static str),
    /// There is no such thing: AWS's own words.
    Missing(String),
    /// It did not work: why.
    Failed(String),
}

impl Calls {
    /// Makes a call, for `CALL_TIMEOUT` at most, and keeps what it came to.
    ///
    /// # Errors
    /// [`Unseen`], and never that nobody asked.
    pub async fn make<T, E: ProvideErrorMetadata>(
        &self,
        action: &'static str,
        resource: &str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Unseen> {
        let (outcome, result) = match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Err(_) => (
                Outcome::Unanswered,
                Err(Unseen::Failed(format!("{action}: no answer within {} s", CALL_TIMEOUT.as_secs()))),
            ),
            Ok(Ok(output)) => (Outcome::Allowed, Ok(output)),
            Ok(Err(error)) => {
                let told = aws::fault(&error);
                let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
                match code {
                    Some("AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation") => {
                        (Outcome::Denied(told), Err(Unseen::Refused(action)))
                    }
                    Some(
                        "UnrecognizedClientException"
                        | "InvalidClientTokenId"
                        | "InvalidSignatureException"
                        | "IncompleteSignatureException"
                        | "MissingAuthenticationTokenException"
                        | "ExpiredTokenException"
                        | "ExpiredToken",
                    ) => (Outcome::Unknown(told), Err(Unseen::Refused(action))),
                    Some("ResourceNotFoundException" | "TableNotFoundException") => {
                        (Outcome::Allowed, Err(Unseen::Missing(told)))
                    }
                    Some(_) => (Outcome::Allowed, Err(Unseen::Failed(format!("{action}: {told}")))),
                    None => (Outcome::Unanswered, Err(Unseen::Failed(format!("{action}: {told}")))),
                }
            }
        };
        self.0.borrow_mut().push(Call { action, resource: resource.to_owned(), outcome });
        result
    }

    /// All of them, in an order that does not hang on which was answered first.
    pub fn into_inner(self) -> Vec<Call> {
        let mut calls = self.0.into_inner();
        calls.sort_by(|a, b| (a.action, &a.resource).cmp(&(b.action, &b.resource)));
        calls
    }
}

/// What the calls tell of the caller.
#[must_use]
pub fn judge(calls: &[Call]) -> Vec<Finding> {
    let unknown = calls.iter().find_map(|call| match &call.outcome {
        Outcome::Unknown(told) => Some(told),
        Outcome::Allowed | Outcome::Denied(_) | Outcome::Unanswered => None,
    });
    if let Some(told) = unknown {
        let fix = "sign in again, and see `aws sts get-caller-identity`; a clock that is wrong spoils signatures, too";
        return vec![Check::Credentials.fault(format!("AWS refuses the credentials: {told}"), fix)];
    }
    let denials = calls.iter().filter_map(|call| match &call.outcome {
        Outcome::Denied(told) => {
            let fix = format!("allow the caller {} on {}", call.action, call.resource);
            Some(Check::Permissions.warning(format!("{} is denied: {told}", call.action), fix))
        }
        Outcome::Allowed | Outcome::Unknown(_) | Outcome::Unanswered => None,
    });
    let denials: Vec<_> = denials.collect();
    if !denials.is_empty() {
        return denials;
    }
    let allowed = calls.iter().filter(|call| matches!(call.outcome, Outcome::Allowed));
    let mut allowed: Vec<&str> = allowed.map(|call| call.action).collect();
    allowed.sort_unstable();
    allowed.dedup();
    if allowed.is_empty() {
        return vec![Check::Permissions.skipped("AWS was not asked, or did not answer")];
    }
    vec![Check::Permissions.ok(format!("the caller may do all that was asked for: {}", allowed.join(", ")))]
}

/// The region and the credentials of the ordinary chain, asked for once for all calls.
///
/// # Errors
/// The finding, if there are none.
pub async fn sdk_config() -> Result<SdkConfig, Box<Finding>> {
    let ready = async {
        let config = sdk::config().await.map_err(|fault| (fault.to_string(), "name a file of certificates in PEM"))?;
        if config.region().is_none_or(|region| region.as_ref().is_empty()) {
            return Err(("no AWS region is set".to_owned(), "set AWS_REGION, or `region` in the profile"));
        }
        let fix = "sign in (`aws sso login`), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        let Some(provider) = config.credentials_provider() else { return Err(("no credentials".to_owned(), fix)) };
        match provider.provide_credentials().await {
            Ok(_) => Ok(config),
            Err(error) => Err((format!("there are no AWS credentials: {}", aws::chain(&error)), fix)),
        }
    };
    match tokio::time::timeout(CONFIG_TIMEOUT, ready).await {
        Ok(Ok(config)) => Ok(config),
        Ok(Err((what, fix))) => Err(Box::new(Check::Credentials.fault(what, fix))),
        Err(_) => Err(Box::new(Check::Credentials.fault(
            format!("AWS credentials were not to be had within {} s", CONFIG_TIMEOUT.as_secs()),
            "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_EC2_METADATA_DISABLED=true outside of AWS",
        ))),
    }
}

impl Unseen {
    /// The finding of a check that could not be made because of it. `missing` says what is not there, and the fix for that.
    pub(super) fn finding(&self, check: Check, missing: (String, String)) -> Finding {
        match self {
            Self::NotAsked(why) => check.skipped(why),
            Self::Refused(action) => check.skipped(format!("{action} is refused: see access")),
            Self::Missing(_) => check.fault(missing.0, missing.1),
            Self::Failed(why) => {
                check.fault(why, "see that AWS is reached from here: region, endpoint, network; then try again")
            }
        }
    }

    /// The finding of a check that needs what another check has already said is not there.
    pub(super) fn follows(&self, check: Check, other: Check) -> Finding {
        match self {
            Self::NotAsked(why) | Self::Failed(why) => check.skipped(why),
            Self::Refused(action) => check.skipped(format!("{action} is refused: see access")),
            Self::Missing(_) => check.skipped(format!("see {}", other.name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(action: &'static str, outcome: Outcome) -> Call {
        Call { action, resource: format!("arn:{action}"), outcome }
    }

    #[test]
    fn each_call_that_is_denied_is_a_finding_that_names_what_to_grant() {
        let calls = [
            call("dynamodb:Scan", Outcome::Denied("AccessDeniedException: no".to_owned())),
            call("dynamodb:DescribeTable", Outcome::Allowed),
            call("secretsmanager:GetSecretValue", Outcome::Denied("AccessDeniedException: neither".to_owned())),
        ];
        assert_eq!(
            judge(&calls),
            [
                Check::Permissions.warning(
                    "dynamodb:Scan is denied: AccessDeniedException: no",
                    "allow the caller dynamodb:Scan on arn:dynamodb:Scan"
                ),
                Check::Permissions.warning(
                    "secretsmanager:GetSecretValue is denied: AccessDeniedException: neither",
                    "allow the caller secretsmanager:GetSecretValue on arn:secretsmanager:GetSecretValue"
                ),
            ]
        );
        assert_eq!(
            judge(&calls[1..2]),
            [Check::Permissions.ok("the caller may do all that was asked for: dynamodb:DescribeTable")]
        );
    }

    #[test]
    fn credentials_that_aws_refuses_are_one_finding_however_many_calls_they_spoil() {
        let refused = || Outcome::Unknown("ExpiredTokenException".to_owned());
        let findings = judge(&[call("dynamodb:Scan", refused()), call("dynamodb:DescribeTable", refused())]);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].check, findings[0].verdict.severity()), (Check::Credentials, 2));
    }

    #[test]
    fn what_may_not_be_looked_at_is_not_said_to_be_wrong() {
        let missing = || ("it is not there".to_owned(), "make it".to_owned());
        let finding = |unseen: &Unseen| unseen.finding(Check::ClientsTable, missing());
        assert_eq!(
            finding(&Unseen::Refused("dynamodb:DescribeTable")),
            Check::ClientsTable.skipped("dynamodb:DescribeTable is refused: see access")
        );
        assert_eq!(
            finding(&Unseen::Missing("ResourceNotFoundException".to_owned())),
            Check::ClientsTable.fault("it is not there", "make it")
        );
        assert_eq!(finding(&Unseen::Failed("no connection".to_owned())).verdict.severity(), 2);
    }
}
