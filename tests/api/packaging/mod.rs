//! Checks what cannot be run where no container engine is: Dockerfile and docker-compose.yml, by schema
//! and by what they promise each other and the configuration.

mod compose;
mod dockerfile;

use std::{fs, path::Path};

/// The text of a file of the repository.
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the configuration knows this environment variable.
fn is_setting(name: &str) -> bool {
    let defaults: toml::Table = read("config/default.toml").parse().unwrap();
    let Some(path) = name.strip_prefix("BODEGA__") else {
        return ["BODEGA_ENV", "BODEGA_CONFIG_DIR", "BODEGA_CACHE"].contains(&name);
    };
    let path = path.to_lowercase();
    let Some((section, key)) = path.split_once("__") else {
        return false;
    };
    let keys = [key, key.strip_suffix("_file").unwrap_or(key)];
    defaults
        .get(section)
        .is_some_and(|section| keys.iter().any(|key| section.get(key).is_some()))
}

#[test]
fn the_check_for_settings_knows_a_typo() {
    assert!(is_setting("BODEGA__MONGODB__URI") && is_setting("BODEGA__AUTH__JWT_SECRET_FILE"));
    assert!(!is_setting("BODEGA__MONGODB__URL") && !is_setting("BODEGA__MONGO__URI"));
    assert!(!is_setting("BODEGA__MONGODB") && !is_setting("BODEGA_MONGODB"));
}

/// Each variable named in a script or document is one that the configuration knows.
#[test]
fn every_setting_named_in_scripts_and_documents_exists() {
    for file in ["README.md", "scripts/start", "scripts/fetch-mongod"] {
        let text = read(file);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: Vec<&str> = words
            .filter(|word| word.starts_with("BODEGA__") && !word.ends_with('_'))
            .filter(|word| !word.starts_with("BODEGA__SECTION__KEY"))
            .collect();
        assert!(!named.is_empty(), "{file} names none");
        for name in named {
            assert!(is_setting(name), "{file}: {name}");
        }
    }
}
