//! Makes `api/src/schema/schema.txt` out of tables of facts about the API:
//!
//! ```text
//! cargo run -p api --example make_schema -- FACTS GO-SOURCES > api/src/schema/schema.txt
//! ```
//!
//! FACTS is a directory with `schema.tsv` (definition, field, type, required, list or map type, list map keys, patch
//! strategy, patch merge key) and `protobuf.tsv` (message, field, number, label, type, note). GO-SOURCES is a directory
//! with checkouts of kubernetes' `api`, `apimachinery`, `apiextensions-apiserver` and `kube-aggregator`, from whose
//! struct declarations only three facts per field are read: pointer or value, `omitempty`, name of a scalar's Go type.
//! The format of the output is described in `api/src/schema/load.rs`. Only what [`api::kinds::KINDS`] and the option
//! types reach is kept.

mod go;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use go::{GoFacts, read_go};

type Error = Box<dyn std::error::Error>;

/// Types that are read and written but that no kind contains.
const ROOTS: &[&str] = &[
    "io.k8s.api.apidiscovery.v2.APIGroupDiscovery",
    "io.k8s.api.apidiscovery.v2.APIGroupDiscoveryList",
    "io.k8s.api.core.v1.List",
    "io.k8s.api.core.v1.NodeProxyOptions",
    "io.k8s.api.core.v1.PodAttachOptions",
    "io.k8s.api.core.v1.PodExecOptions",
    "io.k8s.api.core.v1.PodLogOptions",
    "io.k8s.api.core.v1.PodPortForwardOptions",
    "io.k8s.api.core.v1.PodProxyOptions",
    "io.k8s.api.core.v1.ServiceProxyOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup",
    "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList",
    "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList",
    "io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ApplyOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.CreateOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.GetOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.List",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ListOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata",
    "io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "io.k8s.apimachinery.pkg.apis.meta.v1.PatchOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    "io.k8s.apimachinery.pkg.apis.meta.v1.TableOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.UpdateOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent",
    "io.k8s.apimachinery.pkg.runtime.TypeMeta",
    "io.k8s.apimachinery.pkg.runtime.Unknown",
    "io.k8s.apimachinery.pkg.version.Info",
];

#[derive(Default, Clone)]
struct Field {
    number: u32,
    /// In the output's notation: `s`, `[]s`, `{}s`, or a full definition name after any of the brackets.
    ty: String,
    inline: bool,
    required: bool,
    list: String,
    keys: String,
    patch: String,
    merge_key: String,
    pointer: bool,
    keep: bool,
    omit_zero: bool,
    go: String,
}

#[derive(Default)]
struct Def {
    /// Present in the OpenAPI documents.
    open: bool,
    fields: BTreeMap<String, Field>,
    /// `-` rows: the definition is no object but this; or `atomic` for structs that are owned as a whole.
    form: String,
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [facts, go] = arguments.as_slice() else {
        return Err("usage: make_schema FACTS GO-SOURCES".into());
    };
    let mut defs = read_protobuf(&std::fs::read_to_string(Path::new(facts).join("protobuf.tsv"))?)?;
    let go = read_go(Path::new(go))?;
    merge_go(&mut defs, &go);
    merge_schema(&mut defs, &std::fs::read_to_string(Path::new(facts).join("schema.tsv"))?);
    drop_unknown(&mut defs);
    add_type_meta(&mut defs);
    print(&defs, &reachable(&defs));
    Ok(())
}

/// Names as OpenAPI has them: the protocol descriptions begin with `k8s.io` and have underscores.
fn definition_name(message: &str) -> String {
    message
        .replacen("k8s.io.", "io.k8s.", 1)
        .replace("apiextensions_apiserver", "apiextensions-apiserver")
        .replace("kube_aggregator", "kube-aggregator")
}

fn read_protobuf(text: &str) -> Result<BTreeMap<String, Def>, Error> {
    let mut defs: BTreeMap<String, Def> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let column: Vec<&str> = line.split('\t').collect();
        let [message, name, number, label, ty, ..] = column.as_slice() else {
            return Err(format!("short line: {line}").into());
        };
        let note = column.get(5).copied().unwrap_or("");
        let def = defs.entry(definition_name(message)).or_default();
        if *label == "empty" {
            continue;
        }
        let ty = match *label {
            "repeated" => format!("[]{}", scalar(ty)),
            "map" => format!("{{}}{}", scalar(ty.split_once(',').map_or(*ty, |(_, value)| value))),
            _ => scalar(ty),
        };
        let name = note.strip_prefix("json:").unwrap_or(name);
        let field = Field { number: number.parse()?, ty, inline: note == "inline", ..Field::default() };
        def.fields.insert(name.into(), field);
    }
    Ok(defs)
}

