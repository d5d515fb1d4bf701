//! Reading the layers: files, environment, secrets from files.

use std::{
    collections::HashMap,
    fmt::Display,
    path::{Path, PathBuf},
    str::FromStr,
};

use config::{Environment, File, FileFormat};
use serde::{Deserialize, Deserializer, de};

use super::{Config, check};

/// The defaults travel in the binary, so that it starts from any folder.
const DEFAULTS: &str = include_str!("../../config/default.toml");
/// Keys that may also be given as `…_FILE`: the path of a file that holds the value.
const SECRETS: [&str; 7] = [
    "BODEGA__AUTH__JWT_SECRET",
    "BODEGA__PAYPAL__CLIENT_SECRET",
    "BODEGA__PAYPAL__CLIENT_ID",
    "BODEGA__MONGODB__URI",
    "BODEGA__OUTBOX__AMQP_URL",
    "BODEGA__IMAGES__S3_ACCESS_KEY_ID",
    "BODEGA__IMAGES__S3_SECRET_ACCESS_KEY",
];

/// The configuration cannot be used; one line that names the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A layer cannot be read, or has an unknown key or a value of another type.
    #[error("configuration: {0}")]
    Unreadable(String),
    /// A value contradicts a rule.
    #[error("configuration: {key}: {reason}")]
    Invalid {
        /// `section.key`.
        key: &'static str,
        /// The rule.
        reason: String,
    },
}

/// The folder of configuration files and import mappings.
#[must_use]
pub fn config_folder() -> PathBuf {
    std::env::var_os("BODEGA_CONFIG_DIR").map_or_else(|| "config".into(), PathBuf::from)
}

/// Reads the configuration from the working folder's `config` and this process's environment.
///
/// # Errors
/// On the first fault.
pub fn load() -> Result<Config, ConfigError> {
    load_from(
        &config_folder(),
        std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))),
    )
}

/// Reads the configuration from `folder` and the environment given.
///
/// # Errors
/// On the first fault.
pub fn load_from(
    folder: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut environment: HashMap<String, String> = environment
        .into_iter()
        .filter(|(key, _)| key.starts_with("BODEGA_"))
        .collect();
    read_secret_files(&mut environment)?;
    let stage = environment.get("BODEGA_ENV").cloned();
    environment.retain(|key, _| key.starts_with("BODEGA__"));
    let mut layers = config::Config::builder()
        .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
        .add_source(
            File::from(folder.join("default.toml"))
                .format(FileFormat::Toml)
                .required(false),
        );
    if let Some(stage) = stage {
        let file = folder.join(format!("{stage}.toml"));
        layers = layers.add_source(File::from(file).format(FileFormat::Toml).required(true));
    }
    let environment = Environment::with_prefix("BODEGA")
        .prefix_separator("__")
        .separator("__")
        .source(Some(environment));
    let config: Config = layers
        .add_source(environment)
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| ConfigError::Unreadable(error.to_string().replace('\n', " ")))?;
    check::check(&config)?;
    Ok(config)
}

fn read_secret_files(environment: &mut HashMap<String, String>) -> Result<(), ConfigError> {
    for key in SECRETS {
        let file_key = format!("{key}_FILE");
        let Some(path) = environment.remove(&file_key) else {
            continue;
        };
        if environment.contains_key(key) {
            return Err(ConfigError::Unreadable(format!(
                "{key} and {file_key} are both set"
            )));
        }
        let secret = std::fs::read_to_string(&path)
            .map_err(|error| ConfigError::Unreadable(format!("{file_key}: {path}: {error}")))?;
        environment.insert(key.to_owned(), secret.trim_end().to_owned());
    }
    Ok(())
}

