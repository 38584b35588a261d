//! Bodies, parameters and queries that are refused: each the accepted request with one thing changed.

use http::{Method, header};
use mintlet::{
    dialect::{DIALECTS, Dialect},
    oauth::{error::Reason, jwt::Alg},
};
use serde_json::json;

use crate::support::{Ask, ISSUER, SECRET, World, whole};

async fn world() -> World {
    World::new(json!([{"client_id": "billing", "client_secret": SECRET, "scope": "read write"}]), &[Alg::ES256]).await
}

// Every dialect takes a form. `body` follows on what authenticates the client.
fn form(dialect: &Dialect, body: &[u8]) -> Ask {
    let mut bytes = if dialect.policy.auth.post {
        format!("client_id=billing&client_secret={SECRET}&").into_bytes()
    } else {
        Vec::new()
    };
    bytes.extend(body);
    let ask = Ask::post(dialect.path, "application/x-www-form-urlencoded", bytes);
    if dialect.policy.auth.post { ask } else { ask.basic("billing", SECRET) }
}

// The accepted form with a parameter more.
fn with(dialect: &Dialect, more: &[u8]) -> Ask {
    form(dialect, &[b"grant_type=client_credentials&", more].concat())
}

fn members(more: &str) -> String {
    format!(r#"{{"grant_type":"client_credentials","client_id":"billing","client_secret":"{SECRET}"{more}}}"#)
}

fn takes_json() -> impl Iterator<Item = &'static Dialect> {
    DIALECTS.iter().filter(|dialect| matches!(dialect.name, "frontier" | "eventhos"))
}

#[tokio::test]
async fn grant_type_has_to_be_there_once_and_be_one_that_is_served() {
    let world = world().await;
    for dialect in &DIALECTS {
        world.takes(dialect, "as it should be", form(dialect, b"grant_type=client_credentials")).await;
        for (body, reason) in [
            ("", Reason::MissingGrantType),
            ("scope=read", Reason::MissingGrantType),
            ("grant_type=", Reason::MissingGrantType),
            ("grant_type", Reason::MissingGrantType),
            ("GRANT_TYPE=client_credentials", Reason::MissingGrantType),
            ("grant_type[]=client_credentials", Reason::MissingGrantType),
            ("%20grant_type=client_credentials", Reason::MissingGrantType),
            ("grant_type=client_credentials&grant_type=client_credentials", Reason::RepeatedParameter),
            ("grant_type=client_credentials&%67rant_type=client_credentials", Reason::RepeatedParameter),
            ("grant_type=Client_Credentials", Reason::UnsupportedGrantType),
            ("grant_type=client_credentials+", Reason::UnsupportedGrantType),
            ("grant_type=client_credentials;scope=read", Reason::UnsupportedGrantType),
            ("grant_type==client_credentials", Reason::UnsupportedGrantType),
            ("grant_type=password&username=a&password=b", Reason::UnsupportedGrantType),
            ("grant_type=authorization_code&code=x", Reason::UnsupportedGrantType),
            ("grant_type=urn:x:%3Cscript%3E", Reason::UnsupportedGrantType),
        ] {
            world.refuses(dialect, body, form(dialect, body.as_bytes()), reason).await;
        }
    }
}

#[tokio::test]
async fn a_wholly_empty_body_has_no_grant_type() {
    let world = world().await;
    for dialect in &DIALECTS {
        let ask = Ask::form(dialect.path, "");
        world.refuses(dialect, "empty", ask, Reason::MissingGrantType).await;
    }
}

#[tokio::test]
async fn a_known_parameter_sent_twice_is_refused_even_if_equal() {
    let world = world().await;
    let known = [
        "scope",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "assertion",
        "code",
        "redirect_uri",
        "code_verifier",
        "refresh_token",
        "username",
        "password",
    ];
    for dialect in &DIALECTS {
        // eventhos has no scope: there it is like any other unknown name.
        let known = known.iter().filter(|name| dialect.name != "eventhos" || **name != "scope");
        for name in known {
            let body = format!("{name}=billing&{name}=billing");
            world.refuses(dialect, name, with(dialect, body.as_bytes()), Reason::RepeatedParameter).await;
        }
        world.takes(dialect, "unknown", with(dialect, b"x=1&x=2&scope[]=a&scope[]=b")).await;
        world.takes(dialect, "one of them empty", with(dialect, b"scope=&scope=read&scope")).await;
    }
}

