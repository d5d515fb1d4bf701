//! docker-compose.yml.

use std::{collections::BTreeSet, path::Path};

use serde_json::{Map, Value};

use super::{is_setting, read};

fn compose() -> Value {
    let mut yaml: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(&read("docker-compose.yml")).unwrap();
    yaml.apply_merge().unwrap();
    serde_json::to_value(yaml).unwrap()
}

fn section<'a>(compose: &'a Value, name: &str) -> &'a Map<String, Value> {
    compose[name].as_object().unwrap()
}

fn strings(value: &Value) -> Vec<&str> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// Those built here; the others are pulled.
fn is_ours(service: &Value) -> bool {
    service.get("build").is_some()
}

#[test]
fn it_fits_the_compose_specification() {
    let schema: Value =
        serde_json::from_str(&read("tests/api/packaging/compose-spec.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = schema
        .iter_errors(&compose())
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");

    let mut wrong = compose();
    wrong["services"]["bodega1"]["depend_on"] = Value::Null;
    assert!(!schema.is_valid(&wrong), "the schema refuses unknown keys");
}

#[test]
fn every_image_has_a_version() {
    for (name, service) in section(&compose(), "services") {
        let image = service["image"].as_str().unwrap();
        let (_, tag) = image
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{name}: {image}"));
        assert!(
            tag.starts_with(|c: char| c.is_ascii_digit()),
            "{name}: {image}"
        );
        assert!(
            tag.split('.').count() == 3,
            "{name}: {image} names no exact version"
        );
    }
}

/// MongoDB below these is open to CVE-2025-14847.
#[test]
fn mongodb_is_a_release_without_the_known_hole() {
    for (name, service) in section(&compose(), "services") {
        let Some(version) = service["image"].as_str().unwrap().strip_prefix("mongo:") else {
            continue;
        };
        let numbers: Vec<u32> = version.split('.').map(|n| n.parse().unwrap()).collect();
        assert!(
            numbers >= vec![7, 0, 28] && !(numbers >= vec![8, 0, 0] && numbers < vec![8, 0, 17]),
            "{name}: {version}"
        );
    }
}

#[test]
fn three_members_and_their_replica_set() {
    let compose = compose();
    let members: Vec<&String> = section(&compose, "services")
        .iter()
        .filter(|(_, service)| service["command"][0] == "mongod")
        .map(|(name, _)| name)
        .collect();
    assert_eq!(members.len(), 3);
    let uri = compose["services"]["bodega1"]["environment"]["BODEGA__MONGODB__URI"]
        .as_str()
        .unwrap();
    for member in members {
        assert!(uri.contains(&format!("{member}:27017")), "{uri}");
    }
    assert!(uri.ends_with("?replicaSet=rs0"));
}

#[test]
fn whoever_is_waited_for_exists_and_can_be_waited_for() {
    let compose = compose();
    let services = section(&compose, "services");
    let mut waits = 0;
    for (name, service) in services {
        let Some(depends) = service.get("depends_on") else {
            continue;
        };
        for (other, how) in depends.as_object().unwrap() {
            waits += 1;
            let other_service = services
                .get(other)
                .unwrap_or_else(|| panic!("{name} waits for {other}"));
            match how["condition"].as_str().unwrap() {
                "service_healthy" => {
                    assert!(
                        other_service.get("healthcheck").is_some(),
                        "{name}: {other}"
                    );
                }
                "service_completed_successfully" => {
                    assert_eq!(other_service["restart"], "no", "{name}: {other}");
                }
                "service_started" => {}
                unknown => panic!("{name}: {unknown}"),
            }
        }
    }
    assert!(waits >= 5);
}

#[test]
fn every_name_that_is_used_is_declared() {
    let compose = compose();
    let declared = |kind: &str| -> BTreeSet<&str> {
        section(&compose, kind).keys().map(String::as_str).collect()
    };
    let mut used = BTreeSet::new();
    for (name, service) in section(&compose, "services") {
        let listed = strings(&service["networks"]).into_iter();
        let detailed = service["networks"].as_object().into_iter();
        for network in listed.chain(detailed.flat_map(Map::keys).map(String::as_str)) {
            assert!(declared("networks").contains(network), "{name}: {network}");
        }
        for config in service["configs"].as_array().into_iter().flatten() {
            let source = config["source"].as_str().unwrap();
            assert!(declared("configs").contains(source), "{name}: {source}");
            let file = compose["configs"][source]["file"].as_str().unwrap();
            assert!(!read(file).is_empty(), "{name}: {file}");
        }
        for secret in strings(&service["secrets"]) {
            assert!(declared("secrets").contains(secret), "{name}: {secret}");
        }
        for volume in strings(&service["volumes"]) {
            let (source, _) = volume.split_once(':').unwrap();
            // Pictures are one for all nodes; anything else has one owner.
            let fresh = used.insert(source.to_owned());
            assert!(fresh || source == "images", "{name}: {source} is shared");
            assert!(declared("volumes").contains(source), "{name}: {source}");
        }
    }
    let volumes: BTreeSet<String> = declared("volumes").into_iter().map(str::to_owned).collect();
    assert_eq!(used, volumes);
}

/// Two nodes that are alike, behind a proxy that knows both, and whom they believe.
#[test]
fn two_nodes_behind_a_proxy_that_they_believe() {
    let compose = compose();
    let services = section(&compose, "services");
    let node = &services["bodega1"];
    assert_eq!(node, &services["bodega2"]);
    assert!(
        node.get("ports").is_none(),
        "buyers come in through the proxy"
    );
    let proxy = &services["haproxy"];
    let config = read("deploy/haproxy.cfg");
    for (name, value) in section(proxy, "environment") {
        assert!(config.contains(&format!("${{{name}}}")), "{name}");
        if let Some((host, port)) = value.as_str().unwrap().split_once(':')
            && name != "SHOP_BIND"
        {
            assert!(services.contains_key(host), "{name}: {host}");
            let bind = node["environment"]["BODEGA__SERVER__BIND"]
                .as_str()
                .unwrap();
            assert!(bind.ends_with(&format!(":{port}")), "{name}: {port}");
        }
    }
    assert_eq!(
        proxy["networks"]["shop"]["ipv4_address"],
        node["environment"]["BODEGA__SERVER__TRUSTED_PROXIES"]
    );
}

/// No engine checks this: the server itself would refuse to start.
#[test]
fn every_setting_of_the_server_exists() {
    let compose = compose();
    let settings = section(&compose["services"]["bodega1"], "environment");
    for name in settings.keys() {
        assert!(is_setting(name), "{name}");
    }
    // Without these the server does not start.
    for needed in [
        "BODEGA__AUTH__JWT_SECRET_FILE",
        "BODEGA__PAYPAL__CLIENT_ID",
        "BODEGA__PAYPAL__CLIENT_SECRET_FILE",
        "BODEGA__PAYPAL__WEBHOOK_ID",
    ] {
        assert!(settings.contains_key(needed), "{needed}");
    }
}

/// The rules of the configuration hold of these settings too.
#[test]
fn the_server_takes_these_settings() {
    let compose = compose();
    let settings = section(&compose["services"]["bodega1"], "environment");
    let settings = settings.iter().map(|(name, value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        match name.strip_suffix("_FILE") {
            // The files are made before the containers are.
            Some("BODEGA__OUTBOX__AMQP_URL") => (
                "BODEGA__OUTBOX__AMQP_URL".to_owned(),
                "amqp://rabbitmq".to_owned(),
            ),
            Some(secret) => (
                secret.to_owned(),
                "0123456789abcdef0123456789abcdef".to_owned(),
            ),
            None => (name.clone(), text),
        }
    });
    let settings = settings.collect::<std::collections::HashMap<_, _>>();
    let loaded = bodega::config::load_from(Path::new("no-such-folder"), settings);
    assert!(loaded.is_ok(), "{loaded:?}");
}

#[test]
fn secrets_are_files_that_the_script_makes_and_never_text() {
    let compose = compose();
    let script = read("scripts/compose-secrets");
    for (name, secret) in section(&compose, "secrets") {
        let file = secret["file"].as_str().unwrap();
        assert_eq!(file, format!("./data/compose/{name}"));
        assert!(script.contains(name.as_str()), "{name}");
    }
    let environment = section(&compose["services"]["bodega1"], "environment");
    for (name, value) in environment {
        if let Some(file) = name.strip_suffix("_FILE") {
            let secret = value.as_str().unwrap().strip_prefix("/run/secrets/");
            let granted = strings(&compose["services"]["bodega1"]["secrets"]);
            assert!(granted.contains(&secret.unwrap()), "{file}");
        }
        let secret = ["SECRET", "PASSWORD", "TOKEN"];
        assert!(!secret.iter().any(|word| name.ends_with(word)), "{name}");
    }
}

#[test]
fn nothing_has_more_rights_than_it_needs() {
    let compose = compose();
    for (name, service) in section(&compose, "services") {
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(
            strings(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        assert!(service.get("privileged").is_none(), "{name}");
        // Ours are not root by their image.
        let user = service["user"].as_str().unwrap_or("0:0");
        assert!(is_ours(service) || !user.starts_with("0:"), "{name}");
        assert!(!is_ours(service) || service["read_only"] == true, "{name}");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    assert_eq!(compose["networks"]["database"]["internal"], true);
}

#[test]
fn what_serves_is_probed() {
    let compose = compose();
    for name in [
        "mongo1", "mongo2", "mongo3", "bodega1", "bodega2", "rabbitmq",
    ] {
        let probe = &compose["services"][name]["healthcheck"];
        assert_eq!(probe["test"][0], "CMD", "{name}");
        for limit in ["interval", "timeout", "retries", "start_period"] {
            assert!(probe.get(limit).is_some(), "{name}: {limit}");
        }
    }
    let probe = strings(&compose["services"]["bodega1"]["healthcheck"]["test"]);
    assert_eq!(
        probe.get(1..3),
        Some(["/usr/local/bin/bodega", "health"].as_slice())
    );
}
