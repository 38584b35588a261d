use aws_sdk_dynamodb::types::{AttributeDefinition, KeySchemaElement, SseDescription};

use super::*;

fn description(key: &str, change: impl FnOnce(&mut TableDescription)) -> TableDescription {
    let attribute = AttributeDefinition::builder().attribute_name(key).attribute_type(ScalarAttributeType::S).build();
    let schema = KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash).build();
    let mut table = TableDescription::builder()
        .table_status(TableStatus::Active)
        .attribute_definitions(attribute.unwrap())
        .key_schema(schema.unwrap())
        .deletion_protection_enabled(true)
        .sse_description(SseDescription::builder().status(SseStatus::Enabled).build())
        .build();
    change(&mut table);
    table
}

fn healthy() -> Tables {
    Tables {
        clients: Ok(description("client_id", |_| {})),
        recovery: Ok(true),
        state: Ok(description("pk", |_| {})),
        ttl: Ok(TimeToLive { enabled: true, attribute: "expires_at".to_owned() }),
    }
}

// The name and the verdict of every finding that is not "ok".
fn amiss(change: impl FnOnce(&mut Tables)) -> Vec<(&'static str, &'static str)> {
    let mut tables = healthy();
    change(&mut tables);
    let findings = judge(&tables, "clients", "state", false);
    let amiss = findings.iter().filter(|finding| finding.verdict.name() != "ok");
    amiss.map(|finding| (finding.check.name(), finding.verdict.name())).collect()
}

#[test]
fn tables_as_the_template_makes_them_are_well() {
    assert_eq!(amiss(|_| {}), []);
    assert_eq!(judge(&healthy(), "clients", "state", false).len(), 6);
}

#[test]
fn each_setting_that_is_off_is_found() {
    type Change = fn(&mut Tables);
    let cases: [(Change, &[(&str, &str)]); 9] = [
        (|tables| tables.recovery = Ok(false), &[("clients-recovery", "warning")]),
        (
            |tables| tables.clients = Ok(description("client_id", |table| table.deletion_protection_enabled = None)),
            &[("clients-deletion-protection", "warning")],
        ),
        (
            |tables| tables.clients = Ok(description("client_id", |table| table.sse_description = None)),
            &[("clients-encryption", "note")],
        ),
        (|tables| tables.clients = Ok(description("id", |_| {})), &[("clients-table", "fault")]),
        (
            |tables| {
                tables.clients = Ok(description("client_id", |table| {
                    for attribute in table.attribute_definitions.iter_mut().flatten() {
                        attribute.attribute_type = ScalarAttributeType::N;
                    }
                }));
            },
            &[("clients-table", "fault")],
        ),
        (
            |tables| {
                tables.state = Ok(description("pk", |table| {
                    let sort = KeySchemaElement::builder().attribute_name("sk").key_type(KeyType::Range).build();
                    table.key_schema.get_or_insert_default().push(sort.unwrap());
                }));
            },
            &[("state-table", "fault")],
        ),
        (
            |tables| tables.state = Ok(description("pk", |table| table.table_status = Some(TableStatus::Deleting))),
            &[("state-table", "fault")],
        ),
        (
            |tables| tables.ttl = Ok(TimeToLive { enabled: false, attribute: String::new() }),
            &[("state-ttl", "warning")],
        ),
        (
            |tables| tables.ttl = Ok(TimeToLive { enabled: true, attribute: "ttl".to_owned() }),
            &[("state-ttl", "warning")],
        ),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(amiss(change), expected, "case {index}");
    }
}

#[test]
fn a_table_that_is_missing_is_one_fault_and_one_that_may_not_be_seen_is_none() {
    let missing = || Err(Unseen::Missing("ResourceNotFoundException".to_owned()));
    assert_eq!(
        amiss(|tables| {
            tables.clients = missing();
            tables.recovery = Err(Unseen::Missing("TableNotFoundException".to_owned()));
        }),
        [
            ("clients-table", "fault"),
            ("clients-recovery", "skipped"),
            ("clients-deletion-protection", "skipped"),
            ("clients-encryption", "skipped"),
        ]
    );
    assert_eq!(
        amiss(|tables| {
            tables.state = Err(Unseen::Refused("dynamodb:DescribeTable"));
            tables.ttl = Err(Unseen::Refused("dynamodb:DescribeTimeToLive"));
        }),
        [("state-table", "skipped"), ("state-ttl", "skipped")]
    );
}

#[test]
fn the_embedded_engine_is_not_blamed_for_what_it_has_not() {
    let mut tables = healthy();
    tables.recovery = Err(Unseen::NotAsked(LOCAL.to_owned()));
    tables.clients = Ok(description("client_id", |table| {
        table.deletion_protection_enabled = Some(false);
        table.sse_description = None;
    }));
    let findings = judge(&tables, "clients", "state", true);
    let skipped = findings.iter().filter(|finding| finding.what == LOCAL).count();
    assert_eq!((skipped, findings.iter().map(|finding| finding.verdict.severity()).max()), (3, Some(0)));
}
