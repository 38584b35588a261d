//! The two tables: their keys, and what AWS is told to do for them.

use aws_sdk_dynamodb::{
    Client as Sdk,
    types::{
        KeyType, PointInTimeRecoveryStatus, ScalarAttributeType, SseStatus, TableDescription, TableStatus,
        TimeToLiveStatus,
    },
};

use super::{
    access::{Calls, Unseen},
    finding::{Check, Finding},
    words::{foreign, word},
};
use crate::edge::dynamodb::{CLIENTS_KEY, STATE_KEY, STATE_TTL};

/// What the embedded engine of local mode has none of.
const LOCAL: &str = "the embedded engine of local mode has nothing of the kind";

/// The tables as they were seen.
pub struct Tables {
    /// The clients table.
    pub clients: Result<TableDescription, Unseen>,
    /// Whether the clients table can be restored to any second of the last days.
    pub recovery: Result<bool, Unseen>,
    /// The state table.
    pub state: Result<TableDescription, Unseen>,
    /// Whether, and by which attribute, DynamoDB expires items of the state table.
    pub ttl: Result<TimeToLive, Unseen>,
}

/// Whether a table's items expire.
#[derive(Debug)]
pub struct TimeToLive {
    /// They do, or are about to.
    pub enabled: bool,
    /// By which attribute.
    pub attribute: String,
}

/// The ARN of a table, in the form in which it is granted.
pub(super) fn arn(table: &str) -> String {
    if table.starts_with("arn:") { table.to_owned() } else { format!("arn:aws:dynamodb:REGION:ACCOUNT:table/{table}") }
}

/// Looks at both tables, side by side.
pub async fn observe(
    calls: &Calls,
    sdk: &Result<Sdk, String>,
    clients: Result<&str, &str>,
    state: Result<&str, &str>,
    is_embedded: bool,
) -> Tables {
    let recovery = async {
        let (sdk, table) = given(sdk, clients)?;
        if is_embedded {
            return Err(Unseen::NotAsked(LOCAL.to_owned()));
        }
        let call = sdk.describe_continuous_backups().table_name(table).send();
        let seen =
            calls.make("dynamodb:DescribeContinuousBackups", &arn(table), call).await?.continuous_backups_description;
        let status = seen
            .and_then(|seen| seen.point_in_time_recovery_description)
            .and_then(|seen| seen.point_in_time_recovery_status);
        Ok(status == Some(PointInTimeRecoveryStatus::Enabled))
    };
    let ttl = async {
        let (sdk, table) = given(sdk, state)?;
        let call = sdk.describe_time_to_live().table_name(table).send();
        let seen = calls.make("dynamodb:DescribeTimeToLive", &arn(table), call).await?.time_to_live_description;
        Ok(TimeToLive {
            enabled: seen
                .as_ref()
                .and_then(|seen| seen.time_to_live_status.as_ref())
                .is_some_and(|status| matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)),
            attribute: seen.and_then(|seen| seen.attribute_name).unwrap_or_default(),
        })
    };
    let (clients, recovery, state, ttl) =
        tokio::join!(describe(calls, sdk, clients), recovery, describe(calls, sdk, state), ttl);
    Tables { clients, recovery, state, ttl }
}

async fn describe(
    calls: &Calls,
    sdk: &Result<Sdk, String>,
    table: Result<&str, &str>,
) -> Result<TableDescription, Unseen> {
    let (sdk, table) = given(sdk, table)?;
    let call = sdk.describe_table().table_name(table).send();
    let seen = calls.make("dynamodb:DescribeTable", &arn(table), call).await?.table;
    seen.ok_or_else(|| Unseen::Failed("dynamodb:DescribeTable: an answer without a table".to_owned()))
}

/// The client and the table, if both are there.
pub(super) fn given<'a>(
    sdk: &'a Result<Sdk, String>,
    table: Result<&'a str, &str>,
) -> Result<(&'a Sdk, &'a str), Unseen> {
    let table = table.map_err(|why| Unseen::NotAsked(why.to_owned()))?;
    let sdk = sdk.as_ref().map_err(|why| Unseen::NotAsked(why.clone()))?;
    Ok((sdk, table))
}

