//! Which objects a command line means (cli-runtime, pkg/resource/builder.go): `pods a b`, `pods,svc -l app=x`, `deploy/x`,
//! `-f file`, `--all`. What the words mean is decided without a request; then it is fetched.

use http::Method;
use serde_json::{Value, json};

use crate::error::{Error, Result, all, fail};
use crate::files;
use crate::resources::{ResourceRef, Resources};
use crate::session::{JSON, Session, with_query};

/// Something on the command line: one object or a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// What it is.
    pub resource: ResourceRef,
    /// Where; empty for all namespaces and for what lives in none.
    pub namespace: String,
    /// Its name; `None` for a collection.
    pub name: Option<String>,
}

impl Target {
    /// Its path.
    pub fn path(&self) -> String {
        match &self.name {
            Some(name) => self.resource.path(&self.namespace, name),
            None => self.resource.collection(&self.namespace),
        }
    }

    /// What is said when waiting for it took too long.
    pub fn late(&self) -> Error {
        let name = self.name.as_deref().unwrap_or_default();
        fail!("timed out waiting for the condition on {}/{name}", self.resource.plural)
    }
}

/// An object and where it came from.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is.
    pub resource: ResourceRef,
    /// Where it lives.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its content.
    pub object: Value,
    /// File it was read from, or empty.
    pub source: String,
    /// Whether the object itself says where it lives.
    pub placed: bool,
}

impl Found {
    /// Its path.
    pub fn path(&self) -> String {
        self.resource.path(&self.namespace, &self.name)
    }

    /// The same without its content.
    pub fn target(&self) -> Target {
        Target { resource: self.resource.clone(), namespace: self.namespace.clone(), name: Some(self.name.clone()) }
    }

    /// `deployment.apps/x`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.resource.one(), self.name)
    }

    /// Of a live object.
    pub fn live(resource: &ResourceRef, object: Value) -> Self {
        Self {
            resource: resource.clone(),
            namespace: api::object::namespace(&object).to_string(),
            name: api::object::name(&object).to_string(),
            object,
            source: String::new(),
            placed: true,
        }
    }
}

/// How the words are to be read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `-l`.
    pub labels: String,
    /// `--field-selector`.
    pub fields: String,
    /// Types without names mean everything of them.
    pub everything: bool,
    /// `-A`.
    pub all_namespaces: bool,
}

impl Options {
    /// From the usual flags.
    pub fn of(session: &Session) -> Self {
        Self {
            labels: session.flags.text("selector").into(),
            fields: session.flags.text("field-selector").into(),
            everything: session.flags.is("all"),
            all_namespaces: session.flags.is("all-namespaces"),
        }
    }

    fn selects(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }
}

/// What builders of objects say when nothing is named.
pub const NOTHING_NAMED: &str = "You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'";

/// Does something with each object; goes on after failures.
pub async fn each<T>(items: Vec<T>, mut errors: Vec<Error>, mut one: impl AsyncFnMut(T) -> Result<()>) -> Result<()> {
    for item in items {
        if let Err(error) = one(item).await {
            errors.push(error);
        }
    }
    all(errors)
}

/// What the words mean.
pub fn targets(words: &[String], resources: &Resources, namespace: &str, options: &Options) -> Result<Vec<Target>> {
    if words.iter().any(|word| word.contains('/')) {
        if options.selects() {
            return Err(fail!("name cannot be provided when a selector is specified"));
        }
        return words.iter().map(|word| slashed(word, resources, namespace, options)).collect();
    }
    let Some(types) = words.first() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for word in types.split(',') {
        if word.is_empty() {
            continue;
        }
        match resources.category(word) {
            list if list.is_empty() => found.push(resources.find(word)?),
            list => found.extend(list),
        }
    }
    let space = |resource: &ResourceRef| match resource.namespaced && !options.all_namespaces {
        true => namespace.to_string(),
        false => String::new(),
    };
    if words.len() == 1 {
        if !options.selects() && !options.everything {
            return Err(fail!("resource(s) were provided, but no name was specified"));
        }
        return Ok(found.into_iter().map(|r| Target { namespace: space(&r), name: None, resource: r }).collect());
    }
    if options.selects() {
        return Err(fail!("name cannot be provided when a selector is specified"));
    }
    let mut list = Vec::new();
    for resource in &found {
        if options.all_namespaces && resource.namespaced {
            return Err(fail!("a resource cannot be retrieved by name across all namespaces"));
        }
        let named =
            |name: &String| Target { resource: resource.clone(), namespace: space(resource), name: Some(name.clone()) };
        list.extend(words[1..].iter().map(named));
    }
    Ok(list)
}

