//! The borders that the design draws, searched for in the source.

use std::{fs, path::Path};

// The folder or file, and the words that may not stand in it.
const BORDERS: &[(&[&str], &[&str])] = &[
    (
        &["oauth", "oauth.rs", "grant", "grant.rs"],
        &[
            "async ",
            ".await",
            "tracing::",
            "lambda_http",
            "lambda_runtime",
            "aws_sdk",
            "aws_config",
            "http::",
            "StatusCode",
            "dialect::",
            "edge::",
            "std::env",
            "SystemTime",
            "Instant::",
        ],
    ),
    (&["dialect", "dialect.rs"], &["async ", "edge::", "service::", "config::", "lambda_http", "aws_", "keyring::"]),
    (
        &["keyring", "keyring.rs"],
        &["async ", ".await", "edge::", "service::", "config::", "lambda_http", "aws_sdk", "SystemTime"],
    ),
    (&["endpoint", "endpoint.rs"], &["async ", "edge::", "service::", "config::", "lambda_http", "aws_"]),
    (&["service.rs"], &["edge::", "cli::", "lambda_http", "aws_", "std::env", "SystemTime", "Instant"]),
    (&["edge/dynamodb.rs", "edge/client_cache.rs"], &["scope", "grant_type", "client_auth", "Reason::"]),
    (
        &["edge", "edge.rs", "config.rs", "main.rs", "service.rs", "dialect", "grant", "oauth", "keyring", "endpoint"],
        &["cli::"],
    ),
];

#[test]
fn no_module_reaches_over_its_border() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut crossings = Vec::new();
    for (places, forbidden) in BORDERS {
        for place in *places {
            visit(&source.join(place), &mut |path, text| {
                for (number, line) in text.lines().enumerate() {
                    let code = line.split("//").next().unwrap_or_default();
                    for word in forbidden.iter().filter(|word| code.contains(**word)) {
                        crossings.push(format!("{}:{}: {word}", path.display(), number + 1));
                    }
                }
            });
        }
    }
    assert!(crossings.is_empty(), "{crossings:#?}");
}

#[test]
fn no_dialect_knows_another() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dialect");
    let names = ["oauth2", "screening_eagle", "frontier", "eventhos"];
    visit(&folder, &mut |path, text| {
        let own = path.file_stem().unwrap().to_str().unwrap();
        for other in names.iter().filter(|name| **name != own) {
            assert!(!text.contains(&format!("super::{other}")), "{own} knows {other}");
        }
    });
}

#[test]
fn most_files_are_small() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    visit(&source, &mut |path, text| {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        assert!(code <= 400, "{} has {code} lines; is it two things?", path.display());
    });
}

fn visit(path: &Path, look: &mut impl FnMut(&Path, &str)) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            visit(&entry.unwrap().path(), look);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        look(path, &fs::read_to_string(path).unwrap());
    }
}

#[test]
fn the_readme_and_the_configuration_name_the_same_variables() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let variables = |text: &str, row: &str| {
        let rows = text.lines().filter_map(|line| line.trim_start_matches("//! ").strip_prefix(row));
        let cells = rows.flat_map(|line| line.split(" | ").next().unwrap_or_default().split(", "));
        cells.map(|cell| cell.trim_matches(['`', ' ']).to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let configure = readme.split("## Configure it").nth(1).unwrap().split("## Operate it").next().unwrap();
    let config = fs::read_to_string(root.join("src/config.rs")).unwrap();
    let documented = variables(configure, "| `");
    assert!(documented.len() > 10, "{documented:?}");
    assert_eq!(documented, variables(&config, "| `"));
}