#[tokio::test]
async fn a_form_that_could_be_read_two_ways_is_refused_wherever_the_fault_stands() {
    let world = world().await;
    let faults: [&[u8]; 15] = [
        b"%zz",
        b"%",
        b"a%",
        b"%2",
        b"%%20",
        b"%+1",
        b"%0",
        b"%00",
        b"a%00b",
        b"\0",
        b"\xff",
        b"\xc0\xaf",
        b"%C3",
        b"%C0%AF",
        b"%ED%A0%80",
    ];
    for dialect in &DIALECTS {
        world.takes(dialect, "well-formed", with(dialect, b"scope=read&x=%C3%A9%2B\xc3\xa9&&=&")).await;
        for fault in faults {
            for more in [[b"scope=", fault].concat(), [b"x=", fault].concat(), [fault, b"=x"].concat(), fault.to_vec()]
            {
                let title = String::from_utf8_lossy(&more).into_owned();
                world.refuses(dialect, &title, with(dialect, &more), Reason::MalformedForm).await;
            }
        }
    }
}

#[tokio::test]
async fn a_plus_sign_is_a_space_and_its_escape_a_plus_sign() {
    let world = world().await;
    for dialect in DIALECTS.iter().filter(|dialect| dialect.name != "eventhos") {
        for body in ["scope=read+write", "scope=read%20write", "scope=read write", "%73cope=%72ead"] {
            world.takes(dialect, body, with(dialect, body.as_bytes())).await;
        }
        world.refuses(dialect, "%2B", with(dialect, b"scope=read%2Bwrite"), Reason::ScopeNotGranted).await;
    }
}

#[tokio::test]
async fn a_credential_in_the_query_is_refused_and_other_parameters_there_are_not_read() {
    let world = world().await;
    for dialect in &DIALECTS {
        let ask = || with(dialect, b"scope=read");
        for query in ["x=y", "scope=admin&grant_type=nonsense&client_id=other&resource=x", "%zz&%", "client_secre=x"] {
            world.takes(dialect, query, ask().query(query)).await;
        }
        for query in [
            "client_secret=x",
            "client_secret=",
            "client_secret",
            "a=b&client%5Fsecret=x",
            "client_assertion=x",
            "assertion=x",
        ] {
            world.refuses(dialect, query, ask().query(query), Reason::CredentialInQuery).await;
        }
        let moved = form(dialect, b"scope=read").query("grant_type=client_credentials");
        world.refuses(dialect, "grant_type in the query alone", moved, Reason::MissingGrantType).await;
    }
}