fn slashed(word: &str, resources: &Resources, namespace: &str, options: &Options) -> Result<Target> {
    let Some((kind, name)) = word.split_once('/') else {
        return Err(fail!(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'"
        ));
    };
    if name.contains('/') {
        return Err(fail!("arguments in resource/name form may not have more than one slash"));
    }
    if kind.is_empty() || name.is_empty() || kind.contains(',') {
        return Err(fail!("arguments in resource/name form must have a single resource and name"));
    }
    let resource = resources.find(kind)?;
    if options.all_namespaces && resource.namespaced {
        return Err(fail!("a resource cannot be retrieved by name across all namespaces"));
    }
    let namespace = if resource.namespaced { namespace.to_string() } else { String::new() };
    Ok(Target { resource, namespace, name: Some(name.to_string()) })
}

/// Fetches what a target is: one document (object, list or table), several when a collection comes in pages.
pub async fn fetch(
    session: &Session,
    target: &Target,
    options: &Options,
    accept: &str,
    more: &[(&str, &str)],
) -> Result<Vec<Value>> {
    let subresource = session.flags.text("subresource");
    if !subresource.is_empty() && target.name.is_none() {
        return Err(fail!("subresource cannot be used when bulk resources are specified"));
    }
    if target.name.is_some() {
        let mut path = target.path();
        if !subresource.is_empty() {
            path = format!("{path}/{subresource}");
        }
        let path = with_query(&path, more);
        return Ok(vec![session.json(Method::GET, &path, accept, None).await?]);
    }
    let limit = session.flags.text("chunk-size").parse().unwrap_or(session.flags.int("chunk-size"));
    let limit = if limit > 0 { limit.to_string() } else { String::new() };
    let path = with_query(
        &target.resource.collection(&target.namespace),
        &[("labelSelector", &options.labels), ("fieldSelector", &options.fields), ("limit", &limit)],
    );
    let path = with_query(&path, more);
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let page = session.json(Method::GET, &with_query(&path, &[("continue", &token)]), accept, None).await;
        let page = page.map_err(|error| unlisted(error, &target.resource, options))?;
        token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_string();
        pages.push(page);
        if token.is_empty() {
            return Ok(pages);
        }
    }
}

/// Says what could not be listed (cli-runtime, pkg/resource/selector.go).
fn unlisted(error: Error, resource: &ResourceRef, options: &Options) -> Error {
    if !error.is("BadRequest") && !error.is("NotFound") {
        return error;
    }
    let what = format!("{}/{}, Resource={}", resource.group, resource.version, resource.plural);
    if !options.selects() {
        return error.before(&format!("Unable to list {what:?}: "));
    }
    let (labels, fields) = (&options.labels, &options.fields);
    error.before(&format!("Unable to find {what:?} that match label selector {labels:?}, field selector {fields:?}: "))
}

/// The objects to change: read from the server, or with `--local` from the files alone.
pub async fn chosen(session: &Session, words: &[String]) -> Result<(Vec<Found>, Vec<Error>)> {
    if !session.flags.is("local") {
        return live(session, words, &Options::of(session)).await;
    }
    if !words.is_empty() {
        return Err(fail!("cannot specify --local and server resources"));
    }
    let mut all = local(session).await?;
    // Nobody is asked, so nobody fills in a namespace.
    for found in all.iter_mut().filter(|found| !found.placed) {
        api::object::metadata_mut(&mut found.object).remove("namespace");
    }
    Ok((all, Vec::new()))
}