/// Holds the tables against what template.yaml makes.
#[must_use]
pub fn judge(tables: &Tables, clients: &str, state: &str, is_embedded: bool) -> Vec<Finding> {
    let mut findings = vec![table(Check::ClientsTable, &tables.clients, clients, CLIENTS_KEY, "--clients-table")];
    findings.push(recovery(&tables.recovery, clients));
    findings.extend(settings(&tables.clients, clients, is_embedded));
    findings.push(table(Check::StateTable, &tables.state, state, STATE_KEY, "--state-table"));
    findings.push(ttl(&tables.ttl, state));
    findings
}

fn table(check: Check, seen: &Result<TableDescription, Unseen>, name: &str, key: &str, flag: &str) -> Finding {
    let table = match seen {
        Ok(table) => table,
        Err(unseen) => {
            let missing = format!("there is no table {name}");
            let fix =
                format!("deploy the template (`sam deploy`), or give {flag} the name that the stack's outputs have");
            return unseen.finding(check, (missing, fix));
        }
    };
    if !has_key(table, key) {
        let fix = format!("give {flag} another table, or make this one anew as template.yaml defines it");
        return check.fault(format!("the key of table {name} is not the one string attribute {key}"), fix);
    }
    match &table.table_status {
        Some(TableStatus::Active | TableStatus::Updating) | None => {
            check.ok(format!("table {name} is there, with the key {key}"))
        }
        Some(status) => check.fault(
            format!("table {name} is {}", foreign(status.as_str())),
            "wait until it is ACTIVE; `aws dynamodb describe-table` says why it is not",
        ),
    }
}

fn has_key(table: &TableDescription, key: &str) -> bool {
    let string = table
        .attribute_definitions()
        .iter()
        .any(|attribute| attribute.attribute_name == key && attribute.attribute_type == ScalarAttributeType::S);
    match table.key_schema() {
        [only] => only.attribute_name == key && only.key_type == KeyType::Hash && string,
        _ => false,
    }
}

fn recovery(seen: &Result<bool, Unseen>, name: &str) -> Finding {
    let check = Check::ClientsRecovery;
    match seen {
        Ok(true) => check.ok("point-in-time recovery is on"),
        Ok(false) => check.warning(
            format!("point-in-time recovery of table {name} is off: clients that are deleted by mistake are lost"),
            format!(
                "aws dynamodb update-continuous-backups --table-name {} --point-in-time-recovery-specification \
                 PointInTimeRecoveryEnabled=true",
                word(name)
            ),
        ),
        Err(unseen) => unseen.follows(check, Check::ClientsTable),
    }
}

fn settings(seen: &Result<TableDescription, Unseen>, name: &str, is_embedded: bool) -> [Finding; 2] {
    let (deletion, encryption) = (Check::ClientsDeletion, Check::ClientsEncryption);
    let table = match seen {
        Err(unseen) => return [deletion, encryption].map(|check| unseen.follows(check, Check::ClientsTable)),
        Ok(_) if is_embedded => return [deletion, encryption].map(|check| check.skipped(LOCAL)),
        Ok(table) => table,
    };
    let deletion = if table.deletion_protection_enabled == Some(true) {
        deletion.ok("deletion protection is on")
    } else {
        let fix = format!("aws dynamodb update-table --table-name {} --deletion-protection-enabled", word(name));
        deletion.warning(format!("table {name} can be deleted by one call"), fix)
    };
    let status = table.sse_description().and_then(|sse| sse.status.as_ref());
    let encryption = if matches!(status, Some(SseStatus::Enabled | SseStatus::Updating)) {
        encryption.ok("encrypted with a key in KMS")
    } else {
        encryption.note("encrypted with a key that DynamoDB owns, as every table is; template.yaml asks for one in KMS")
    };
    [deletion, encryption]
}

fn ttl(seen: &Result<TimeToLive, Unseen>, name: &str) -> Finding {
    let check = Check::StateTtl;
    let seen = match seen {
        Ok(seen) => seen,
        Err(unseen) => return unseen.follows(check, Check::StateTable),
    };
    if seen.enabled && seen.attribute == STATE_TTL {
        return check.ok(format!("items expire by {STATE_TTL}"));
    }
    let turn_on = format!(
        "aws dynamodb update-time-to-live --table-name {} --time-to-live-specification Enabled=true,AttributeName={STATE_TTL}",
        word(name)
    );
    if seen.enabled {
        let what = format!("items of table {name} expire by {} and not by {STATE_TTL}", foreign(&seen.attribute));
        return check.warning(what, format!("turn that off, and an hour later: {turn_on}"));
    }
    check.warning(format!("items of table {name} never expire: it grows for ever"), turn_on)
}

#[cfg(test)]
mod tests;
