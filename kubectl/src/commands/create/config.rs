//! `create configmap` and the Secrets: their data from literals, files and files of variables.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{MADE, metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::error::{Result, fail};
use crate::files::why;
use crate::flags::Takes::{Array, Bool, Text};
use crate::flags::{Flag, Flags, flag, refused};

const LITERAL: Flag = flag("from-literal", "", Array, "KEY=VALUE.");
const FILE: Flag = flag("from-file", "", Array, "A file, KEY=FILE, or a directory.");
const VARIABLES: Flag = flag("from-env-file", "", Array, "A file with lines KEY=VALUE.");
const HASH: Flag = refused("append-hash", "", Bool(false), "choose a new name for new content");

/// `create configmap`.
pub const CONFIG_MAP: Command = command(
    "configmap",
    "NAME [--from-file=[key=]source] [--from-literal=key1=value1]",
    "Create a config map from a local file, directory or literal value",
    &[LITERAL, FILE, VARIABLES, HASH],
    MADE,
    run!(config_map),
)
.also(&["cm"]);

/// `create secret`.
pub const SECRETS: &[Command] = &[
    command(
        "docker-registry",
        "NAME --docker-username=user --docker-password=password",
        "Create a secret for use with a Docker registry",
        &[
            HASH,
            FILE,
            flag("docker-username", "", Text(""), "Name of the account."),
            flag("docker-password", "", Text(""), "Its password."),
            flag("docker-server", "", Text("https://index.docker.io/v1/"), "The registry."),
            flag("docker-email", "", Text(""), "Its address."),
        ],
        MADE,
        run!(registry_secret),
    ),
    command(
        "generic",
        "NAME [--type=string] [--from-file=[key=]source] [--from-literal=key1=value1]",
        "Create a secret from a local file, directory, or literal value",
        &[LITERAL, FILE, VARIABLES, HASH, flag("type", "", Text(""), "The Secret's type.")],
        MADE,
        run!(secret),
    ),
    command(
        "tls",
        "NAME --cert=path/to/cert/file --key=path/to/key/file",
        "Create a TLS secret",
        &[
            HASH,
            flag("cert", "", Text(""), "File with the certificate, PEM."),
            flag("key", "", Text(""), "File with its key, PEM."),
        ],
        MADE,
        run!(tls_secret),
    ),
];

async fn config_map(call: Call) -> Result<()> {
    let object = make_config_map(metadata(&call, call.exactly_one_name()?)?, &call.session.flags)?;
    submit(&call, object, "configmap", "created").await
}

async fn secret(call: Call) -> Result<()> {
    let object = make_secret(metadata(&call, call.exactly_one_name()?)?, &call.session.flags)?;
    submit(&call, object, "secret", "created").await
}

async fn tls_secret(call: Call) -> Result<()> {
    let object = make_tls_secret(metadata(&call, call.exactly_one_name()?)?, &call.session.flags)?;
    submit(&call, object, "secret", "created").await
}

async fn registry_secret(call: Call) -> Result<()> {
    let object = make_registry_secret(metadata(&call, call.exactly_one_name()?)?, &call.session.flags)?;
    submit(&call, object, "secret", "created").await
}

/// A ConfigMap; what is no text becomes binary data.
fn make_config_map(metadata: Value, flags: &Flags) -> Result<Value> {
    let data = data(metadata["name"].as_str().unwrap_or_default(), flags, "ConfigMap")?;
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    for (key, bytes) in data {
        match String::from_utf8(bytes) {
            Ok(text) => object["data"][key] = json!(text),
            Err(error) => object["binaryData"][key] = json!(STANDARD.encode(error.as_bytes())),
        }
    }
    Ok(object)
}

/// A Secret of any type.
fn make_secret(metadata: Value, flags: &Flags) -> Result<Value> {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata});
    if let Some(kind) = flags.some("type") {
        object["type"] = json!(kind);
    }
    for (key, bytes) in data("", flags, "Secret")? {
        object["data"][key] = json!(STANDARD.encode(bytes));
    }
    Ok(object)
}

/// A Secret with a certificate and its key.
fn make_tls_secret(metadata: Value, flags: &Flags) -> Result<Value> {
    let (Some(cert), Some(key)) = (flags.some("cert"), flags.some("key")) else {
        return Err(fail!("key and cert must be specified"));
    };
    let read = |path: &str| {
        std::fs::read(path).map_err(|error| fail!("Cannot read file {path}, open {path}: {}", why(&error)))
    };
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls",
        "data": {"tls.crt": STANDARD.encode(read(cert)?), "tls.key": STANDARD.encode(read(key)?)},
    }))
}

/// A Secret with the credentials of an image registry.
fn make_registry_secret(metadata: Value, flags: &Flags) -> Result<Value> {
    let (user, password, server) =
        (flags.text("docker-username"), flags.text("docker-password"), flags.text("docker-server"));
    if user.is_empty() || password.is_empty() {
        return Err(fail!(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required"
        ));
    }
    let mut entry =
        json!({"username": user, "password": password, "auth": STANDARD.encode(format!("{user}:{password}"))});
    if let Some(email) = flags.some("docker-email") {
        entry["email"] = json!(email);
    }
    let config = json!({"auths": {server: entry}}).to_string();
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata,
        "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": STANDARD.encode(config)},
    }))
}