#[tokio::test]
async fn a_body_of_16_kib_is_taken_and_one_byte_more_is_not() {
    let world = world().await;
    for dialect in &DIALECTS {
        let length = |ask: &Ask| ask.0.body.as_ref().unwrap().len();
        let room = 16 * 1024 - length(&with(dialect, b"x="));
        let largest = with(dialect, &[b"x=".to_vec(), vec![b'a'; room]].concat());
        assert_eq!(length(&largest), 16 * 1024);
        world.takes(dialect, "16 KiB", largest).await;
        let larger = with(dialect, &[b"x=".to_vec(), vec![b'a'; room + 1]].concat());
        world.refuses(dialect, "16 KiB and a byte", larger, Reason::BodyTooLarge).await;
        let huge = with(dialect, &[b"scope=".to_vec(), vec![b'a'; 1024 * 1024]].concat());
        world.refuses(dialect, "a scope of 1 MiB", huge, Reason::BodyTooLarge).await;
        let many = with(dialect, &b"a=b&".repeat(10_000));
        world.refuses(dialect, "10,000 parameters", many, Reason::BodyTooLarge).await;
        world.takes(dialect, "as many as fit", with(dialect, &b"a&".repeat(room / 2))).await;
        let resources = with(dialect, &b"resource=a:a&".repeat(room / 13));
        world.refuses(dialect, "as many resources as fit", resources, Reason::TargetNotAllowed).await;
        if dialect.name != "eventhos" {
            let scope = with(dialect, &[b"scope=".as_slice(), "read+".repeat(room / 6).as_bytes()].concat());
            world.refuses(dialect, "a scope of thousands of tokens", scope, Reason::MalformedScope).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_could_not_be_had_is_refused_in_the_dialects_own_words() {
    let world = world().await;
    for dialect in &DIALECTS {
        for reason in [Reason::MalformedBase64Body, Reason::MalformedEvent, Reason::BodyTooLarge] {
            let mut ask = with(dialect, b"");
            ask.0.body = Err(reason);
            world.refuses(dialect, "no body", ask, reason).await;
        }
    }
}

#[tokio::test]
async fn only_post_gets_a_token() {
    let world = world().await;
    for dialect in &DIALECTS {
        let mut refused = dialect.refused(Reason::WrongMethod, Some(ISSUER));
        refused.headers_mut().insert(header::ALLOW, "POST".parse().unwrap());
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "BREW"] {
            let method: Method = method.parse().unwrap();
            let answer = world.send(with(dialect, b"").method(method.clone())).await;
            assert_eq!(whole(&answer.response), whole(&refused), "{} {method}", dialect.name);
        }
    }
}

#[tokio::test]
async fn json_has_to_be_one_object_whose_known_members_are_strings_and_stand_once() {
    let world = world().await;
    let nested = |depth: usize| format!(r#","x":{}1{}"#, "[".repeat(depth), "]".repeat(depth));
    let bodies = [
        (String::new(), Reason::MalformedJson),
        ("null".to_owned(), Reason::MalformedJson),
        ("[]".to_owned(), Reason::MalformedJson),
        (format!("[{}]", members("")), Reason::MalformedJson),
        (format!("{}{}", members(""), members("")), Reason::MalformedJson),
        (format!("{} x", members("")), Reason::MalformedJson),
        (format!("\u{feff}{}", members("")), Reason::MalformedJson),
        (members("").replace('"', "'"), Reason::MalformedJson),
        (members(","), Reason::MalformedJson),
        (members(r#","scope":1"#), Reason::MalformedJson),
        (members(r#","scope":null"#), Reason::MalformedJson),
        (members(r#","scope":true"#), Reason::MalformedJson),
        (members(r#","scope":["read"]"#), Reason::MalformedJson),
        (members(r#","scope":{"a":"read"}"#), Reason::MalformedJson),
        (members(r#","resource":["a:a"]"#), Reason::MalformedJson),
        (members(r#","password":1"#), Reason::MalformedJson),
        (members(r#","scope":"\u0000""#), Reason::MalformedJson),
        (members(r#","scope":"\ud800""#), Reason::MalformedJson),
        (members(",\"scope\":\"a\nb\""), Reason::MalformedJson),
        (members(r#","x":"#), Reason::MalformedJson),
        (members(r#","x":"\x41""#), Reason::MalformedJson),
        (members(&nested(7_000).replace("\"x\"", "\"scope\"")), Reason::MalformedJson),
        (members(&nested(7_000).replace("1]", "1")), Reason::MalformedJson),
        (members(&nested(200)), Reason::MalformedJson),
        (members(&nested(7_000)), Reason::MalformedJson),
        (members(&nested(10_000)), Reason::BodyTooLarge),
        (members(r#","scope":"read","scope":"read""#), Reason::RepeatedParameter),
        (members(r#","client_id":"billing""#), Reason::RepeatedParameter),
        (members(r#","\u0063lient_id":"billing""#), Reason::RepeatedParameter),
        (members(r#","resource":"a:a","resource":"a:b""#), Reason::RepeatedParameter),
        (members("").replace("grant_type", "grantType"), Reason::MissingGrantType),
        (members("").replace("client_credentials", ""), Reason::MissingGrantType),
        (members("").replace("client_credentials", "password"), Reason::UnsupportedGrantType),
    ];
    for dialect in takes_json() {
        let ask = |body: &str| Ask::post(dialect.path, "application/json", body.to_owned());
        for more in [
            "",
            r#","x":1,"x":{"y":[null,1e99,-0.5]}"#,
            r#","scope":"","resource":"""#,
            r#","__proto__":{},"constructor":"x""#,
            &nested(100),
        ] {
            world.takes(dialect, more, ask(&members(more))).await;
        }
        for (body, reason) in &bodies {
            // eventhos has no scope: there it is like any other unknown name.
            let known = if dialect.name == "eventhos" { "\"password\"" } else { "\"scope\"" };
            let body = &body.replace("\"scope\"", known);
            world.refuses(dialect, body, ask(body), *reason).await;
        }
        let mut not_utf8 = members(r#","x":"?""#).into_bytes();
        let place = not_utf8.iter().position(|byte| *byte == b'?').unwrap();
        not_utf8[place] = 0xff;
        // In a member that is not read, too: one body, one reading.
        let found = world.send(Ask::post(dialect.path, "application/json", not_utf8)).await;
        assert_eq!(found.record.reason, Some(Reason::MalformedJson), "{}", dialect.name);
    }
}