fn scalar(ty: &str) -> String {
    match ty {
        "string" => "s".into(),
        "int32" => "i".into(),
        "int64" => "l".into(),
        "bool" => "b".into(),
        "bytes" => "y".into(),
        "double" => "d".into(),
        message => definition_name(message),
    }
}

/// The same notation from the types of schema.tsv, for what has no protocol description.
fn schema_type(ty: &str) -> String {
    let inner = |prefix: &str| ty.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    if let Some(inner) = inner("array<") {
        return format!("[]{}", schema_type(inner));
    }
    if let Some(inner) = inner("map<") {
        return format!("{{}}{}", schema_type(inner));
    }
    match ty {
        "string" => "s".into(),
        "string:byte" => "y".into(),
        "integer:int32" => "i".into(),
        "integer:int64" => "l".into(),
        "boolean" => "b".into(),
        "number:double" => "d".into(),
        other => other.into(),
    }
}

fn merge_go(defs: &mut BTreeMap<String, Def>, go: &GoFacts) {
    for (message, def) in defs {
        if go.atomic.contains(message) {
            def.form = "atomic".into();
        }
        for (name, field) in &mut def.fields {
            let Some(fact) = go.fields.get(&(message.clone(), field.number)) else {
                if !message.contains("alpha") && !message.contains("beta") {
                    eprintln!("no Go declaration of {message}.{name}");
                }
                continue;
            };
            field.pointer = fact.pointer;
            field.keep = !fact.omit_empty && !fact.omit_zero;
            field.omit_zero = fact.omit_zero;
            let plain = ["string", "int32", "int64", "bool", "[]byte", "float64"].contains(&fact.ty.as_str());
            let scalar = ["s", "i", "l", "b", "y", "d"].contains(&field.ty.as_str());
            if scalar && !plain || fact.ty.ends_with("ResourceList") {
                field.go = go_name(&fact.ty, message);
            }
        }
    }
}

/// `Protocol` in package core/v1 is `v1.Protocol` in messages.
fn go_name(ty: &str, message: &str) -> String {
    if let Some((_, name)) = ty.split_once('.') {
        return if ty.starts_with("types.") { ty.into() } else { format!("v1.{name}") };
    }
    let version = message.rsplit('.').nth(1).unwrap_or("v1");
    format!("{version}.{ty}")
}

fn merge_schema(defs: &mut BTreeMap<String, Def>, text: &str) {
    for line in text.lines().skip(1) {
        let column: Vec<&str> = line.split('\t').collect();
        let at = |i: usize| column.get(i).copied().unwrap_or("");
        let (name, field_name, ty) = (at(0), at(1), at(2));
        let def = defs.entry(name.to_owned()).or_default();
        def.open = true;
        if field_name == "-" || field_name.is_empty() {
            def.form = ty.into();
            continue;
        }
        let owner = owner_of(defs, name, field_name).unwrap_or_else(|| name.to_owned());
        let Some(def) = defs.get_mut(&owner) else { continue };
        let field = def.fields.entry(field_name.into()).or_insert_with(|| {
            if !["apiVersion", "kind"].contains(&field_name) {
                eprintln!("only in the schema: {name}.{field_name}");
            }
            Field { ty: schema_type(ty), ..Field::default() }
        });
        if field.ty != schema_type(ty) {
            eprintln!("{name}.{field_name}: {} on the wire, {ty} in the schema", field.ty);
        }
        field.required = !at(3).is_empty();
        field.list = at(4).into();
        field.keys = at(5).into();
        field.patch = at(6).into();
        field.merge_key = at(7).into();
    }
}

/// The definition that declares a field: `name` itself, or one of those that are inline in it.
fn owner_of(defs: &BTreeMap<String, Def>, name: &str, field: &str) -> Option<String> {
    let def = defs.get(name)?;
    if def.fields.get(field).is_some_and(|f| !f.inline) {
        return Some(name.into());
    }
    def.fields.values().filter(|f| f.inline).find_map(|f| owner_of(defs, &f.ty, field))
}