/// The objects that arguments and `-f` mean, read from the server.
pub async fn live(session: &Session, words: &[String], options: &Options) -> Result<(Vec<Found>, Vec<Error>)> {
    let targets = of_both(session, words, options).await?;
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for target in &targets {
        match fetch(session, target, options, JSON, &[]).await {
            Ok(pages) => all.extend(pages.into_iter().flat_map(|page| unlist(&target.resource, page))),
            Err(error) => errors.push(error),
        }
    }
    Ok((all, errors))
}

/// What arguments and `-f` mean together.
pub async fn of_both(session: &Session, words: &[String], options: &Options) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    if !session.flags.list("filename").is_empty() {
        targets.extend(unfiltered(session).await?.iter().map(Found::target));
        if !words.is_empty() {
            return Err(fail!(
                "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well"
            ));
        }
    }
    targets.extend(self::targets(words, session.resources().await?, &session.namespace()?, options)?);
    Ok(targets)
}

/// One object by words that must mean exactly one kind of thing: `pod x`, `deploy/x`, or `x` of a default type.
pub async fn one(session: &Session, words: &[String], default: &str) -> Result<Found> {
    let resources = session.resources().await?;
    let namespace = session.namespace()?;
    let words: Vec<String> = match words {
        [word] if !word.contains('/') && !default.is_empty() => vec![format!("{default}/{word}")],
        other => other.to_vec(),
    };
    let targets = targets(&words, resources, &namespace, &Options::default())?;
    let [target] = targets.as_slice() else { return Err(fail!("expected exactly one object")) };
    let object = fetch(session, target, &Options::default(), JSON, &[]).await?.remove(0);
    Ok(Found::live(&target.resource, object))
}

