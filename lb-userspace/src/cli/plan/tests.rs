use std::fs;

use clap::Parser;

use super::*;
use crate::config::tests::world::{root, secrets};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// The options of a command as the documentation has it, after `spillway`; files of `examples` with a secret beside them.
fn parsed(command: &str) -> (tempfile::TempDir, Options) {
    let directory = secrets();
    for file in fs::read_dir(root().join("examples")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
    }
    let place = format!("{}/", directory.path().display());
    let line = command.replace("examples/", &place);
    let Line { options } = Line::try_parse_from(line.split_whitespace()).unwrap();
    (directory, options)
}

fn failure(command: &str) -> Failure {
    let (_files, options) = parsed(command);
    run(&options).expect_err(command)
}

/// Set to write what the commands print into the page instead of comparing it; then read the difference.
const UPDATE: &str = "SPILLWAY_UPDATE_FIXTURES";

#[test]
fn the_documentation_shows_what_is_printed() {
    let page = root().join("docs/plan.md");
    let shown = fs::read_to_string(&page).unwrap();
    let mut blocks: Vec<_> = shown.split("```").map(str::to_owned).collect();
    let mut commands = 0;
    for block in &mut blocks {
        let Some(rest) = block.strip_prefix("text\n$ spillway ") else { continue };
        let command = rest.lines().next().unwrap().to_owned();
        let (_files, options) = parsed(&command);
        let printed =
            text(&make(&options).unwrap_or_else(|failure| panic!("{command}: {:#}", failure.error)));
        *block = format!("text\n$ spillway {command}\n{printed}\n");
        commands += 1;
    }
    assert!(commands >= 3, "{commands} commands in docs/plan.md");
    let printed = blocks.join("```");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&page, &printed).unwrap();
    }
    assert_eq!(fs::read_to_string(&page).unwrap(), printed);
}

#[test]
fn a_violation_has_an_exit_code_of_its_own() {
    let file = "plan --config examples/n-plus-one.yaml";
    let (_files, options) = parsed(file);
    run(&options).unwrap();
    let failure = failure(&format!("{file} --fail eu-1 --fail eu-2"));
    assert_eq!((failure.code(), failure.error.to_string().as_str()), (5, "1 violation"));
}

#[test]
fn whatever_is_wrong_with_arguments_is_told_at_once() {
    let wrong = "plan --config examples/n-plus-one.yaml --fail eu-3 --set web.weight=1 --demand shop/wep=1 \
                 --demand shop/web=1 --demand shop/web=2";
    let failure = failure(wrong);
    let told = failure.error.to_string();
    assert_eq!((failure.code(), told.lines().count()), (2, 4), "{told}");
    for part in ["cluster \"eu-3\"", "pool \"web\"", "service \"shop/wep\"", "shop/web is given twice"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn json_has_the_documented_keys() {
    let (_files, options) =
        parsed("plan --config examples/n-plus-one.yaml --fail eu-1 --fail us-1 --demand shop/web=20000");
    let plan = serde_json::to_value(make(&options).unwrap()).unwrap();
    let keys = |value: &serde_json::Value| {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys.join(" ")
    };
    let service = &plan["services"][0];
    assert_eq!(keys(&plan), "clusters services violations");
    assert_eq!(keys(service), "broken flows lost name pools presence rehashed resilience rows");
    assert_eq!([&service["flows"], &service["rows"]].map(keys), ["least moved"; 2]);
    assert_eq!(keys(&service["pools"][0]), "after before cluster name");
    assert_eq!(keys(&service["resilience"]), "holds lost model reason");
    assert_eq!((&service["presence"], &service["resilience"]["model"]), (&"kept".into(), &"N+1".into()));
    assert_eq!(keys(&plan["clusters"][0]), "after before capacity name");
    assert_eq!(keys(&plan["violations"][0]), "kind reason subject");
    let kinds: Vec<_> = plan["violations"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["resilience", "overCapacity"]);
}