/// A list, in a file as an array, in the environment as text with commas.
pub(super) fn list<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        List(Vec<String>),
    }
    let texts = match Either::deserialize(deserializer)? {
        Either::Text(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        Either::List(list) => list,
    };
    let named = texts.iter().filter(|item| !item.is_empty());
    named
        .map(|item| item.parse().map_err(de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const SECRET: &str = "0123456789012345678901234567890123456789";

    fn with(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let needed = [
            ("BODEGA__AUTH__JWT_SECRET", SECRET),
            ("BODEGA__PAYPAL__CLIENT_ID", "id"),
            ("BODEGA__PAYPAL__CLIENT_SECRET", "secret"),
            ("BODEGA__PAYPAL__WEBHOOK_ID", "WH-1"),
        ];
        let all = needed
            .iter()
            .chain(pairs)
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        load_from(Path::new("no-such-folder"), all)
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        let line = with(pairs).unwrap_err().to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    }

    #[test]
    fn the_environment_wins_over_the_defaults() {
        let config = with(&[
            ("BODEGA__SERVER__BIND", "127.0.0.1:0"),
            ("BODEGA__RATE_LIMIT__ENABLED", "false"),
            ("BODEGA__CHECKOUT__RESERVATION_SECONDS", "5"),
            ("BODEGA__PAYPAL__CERT_HOSTS", "127.0.0.1, localhost"),
            (
                "BODEGA__MONGODB__URI",
                "mongodb://127.0.0.1:1/?replicaSet=rs0",
            ),
        ])
        .unwrap();
        assert_eq!(config.server.bind.port(), 0);
        assert!(!config.rate_limit.enabled && !config.mongodb.is_embedded());
        assert_eq!(config.checkout.reservation_seconds, 5);
        assert_eq!(config.paypal.cert_hosts, ["127.0.0.1", "localhost"]);
        assert_eq!(
            config.auth.jwt_secret.expose_secret(),
            SECRET,
            "digits stay text"
        );
    }

    #[test]
    fn each_fault_is_one_line_that_names_the_key() {
        assert!(refusal(&[("BODEGA__SERVER__BINDD", "x")]).contains("bindd"));
        assert!(refusal(&[("BODEGA__SHOP__X", "x")]).contains("shop"));
        assert!(refusal(&[("BODEGA__MONGODB__POOL_SIZE", "many")]).contains("mongodb.pool_size"));
        assert!(refusal(&[("BODEGA__MONGODB__POOL_SIZE", "no")]).contains("mongodb.pool_size"));
        assert!(refusal(&[("BODEGA__AUTH__JWT_SECRET", "short")]).contains("auth.jwt_secret"));
        assert!(refusal(&[("BODEGA__AUTH__JWT_SECRET", "")]).contains("auth.jwt_secret"));
        assert!(refusal(&[("BODEGA__STORE__CURRENCY", "XXZ")]).contains("store.currency"));
        assert!(refusal(&[("BODEGA__STORE__CURRENCY", "KWD")]).contains("store.currency"));
        for no_money in ["XXX", "XTS", "XAU", "XDR", "USN", "CHE"] {
            let line = refusal(&[("BODEGA__STORE__CURRENCY", no_money)]);
            assert!(line.contains("store.currency"), "{line}");
        }
        assert!(refusal(&[("BODEGA__SERVER__BIND", "nowhere")]).contains("server.bind"));
        for nonsense in [
            "rabbit",
            "http://rabbit",
            "amqp://",
            "amqp://u:s3cret@h:99999/",
        ] {
            let line = refusal(&[("BODEGA__OUTBOX__AMQP_URL", nonsense)]);
            assert!(line.contains("outbox.amqp_url") && !line.contains("s3cret"));
        }
        for nonsense in ["", "amq.topic"] {
            let line = refusal(&[("BODEGA__OUTBOX__EXCHANGE", nonsense)]);
            assert!(line.contains("outbox.exchange"));
        }
        assert!(refusal(&[("BODEGA__OUTBOX__FROM", "today")]).contains("outbox.from"));
        assert!(refusal(&[("BODEGA_ENV", "nosuch")]).contains("nosuch"));
        assert!(
            refusal(&[("BODEGA__PAYPAL__WEBHOOK_VERIFICATION", "none")])
                .contains("webhook_verification")
        );
        let live = [
            ("BODEGA__PAYPAL__BASE_URL", "https://api-m.paypal.com"),
            ("BODEGA__PAYPAL__WEBHOOK_ID", "WEBHOOK_ID"),
        ];
        assert!(refusal(&live).contains("paypal.webhook_id"));
        let behind_a_proxy = [
            ("BODEGA__PAYPAL__BASE_URL", "https://proxy.example"),
            ("BODEGA__PAYPAL__ENVIRONMENT", "live"),
            ("BODEGA__PAYPAL__WEBHOOK_ID", "WEBHOOK_ID"),
        ];
        assert!(refusal(&behind_a_proxy).contains("paypal.webhook_id"));
        for (url, environment) in [
            ("https://api-m.paypal.com", "sandbox"),
            ("https://api-m.sandbox.paypal.com", "live"),
        ] {
            let contrary = [
                ("BODEGA__PAYPAL__BASE_URL", url),
                ("BODEGA__PAYPAL__ENVIRONMENT", environment),
            ];
            assert!(refusal(&contrary).contains("paypal.environment"));
        }
    }

    #[test]
    fn ipn_messages_are_verified_where_they_come_from() {
        let at = |base: &str, environment: &str, verify: &str| {
            let settings = [
                ("BODEGA__PAYPAL__BASE_URL", base),
                ("BODEGA__PAYPAL__ENVIRONMENT", environment),
                ("BODEGA__PAYPAL__IPN_VERIFY_URL", verify),
            ];
            with(&settings).map(|config| config.paypal.ipn_verification())
        };
        let live = "https://ipnpb.paypal.com/cgi-bin/webscr";
        let sandbox = "https://ipnpb.sandbox.paypal.com/cgi-bin/webscr";
        let own = "https://ipn.example/verify";
        let near = "http://127.0.0.1:8090/cgi-bin/webscr";
        for (base, environment, verify, asked) in [
            ("https://api-m.paypal.com", "auto", "", live),
            ("https://api-m.paypal.com", "auto", live, live),
            ("https://api-m.sandbox.paypal.com", "auto", "", sandbox),
            ("https://api-m.sandbox.paypal.com", "auto", sandbox, sandbox),
            ("https://proxy.example", "live", "", live),
            ("https://proxy.example", "live", own, own),
            ("https://stand-in.example", "auto", "", sandbox),
            ("http://127.0.0.1:8090", "auto", near, near),
        ] {
            assert_eq!(at(base, environment, verify).unwrap(), asked, "{base}");
        }
        for (base, environment, verify) in [
            ("https://api-m.paypal.com", "auto", sandbox),
            ("https://api-m.paypal.com", "auto", own),
            ("https://api-m.paypal.com", "auto", near),
            ("https://api-m.sandbox.paypal.com", "auto", live),
            ("https://api-m.sandbox.paypal.com", "auto", own),
            ("https://proxy.example", "live", sandbox),
            ("https://stand-in.example", "auto", live),
            (
                "https://stand-in.example",
                "auto",
                "http://ipn.example/verify",
            ),
            ("https://stand-in.example", "auto", "ftp://127.0.0.1/verify"),
            ("https://stand-in.example", "auto", "verify"),
        ] {
            let line = at(base, environment, verify).unwrap_err().to_string();
            assert!(line.contains("paypal.ipn_verify_url"), "{base}: {line}");
        }
    }

    #[test]
    fn paypal_is_asked_in_the_clear_only_where_nobody_listens() {
        let at = |base: &str, environment: &str| {
            let settings = [
                ("BODEGA__PAYPAL__BASE_URL", base),
                ("BODEGA__PAYPAL__ENVIRONMENT", environment),
            ];
            with(&settings).map_err(|error| error.to_string())
        };
        for base in [
            "http://127.0.0.1:8090",
            "http://[::1]:8090",
            "http://localhost:8090",
            "http://paypal-simulator:8090",
        ] {
            at(base, "auto").unwrap();
        }
        for (base, environment) in [
            ("http://api-m.paypal.com", "auto"),
            ("http://stand-in.example", "auto"),
            ("http://10.0.0.1", "auto"),
            ("http://proxy:8090", "live"),
            ("ftp://127.0.0.1", "auto"),
        ] {
            let line = at(base, environment).unwrap_err();
            assert!(line.contains("paypal.base_url"), "{base}: {line}");
        }
    }

    #[test]
    fn buyers_are_sent_to_pages_only() {
        for key in ["return_url", "cancel_url"] {
            let variable = format!("BODEGA__PAYPAL__{}", key.to_uppercase());
            with(&[(&variable, "https://shop.example/back")]).unwrap();
            for wrong in ["javascript:alert(1)", "/back", "shop.example/back"] {
                let line = refusal(&[(&variable, wrong)]);
                assert!(line.contains(&format!("paypal.{key}")), "{line}");
            }
        }
    }

    #[test]
    fn a_bucket_is_configured_whole_or_not_at_all() {
        let whole = [
            ("BODEGA__IMAGES__S3_ENDPOINT", "https://s3.example"),
            ("BODEGA__IMAGES__S3_BUCKET", "pictures"),
            ("BODEGA__IMAGES__S3_ACCESS_KEY_ID", "1234"),
            ("BODEGA__IMAGES__S3_SECRET_ACCESS_KEY", "s3cret"),
        ];
        let config = with(&whole).unwrap();
        let bucket = config.images.bucket().unwrap();
        assert_eq!(bucket.base_url().as_str(), "https://s3.example/pictures/");
        assert_eq!(config.images.s3_access_key_id, "1234", "digits stay text");
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(with(&[]).unwrap().images.bucket().is_none());
        for (missing, (key, _)) in whole.iter().enumerate().skip(1) {
            let mut rest = whole.to_vec();
            rest.remove(missing);
            let named = key.trim_start_matches("BODEGA__IMAGES__").to_lowercase();
            assert!(refusal(&rest).contains(&format!("images.{named}")));
        }
        for (key, value, named) in [
            ("S3_ENDPOINT", "s3.example", "images.s3_endpoint"),
            ("S3_ENDPOINT", "ftp://s3.example", "images.s3_endpoint"),
            ("MAX_MIB", "0", "images.max_mib"),
            ("MAX_SIDE", "70000", "images.max_side"),
        ] {
            let mut pairs = whole.to_vec();
            let key = format!("BODEGA__IMAGES__{key}");
            pairs.push((&key, value));
            assert!(refusal(&pairs).contains(named), "{key} {value}");
        }
    }

    #[test]
    fn money_is_real_at_paypals_live_hosts_only_unless_it_is_said() {
        let live = |url, environment| {
            let pairs = [
                ("BODEGA__PAYPAL__BASE_URL", url),
                ("BODEGA__PAYPAL__ENVIRONMENT", environment),
            ];
            with(&pairs).unwrap().paypal.is_live()
        };
        assert!(live("https://api-m.paypal.com", "auto"));
        assert!(live("https://API.paypal.com:443", "auto"));
        assert!(live("https://proxy.example", "live"));
        assert!(!live("https://proxy.example", "auto"));
        assert!(!live("https://api-m.paypal.com.evil.test", "auto"));
        assert!(!live("https://api-m.sandbox.paypal.com", "auto"));
    }

    #[test]
    fn a_secret_may_come_from_a_file_but_not_twice() {
        let file = std::env::temp_dir().join(format!("bodega-secret-{}", std::process::id()));
        std::fs::write(&file, "mongodb://from-a-file\n").unwrap();
        let path = file.to_str().unwrap();
        let twice = refusal(&[("BODEGA__PAYPAL__CLIENT_SECRET_FILE", path)]);
        assert!(twice.contains("CLIENT_SECRET_FILE"));
        let mongo = with(&[("BODEGA__MONGODB__URI_FILE", path)]).unwrap();
        assert_eq!(mongo.mongodb.uri, "mongodb://from-a-file");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn settings_print_no_secret() {
        let shown = format!("{:?}", with(&[]).unwrap());
        assert!(!shown.contains(SECRET));
    }
}