/// A list's items with their kind written into each.
pub fn unlist(resource: &ResourceRef, mut page: Value) -> Vec<Found> {
    let is_list = page["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) && page["items"].is_array();
    if !is_list {
        return vec![Found::live(resource, page)];
    }
    let items = match page["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let complete = |mut item: Value| {
        item["apiVersion"] = json!(resource.api_version());
        item["kind"] = json!(resource.kind);
        Found::live(resource, item)
    };
    items.into_iter().map(complete).collect()
}

/// What the files of `-f` hold, with namespaces filled in, and of that what `-l` selects.
pub async fn local(session: &Session) -> Result<Vec<Found>> {
    selected(session, unfiltered(session).await?)
}

/// The same document by document: one that is wrong does not keep the others out.
pub async fn local_each(session: &Session) -> Result<(Vec<Found>, Vec<Error>)> {
    let documents = documents(session).await?;
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for document in documents {
        match identify(document, session.resources().await?, &session.namespace()?, session.namespace_given()) {
            Ok(found) => all.push(found),
            Err(error) => errors.push(error),
        }
    }
    Ok((selected(session, all)?, errors))
}

async fn documents(session: &Session) -> Result<Vec<files::Document>> {
    let flags = &session.flags;
    let checked = flags.knows("validate") && !["false", "ignore"].contains(&flags.text("validate"));
    files::read(flags.list("filename"), flags.is("recursive"), checked).await
}

async fn unfiltered(session: &Session) -> Result<Vec<Found>> {
    let documents = documents(session).await?;
    let (resources, namespace) = (session.resources().await?, session.namespace()?);
    let identified = |document| identify(document, resources, &namespace, session.namespace_given());
    documents.into_iter().map(identified).collect()
}

/// Those with the labels that `-l` beside `-f` asks for.
fn selected(session: &Session, mut all: Vec<Found>) -> Result<Vec<Found>> {
    let text = session.flags.text("selector");
    if !text.is_empty() {
        let selector = api::selector::LabelSelector::parse(text).map_err(|error| fail!("{error}"))?;
        all.retain(|found| selector.matches_map(api::object::labels(&found.object)));
    }
    Ok(all)
}

/// Finds the resource of a document and where it belongs.
pub fn identify(document: files::Document, resources: &Resources, namespace: &str, enforced: bool) -> Result<Found> {
    let files::Document { mut object, source } = document;
    let (api_version, kind) = (text(&object, "apiVersion"), text(&object, "kind"));
    let name = api::object::name(&object).to_string();
    let own = api::object::namespace(&object).to_string();
    let Some(resource) = resources.of_kind(&api_version, &kind) else {
        return Err(fail!(
            "resource mapping not found for name: {name:?} namespace: {own:?} from {source:?}: no matches for kind {kind:?} in version {api_version:?}\nensure CRDs are installed first"
        ));
    };
    let mut place = own.clone();
    if resource.namespaced {
        if own.is_empty() {
            place = namespace.to_string();
            api::object::set_namespace(&mut object, namespace);
        } else if enforced && own != namespace {
            return Err(fail!(
                "the namespace from the provided object {own:?} does not match the namespace {namespace:?}. You must pass '--namespace={own}' to perform this operation."
            ));
        }
    }
    Ok(Found { resource, namespace: place, name, object, source, placed: !own.is_empty() })
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::tests::served;

    fn run(line: &str, options: &Options) -> Result<Vec<String>> {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        let show = |target: Target| match target.name {
            Some(name) => target.resource.path(&target.namespace, &name),
            None => target.resource.collection(&target.namespace),
        };
        Ok(targets(&words, &served(), "ns", options)?.into_iter().map(show).collect())
    }

    #[test]
    fn words_become_paths() {
        let all = Options { everything: true, ..Options::default() };
        let none = Options::default();
        assert_eq!(run("po,node", &all).unwrap(), ["/api/v1/namespaces/ns/pods", "/api/v1/nodes"]);
        assert_eq!(run("po a b", &none).unwrap(), ["/api/v1/namespaces/ns/pods/a", "/api/v1/namespaces/ns/pods/b"]);
        assert_eq!(
            run("deploy/a no/b", &none).unwrap(),
            ["/apis/apps/v1/namespaces/ns/deployments/a", "/api/v1/nodes/b"]
        );
        let everywhere = Options { all_namespaces: true, everything: true, ..Options::default() };
        assert_eq!(run("po", &everywhere).unwrap(), ["/api/v1/pods"]);
    }

    #[test]
    fn wrong_words_are_refused_in_kubectl_s_words() {
        let none = Options::default();
        let labels = Options { labels: "a=b".into(), ..Options::default() };
        for (line, options, error) in [
            ("po", &none, "resource(s) were provided, but no name was specified"),
            ("po a", &labels, "name cannot be provided when a selector is specified"),
            ("po/a", &labels, "name cannot be provided when a selector is specified"),
            ("po/a/b", &none, "arguments in resource/name form may not have more than one slash"),
            ("po/", &none, "arguments in resource/name form must have a single resource and name"),
            ("foo a", &none, "the server doesn't have a resource type \"foo\""),
        ] {
            assert_eq!(run(line, options).unwrap_err().to_string(), error, "{line}");
        }
    }

    #[test]
    fn documents_are_placed() {
        let document = |namespace: &str| files::Document {
            object: json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace}}),
            source: "f".into(),
        };
        let found = identify(document(""), &served(), "team", false).unwrap();
        assert_eq!(
            (found.path().as_str(), found.object["metadata"]["namespace"].as_str()),
            ("/api/v1/namespaces/team/pods/p", Some("team"))
        );
        assert_eq!(identify(document("x"), &served(), "team", false).unwrap().namespace, "x");
        assert!(identify(document("x"), &served(), "team", true).unwrap_err().to_string().contains("--namespace=x"));
    }
}
