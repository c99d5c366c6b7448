//! Which kubeconfig files count and what they say together (client-go, tools/clientcmd/loader.go): `--kubeconfig`, or all of
//! `KUBECONFIG`, or `~/.kube/config`; of two entries with one name the first wins, the first current context too. Command-line
//! overrides come on top.

use std::path::PathBuf;

use client::config::Identity;
use client::kubeconfig::{Kubeconfig, Named};

use crate::error::{Error, Result, fail};
use crate::flags::Flags;

/// The files in question, existing or not.
pub fn paths(flags: &Flags) -> Vec<PathBuf> {
    if let Some(path) = flags.some("kubeconfig") {
        return vec![path.into()];
    }
    let variable = std::env::var("KUBECONFIG").unwrap_or_default();
    let named: Vec<PathBuf> = variable.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    if !named.is_empty() {
        return named;
    }
    let home = std::env::var("HOME").unwrap_or_default();
    vec![PathBuf::from(home).join(".kube/config")]
}

/// All files as one.
pub fn load(flags: &Flags) -> Result<Kubeconfig> {
    let mut files = Vec::new();
    for path in paths(flags) {
        if path.exists() {
            files.push(Kubeconfig::read(&path)?);
        } else if flags.given("kubeconfig") {
            return Err(fail!("stat {}: no such file or directory", path.display()));
        }
    }
    Ok(merge(files))
}

/// The first of each name wins; file names become absolute.
fn merge(files: Vec<Kubeconfig>) -> Kubeconfig {
    let mut whole = Kubeconfig { api_version: "v1".into(), kind: "Config".into(), ..Kubeconfig::default() };
    for mut file in files {
        let dir = file.dir.clone();
        let join = |path: &mut Option<PathBuf>| {
            if let Some(path) = path {
                *path = dir.join(&path);
            }
        };
        file.clusters.iter_mut().for_each(|cluster| join(&mut cluster.content.certificate_authority));
        for user in &mut file.users {
            join(&mut user.content.client_certificate);
            join(&mut user.content.client_key);
            join(&mut user.content.token_file);
        }
        if whole.current_context.is_empty() {
            whole.current_context = file.current_context;
        }
        add(&mut whole.clusters, file.clusters);
        add(&mut whole.contexts, file.contexts);
        add(&mut whole.users, file.users);
        for (key, value) in file.other {
            whole.other.entry(key).or_insert(value);
        }
    }
    whole
}

fn add<T>(into: &mut Vec<Named<T>>, from: Vec<Named<T>>) {
    for entry in from {
        if !into.iter().any(|known| known.name == entry.name) {
            into.push(entry);
        }
    }
}

/// What to talk to: the files with the command line's overrides.
pub fn config(flags: &Flags) -> Result<client::Config> {
    let mut file = load(flags)?;
    let chosen = flags.some("context").map(str::to_string);
    let name = chosen.clone().unwrap_or_else(|| file.current_context.clone());
    let mut config = if name.is_empty() {
        client::Config {
            server: "http://localhost:8080".into(),
            namespace: "default".into(),
            ..client::Config::default()
        }
    } else {
        let context = file.contexts.iter_mut().find(|context| context.name == name);
        let Some(context) = context else { return Err(missing("context", &name)) };
        if let Some(cluster) = flags.global("cluster") {
            context.content.cluster = cluster.into();
        }
        if let Some(user) = flags.global("user") {
            context.content.user = user.into();
        }
        let context = context.content.clone();
        if !file.clusters.iter().any(|cluster| cluster.name == context.cluster) && flags.global("cluster").is_some() {
            return Err(fail!("no server found for cluster {:?}", context.cluster));
        }
        if !file.clusters.iter().any(|cluster| cluster.name == context.cluster) {
            return Err(missing("cluster", &context.cluster));
        }
        if !context.user.is_empty() && !file.users.iter().any(|user| user.name == context.user) {
            return Err(missing("auth info", &context.user));
        }
        file.config(Some(&name))?
    };
    if let Some((scheme, _)) = flags.global("server").and_then(|server| server.split_once("://"))
        && !["http", "https"].contains(&scheme)
    {
        return Err(Error::Unreachable(format!("unsupported protocol scheme {scheme:?}")));
    }
    if let Some(server) = flags.global("server") {
        config.server = server.into();
        config.alternatives.clear();
    }
    if flags.is("insecure-skip-tls-verify") {
        config.insecure = true;
        config.ca = None;
    }
    if let Some(path) = flags.global("certificate-authority") {
        let cluster = file.contexts.iter().find(|context| context.name == name);
        let cluster = cluster.map(|context| context.content.cluster.clone()).unwrap_or_default();
        let failed = |error: &std::io::Error| {
            let why = crate::files::why(error);
            fail!("unable to read certificate-authority {path} for {cluster} due to open {path}: {why}")
        };
        config.ca = Some(std::fs::read(path).map_err(|error| failed(&error))?);
    }
    let read = |flag: &str| {
        let path = flags.text(flag);
        std::fs::read(path).map_err(|error| fail!("unable to read {flag} {path}: {}", crate::files::why(&error)))
    };
    if flags.global("client-certificate").is_some() && flags.global("client-key").is_some() {
        config.identity = Identity::Certificate { cert: read("client-certificate")?, key: read("client-key")? };
    } else if flags.global("client-certificate").is_some() || flags.global("client-key").is_some() {
        return Err(fail!("client-certificate and client-key must be given together"));
    }
    if let Some(name) = flags.global("tls-server-name") {
        config.server_name = Some(name.into());
    }
    if let Some(token) = flags.global("token") {
        config.identity = Identity::Token(token.into());
    }
    config.impersonate = flags.some("as").map(str::to_string);
    config.impersonate_groups = flags.list("as-group").to_vec();
    config.user_agent = concat!("mkubectl/", env!("CARGO_PKG_VERSION")).into();
    if config.namespace.is_empty() {
        config.namespace = "default".into();
    }
    Ok(config)
}

/// clientcmd's words for a name that stands for nothing.
fn missing(what: &str, name: &str) -> Error {
    Error::Said(match what {
        "context" => format!("Error in configuration: context was not found for specified context: {name}"),
        what => format!("error: {what} {name:?} does not exist"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_wins() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, server: &str, ca: &str| {
            let path = dir.path().join(name);
            let text = format!(
                "current-context: {name}\nclusters:\n- name: c\n  cluster: {{server: \"{server}\", certificate-authority: {ca}}}\n\
                 contexts:\n- name: {name}\n  context: {{cluster: c, user: u}}\n"
            );
            std::fs::write(&path, text).unwrap();
            Kubeconfig::read(&path).unwrap()
        };
        let merged = merge(vec![write("a", "https://a", "ca.crt"), write("b", "https://b", "/x/ca")]);
        assert_eq!(merged.current_context, "a");
        assert_eq!(merged.clusters.len(), 1);
        assert_eq!(merged.clusters[0].content.server, "https://a");
        assert_eq!(merged.clusters[0].content.certificate_authority, Some(dir.path().join("ca.crt")));
        assert_eq!(merged.contexts.iter().map(|context| context.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