/// Option types and the like are objects with `apiVersion` and `kind`, too, though only OpenAPI says so of others.
fn add_type_meta(defs: &mut BTreeMap<String, Def>) {
    for name in ROOTS {
        let object = ["Options", "List", "Discovery", "PartialObjectMetadata"].iter().any(|end| name.ends_with(end));
        let Some(def) = defs.get_mut(*name).filter(|_| object) else { continue };
        for field in ["apiVersion", "kind"] {
            def.fields.entry(field.into()).or_insert_with(|| Field { ty: "s".into(), ..Field::default() });
        }
    }
}

/// Fields whose type is not among the facts (alpha types behind a feature gate that is off).
fn drop_unknown(defs: &mut BTreeMap<String, Def>) {
    let known: BTreeSet<String> =
        defs.keys().filter(|name| !name.contains("alpha") && !name.contains("beta")).cloned().collect();
    for (name, def) in defs.iter_mut().filter(|(name, _)| known.contains(*name)) {
        def.fields.retain(|field, facts| {
            let keep = !bare(&facts.ty).contains('.') || known.contains(bare(&facts.ty));
            if !keep {
                eprintln!("left out: {name}.{field} of type {}", facts.ty);
            }
            keep
        });
    }
}

fn bare(ty: &str) -> &str {
    ty.trim_start_matches("[]").trim_start_matches("{}").trim_start_matches("[]")
}

fn reachable(defs: &BTreeMap<String, Def>) -> BTreeSet<String> {
    let mut todo: Vec<String> = ROOTS.iter().map(|root| (*root).to_owned()).collect();
    for kind in api::kinds::KINDS {
        for served in kind.all_served() {
            todo.push(served.definition.into());
            if !kind.list_kind.is_empty() {
                todo.push(format!("{}List", served.definition));
            }
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(name) = todo.pop() {
        let Some(def) = defs.get(&name) else {
            eprintln!("no facts about {name}");
            continue;
        };
        if seen.insert(name) {
            todo.extend(def.fields.values().map(|f| bare(&f.ty).to_owned()).filter(|ty| ty.contains('.')));
        }
    }
    seen
}

fn print(defs: &BTreeMap<String, Def>, keep: &BTreeSet<String>) {
    let packages: BTreeSet<&str> = keep.iter().filter_map(|name| name.rsplit_once('.').map(|(p, _)| p)).collect();
    for (number, package) in packages.iter().enumerate() {
        println!("P{number} {package}");
    }
    let position = |package: &str| packages.iter().position(|p| *p == package).unwrap_or_default();
    for name in keep {
        let (Some(def), Some((package, short))) = (defs.get(name), name.rsplit_once('.')) else { continue };
        let form = if def.form.is_empty() { String::new() } else { format!(" {}", def.form) };
        println!("{} {}{short}{form}", if def.open { "D" } else { "H" }, prefix(position(package)));
        let mut fields: Vec<_> = def.fields.iter().collect();
        fields.sort_by_key(|(name, field)| (field.number, *name));
        for (name, field) in fields {
            let ty = match bare(&field.ty).rsplit_once('.') {
                Some((p, short)) => {
                    let brackets = &field.ty[..field.ty.len() - bare(&field.ty).len()];
                    format!("{brackets}{}{short}", if p == package { String::new() } else { prefix(position(p)) })
                }
                None => field.ty.clone(),
            };
            let line = [
                format!(" {name}"),
                if field.number == 0 { String::new() } else { field.number.to_string() },
                ty,
                flags(field),
                field.keys.clone(),
                field.merge_key.clone(),
                field.go.clone(),
            ];
            println!("{}", line.join("|").trim_end_matches('|'));
        }
    }
}

fn prefix(package: usize) -> String {
    format!("{package}:")
}

fn flags(field: &Field) -> String {
    let patch = |strategy: &str| field.patch.split(',').any(|s| s == strategy);
    let map = field.ty.starts_with("{}") || !field.ty.starts_with("[]");
    [
        (field.required, 'r'),
        (field.pointer, 'p'),
        (field.keep, 'k'),
        (field.omit_zero, 'z'),
        (field.inline, 'I'),
        (field.list == "atomic" && !map, 'a'),
        (field.list == "atomic" && map, 'A'),
        (field.list == "set", 's'),
        (field.list == "map", 'm'),
        (patch("merge"), 'M'),
        (patch("retainKeys"), 'R'),
        (patch("replace"), 'X'),
    ]
    .iter()
    .filter_map(|(on, flag)| on.then_some(*flag))
    .collect()
}