/// The data of a ConfigMap or Secret as bytes, from literals, files and files of variables.
fn data(name: &str, flags: &Flags, what: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |key: String, value: Vec<u8>| {
        if let Err(errors) = valid_key(&key) {
            return Err(fail!("{key:?} is not a valid key name for a {what}: {errors}"));
        }
        if all.iter().any(|(known, _)| *known == key) {
            return Err(match what {
                "ConfigMap" => {
                    fail!("cannot add key {key:?}, another key by that name already exists in Data for {what} {name:?}")
                }
                _ => fail!("cannot add key {key}, another key by that name already exists"),
            });
        }
        all.push((key, value));
        Ok(())
    };
    if !flags.list("from-env-file").is_empty()
        && (!flags.list("from-file").is_empty() || !flags.list("from-literal").is_empty())
    {
        return Err(fail!("from-env-file cannot be combined with from-file or from-literal"));
    }
    let read = |path: &str| std::fs::read(path).map_err(|error| fail!("error reading {path}: {}", why(&error)));
    for source in flags.list("from-file") {
        let (key, path) = match source.split_once('=') {
            Some(("", _)) => return Err(fail!("key name for file path {} missing", source.trim_start_matches('='))),
            Some((_, "")) => return Err(fail!("file path for key name {} missing", source.trim_end_matches('='))),
            Some((key, path)) => (Some(key), path),
            None => (None, source.as_str()),
        };
        let path = std::path::Path::new(path);
        if path.is_dir() {
            if key.is_some() {
                return Err(fail!("cannot give a key name for a directory path"));
            }
            let mut files: Vec<_> = std::fs::read_dir(path)?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_file())
                .collect();
            files.sort();
            for file in files {
                add(file_name(&file), read(&file.display().to_string())?)?;
            }
        } else {
            add(key.map_or_else(|| file_name(path), str::to_string), read(&path.display().to_string())?)?;
        }
    }
    for literal in flags.list("from-literal") {
        let Some((key, value)) = literal.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(fail!("invalid literal source {literal}, expected key=value"));
        };
        let quoted = value.strip_prefix(['\'', '"']).and_then(|value| value.strip_suffix(['\'', '"']));
        add(key.to_string(), quoted.unwrap_or(value).as_bytes().to_vec())?;
    }
    for path in flags.list("from-env-file") {
        let text = String::from_utf8(read(path)?)
            .map_err(|error| fail!("env file {path} contains invalid utf8 bytes: {error}"))?;
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_once('=') {
                Some((key, value)) => add(key.into(), value.as_bytes().to_vec())?,
                None => add(line.into(), std::env::var(line).unwrap_or_default().into_bytes())?,
            }
        }
    }
    Ok(all)
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn valid_key(key: &str) -> Result<(), String> {
    let legal = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if !key.is_empty() && key.len() <= 253 && key.chars().all(legal) && key != "." && !key.starts_with("..") {
        return Ok(());
    }
    Err("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn given(line: &str) -> Flags {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        parse(SECRETS[1].flags, &words).unwrap().flags
    }

    #[test]
    fn data_comes_from_literals() {
        let metadata = || json!({"name": "c"});
        let made = make_config_map(metadata(), &given("--from-literal=a=b=c --from-literal=d='e'")).unwrap();
        assert_eq!(made["data"], json!({"a": "b=c", "d": "e"}));
        assert_eq!(make_secret(metadata(), &given("--from-literal=a=b")).unwrap()["data"]["a"], "Yg==");
        let error = make_config_map(metadata(), &given("--from-literal=a")).unwrap_err().to_string();
        assert!(error.contains("expected key=value"), "{error}");
        assert!(make_config_map(metadata(), &given("--from-literal=a/b=c")).is_err());
    }

    #[test]
    fn data_comes_from_files_and_variables() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("text"), "x").unwrap();
        std::fs::write(dir.path().join("bytes"), [0xff, 0xfe]).unwrap();
        std::fs::write(dir.path().join("env"), "# comment\nA=1\n  B=2=3\n").unwrap();
        let shown = dir.path().display();
        let metadata = || json!({"name": "c"});
        let made =
            make_config_map(metadata(), &given(&format!("--from-file={shown}/text --from-file=k={shown}/bytes")))
                .unwrap();
        assert_eq!((&made["data"], &made["binaryData"]), (&json!({"text": "x"}), &json!({"k": "//4="})));
        let made = make_config_map(metadata(), &given(&format!("--from-env-file={shown}/env"))).unwrap();
        assert_eq!(made["data"], json!({"A": "1", "B": "2=3"}));
        let whole = make_config_map(metadata(), &given(&format!("--from-file={shown}"))).unwrap();
        assert_eq!(whole["data"].as_object().unwrap().len() + whole["binaryData"].as_object().unwrap().len(), 3);
        for (line, error) in [
            ("--from-file=/nowhere", "error reading /nowhere: no such file or directory"),
            ("--from-file==x", "key name for file path x missing"),
            (
                "--from-literal=a=1 --from-literal=a=2",
                "cannot add key \"a\", another key by that name already exists in Data for ConfigMap \"c\"",
            ),
        ] {
            assert_eq!(make_config_map(metadata(), &given(line)).unwrap_err().to_string(), error, "{line}");
        }
    }
}
