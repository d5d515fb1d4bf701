//! The Dockerfile.

use super::{is_setting, read};

/// Its instructions, with continued lines joined: `(instruction, rest)`.
fn instructions() -> Vec<(String, String)> {
    let text = read("Dockerfile");
    let bare: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty())
        .collect();
    let joined = bare.join("\n").replace("\\\n", " ");
    let split = joined.lines().map(|line| line.split_once(' ').unwrap());
    split
        .map(|(instruction, rest)| (instruction.to_owned(), rest.trim().to_owned()))
        .collect()
}

/// The stage of that name: the image it stands on, and its instructions.
fn stage(name: &str) -> (String, Vec<(String, String)>) {
    let all = instructions();
    let end = format!(" AS {name}");
    let start = all
        .iter()
        .position(|(instruction, rest)| instruction == "FROM" && rest.ends_with(&end))
        .unwrap_or_else(|| panic!("no stage {name}"));
    let image = all[start].1.trim_end_matches(&end).to_owned();
    let body = all[start + 1..].iter();
    let body = body.take_while(|(instruction, _)| instruction != "FROM");
    (image, body.cloned().collect())
}

fn only<'a>(stage: &'a [(String, String)], instruction: &str) -> &'a str {
    let found: Vec<&str> = stage
        .iter()
        .filter(|(name, _)| name == instruction)
        .map(|(_, rest)| rest.as_str())
        .collect();
    assert_eq!(found.len(), 1, "{instruction}: {found:?}");
    found[0]
}

#[test]
fn both_images_are_small_and_not_root() {
    for name in ["bodega", "paypal-simulator"] {
        let (image, body) = stage(name);
        assert!(
            image.starts_with("gcr.io/distroless/") && image.ends_with(":nonroot"),
            "{image}"
        );
        assert_eq!(only(&body, "USER"), "65532:65532");
        assert!(
            body.iter().all(|(instruction, _)| instruction != "RUN"),
            "no shell to run it"
        );
    }
}

#[test]
fn commands_name_the_program_that_was_copied() {
    for name in ["bodega", "paypal-simulator"] {
        let (_, body) = stage(name);
        let entry: Vec<String> = serde_json::from_str(only(&body, "ENTRYPOINT")).unwrap();
        assert_eq!(entry, [format!("/usr/local/bin/{name}")]);
        let copied = body
            .iter()
            .any(|(i, rest)| i == "COPY" && rest.ends_with(&format!("/out/{name} {}", entry[0])));
        assert!(copied, "{name}");
        let command: Result<Vec<String>, _> = serde_json::from_str(only(&body, "CMD"));
        assert!(command.is_ok(), "{name}: a shell form needs a shell");
    }
}

#[test]
fn the_server_is_probed_and_its_settings_exist() {
    let (_, body) = stage("bodega");
    let (_, probe) = only(&body, "HEALTHCHECK").split_once("CMD ").unwrap();
    let probe: Vec<String> = serde_json::from_str(probe).unwrap();
    assert_eq!(probe, ["/usr/local/bin/bodega", "health"]);
    let settings: Vec<&str> = only(&body, "ENV")
        .split_whitespace()
        .map(|setting| setting.split_once('=').unwrap().0)
        .collect();
    assert_eq!(settings.len(), 3);
    for name in settings {
        assert!(is_setting(name), "{name}");
    }
}

/// What Cargo.toml names but the context lacks would fail the build there and nowhere else.
#[test]
fn the_build_stage_has_what_cargo_needs() {
    let (image, body) = stage("build");
    assert_eq!(image, "rust:1.95-bookworm");
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    assert_eq!(manifest["package"]["rust-version"].as_str(), Some("1.95"));
    let targets = ["bin", "test", "bench"].into_iter();
    let targets = targets.filter_map(|kind| manifest.get(kind)?.as_array());
    let paths = targets
        .flatten()
        .map(|target| target["path"].as_str().unwrap());
    let folders = paths.map(|path| path.split_once('/').unwrap().0);
    let context = read(".dockerignore");
    for needed in folders.chain([".cargo", "config", "Cargo.toml", "Cargo.lock"]) {
        let copied = body
            .iter()
            .any(|(i, rest)| i == "COPY" && rest.split_whitespace().any(|word| word == needed));
        assert!(copied, "{needed} is not copied");
        assert!(
            context.lines().any(|line| line == format!("!{needed}")),
            "{needed}"
        );
    }
}
