//! What is known about the fields of every built-in type: JSON name and type, whether required, how lists are keyed and
//! patched, protobuf number, and whether Go writes the field when it is empty.
//!
//! One table for everything that needs to know a type's shape: field validation, strategic merge, the protobuf
//! transcoder, OpenAPI. It is parsed once, on first use, from `schema.txt` (made by `examples/make_schema`), and
//! lives as long as the program; lookups are hashed.
//!
//! ```
//! let pod = api::schema::def("io.k8s.api.core.v1.PodSpec").unwrap();
//! let containers = pod.field("containers").unwrap();
//! assert_eq!((containers.number, containers.merge_key(), containers.required), (2, "name", true));
//! assert_eq!(containers.ty.def().unwrap().short, "Container");
//! ```

mod load;

use std::collections::HashMap;
use std::sync::LazyLock;

/// One type.
#[derive(Debug)]
pub struct Def {
    /// E.g. `io.k8s.api.core.v1`.
    pub package: &'static str,
    /// The name without the package, e.g. `Pod`.
    pub short: &'static str,
    /// Whether OpenAPI documents contain it.
    pub open: bool,
    /// How it looks in JSON.
    pub form: Form,
    /// Whether it is owned and merged as a whole (`x-kubernetes-map-type: atomic` on the definition).
    pub atomic: bool,
    /// Its own fields, sorted by JSON name.
    pub fields: Vec<Field>,
    /// Messages whose fields stand directly in this object's JSON.
    pub inline: Vec<Field>,
    /// Where `fields` are by their names.
    names: Names,
    /// Positions in `fields`, or behind them in `inline`, by protobuf number; without those that have none.
    order: Vec<u16>,
    /// Positions in `fields`, as bits, of what is on the wire even when it is absent.
    plain: u64,
    /// Positions in `fields` of what Go writes even when it is empty.
    always: Vec<u16>,
}

/// How a type looks in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An object with the fields of the definition.
    Object,
    /// RFC 3339, seconds.
    Time,
    /// RFC 3339, microseconds.
    MicroTime,
    /// A string or a number, e.g. `100m`.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// Any object; on the wire its JSON text, or an enveloped message (runtime.RawExtension).
    Raw,
    /// Any object; on the wire its JSON text (meta/v1 FieldsV1).
    Fields,
    /// Any value; on the wire its JSON text (apiextensions JSON).
    Json,
    /// A JSONSchemaProps or a boolean.
    SchemaOrBool,
    /// A JSONSchemaProps or a list of them.
    SchemaOrArray,
    /// A JSONSchemaProps or a list of strings.
    SchemaOrStrings,
    /// A list that has a message of its own on the wire (e.g. ExtraValue).
    Items,
}

/// Identity of a definition.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DefId(u16);

impl DefId {
    /// The definition.
    pub fn get(self) -> &'static Def {
        &TABLE.defs[usize::from(self.0)]
    }
}

impl std::fmt::Debug for DefId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DefId({})", self.0)
    }
}

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A string.
    String,
    /// 32 bits.
    Int32,
    /// 64 bits.
    Int64,
    /// A boolean.
    Bool,
    /// A floating point number.
    Double,
    /// Bytes, base64 in JSON.
    Bytes,
    /// Another definition.
    Def(DefId),
    /// A list.
    List(&'static Type),
    /// A map with string keys.
    Map(&'static Type),
}

impl Type {
    /// The definition it is, or its elements are.
    pub fn def(self) -> Option<&'static Def> {
        match self {
            Self::Def(id) => Some(id.get()),
            Self::List(element) | Self::Map(element) => element.def(),
            _ => None,
        }
    }

    /// What lists and maps contain.
    pub fn element(self) -> Option<Type> {
        match self {
            Self::List(element) | Self::Map(element) => Some(*element),
            _ => None,
        }
    }
}

/// What a list means to merges (`x-kubernetes-list-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListType {
    /// Not said: atomic in effect.
    #[default]
    None,
    /// Replaced as a whole.
    Atomic,
    /// Each value once.
    Set,
    /// Objects with keys, see [`Field::keys`].
    Map,
}

/// What strategic merge does with a field (`x-kubernetes-patch-strategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PatchStrategy {
    /// Lists are merged: objects by [`Field::merge_key`], scalars as sets.
    pub merge: bool,
    /// Keys that the patch does not name are dropped.
    pub retain_keys: bool,
    /// Replaced as a whole.
    pub replace: bool,
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// JSON name.
    pub name: &'static str,
    /// Type.
    pub ty: Type,
    /// Number in protobuf; 0 if it has none (`apiVersion`, `kind`).
    pub number: u32,
    /// Whether it must be present.
    pub required: bool,
    /// How lists are keyed.
    pub list: ListType,
    /// Whether a map or object is owned as a whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// How strategic merge treats it.
    pub patch: PatchStrategy,
    /// A pointer in Go: absent and empty are different things.
    pub pointer: bool,
    /// Go writes it into JSON even when it is empty (no `omitempty`).
    pub keep: bool,
    /// Go leaves it out when it is the zero struct (`omitzero`).
    pub omit_zero: bool,
    extra: Option<Box<Extra>>,
}

#[derive(Debug, Default)]
struct Extra {
    keys: Vec<&'static str>,
    merge_key: &'static str,
    go: &'static str,
}

impl Field {
    /// The keys of a list of type map.
    pub fn keys(&self) -> &[&'static str] {
        self.extra.as_deref().map_or(&[], |extra| &extra.keys)
    }

    /// The key by which strategic merge finds an element; empty if there is none.
    pub fn merge_key(&self) -> &'static str {
        self.extra.as_deref().map_or("", |extra| extra.merge_key)
    }

    /// The type in the words of Go's JSON decoder, e.g. `map[string]string`, `v1.Protocol`.
    pub fn go_type(&self) -> String {
        match self.extra.as_deref() {
            Some(Extra { go, .. }) if !go.is_empty() => (*go).into(),
            _ => go_type(self.ty),
        }
    }
}

/// A type in the words of Go's JSON decoder.
pub fn go_type(ty: Type) -> String {
    match ty {
        Type::String => "string".into(),
        Type::Int32 => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Bool => "bool".into(),
        Type::Double => "float64".into(),
        Type::Bytes => "[]uint8".into(),
        Type::List(element) => format!("[]{}", go_type(*element)),
        Type::Map(element) => format!("map[string]{}", go_type(*element)),
        Type::Def(id) => id.get().go_name(),
    }
}

impl Def {
    /// The full name, e.g. `io.k8s.api.core.v1.Pod`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.package, self.short)
    }

    /// The name in Go's messages, e.g. `v1.Pod`.
    pub fn go_name(&self) -> String {
        format!("{}.{}", self.package.rsplit('.').next().unwrap_or(""), self.short)
    }

    /// The field of that JSON name, also if an inline message declares it.
    pub fn field(&self, name: &str) -> Option<&Field> {
        match self.position(name) {
            Some(at) => Some(&self.fields[at]),
            None => self.inline.iter().find_map(|inline| inline.ty.def()?.field(name)),
        }
    }

    /// The place of one of its own fields among them: below [`MOST_FIELDS`].
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.find(name, &self.fields)
    }

    /// [`Def::position`]s, as bits, of what is on the wire even when it is absent: plain scalars and structs.
    pub fn plain(&self) -> u64 {
        self.plain
    }

    /// What is on the wire, in the order of the numbers, and its [`Def::position`]; inline messages have none.
    pub fn by_number(&self) -> impl Iterator<Item = (&Field, Option<usize>)> {
        self.order.iter().map(|at| match usize::from(*at).checked_sub(self.fields.len()) {
            None => (&self.fields[usize::from(*at)], Some(usize::from(*at))),
            Some(inline) => (&self.inline[inline], None),
        })
    }

    /// Its own fields that Go writes even when they are empty: scalars without `omitempty`, structs that are no pointers.
    /// Lists and maps without `omitempty` would be null; they are left out.
    pub fn always_written(&self) -> impl Iterator<Item = &Field> {
        self.always.iter().map(|at| &self.fields[usize::from(*at)])
    }

    /// Every field of the JSON object, those of inline messages included.
    pub fn all_fields(&'static self) -> Box<dyn Iterator<Item = &'static Field>> {
        let inline = self.inline.iter().filter_map(|field| field.ty.def()).flat_map(Def::all_fields);
        Box::new(self.fields.iter().chain(inline))
    }
}

/// No type has more fields of its own (a test of the table), so that sets of them fit into a word.
pub const MOST_FIELDS: usize = u64::BITS as usize;

/// Finds the fields of one type by name: a hash table without chains. Half of its places are free, and what is looked for is
/// almost always there, so one comparison of texts is the rule.
#[derive(Debug, Default)]
struct Names {
    /// Position + 1 in `fields`, at the name's hash or the next free place behind it; 0 is free. A power of two.
    places: Box<[u8]>,
}

impl Names {
    fn of(fields: &[Field]) -> Self {
        let mut places = vec![0; (fields.len() * 2).next_power_of_two()].into_boxed_slice();
        for (at, field) in fields.iter().enumerate().take(MOST_FIELDS) {
            let mut place = hash(field.name);
            while places[place & (places.len() - 1)] != 0 {
                place += 1;
            }
            places[place & (places.len() - 1)] = at as u8 + 1;
        }
        Self { places }
    }

    fn find(&self, name: &str, fields: &[Field]) -> Option<usize> {
        let mut place = hash(name);
        loop {
            let at = usize::from(*self.places.get(place & (self.places.len().wrapping_sub(1)))?).checked_sub(1)?;
            if fields.get(at)?.name == name {
                return Some(at);
            }
            place += 1;
        }
    }
}

/// Of names in camel case: their length, ends and middle tell most of a type's fields apart.
fn hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let byte = |at: usize| bytes.get(at).map_or(0, |byte| usize::from(*byte));
    let mixed = byte(0) + byte(bytes.len() / 2) * 11 + byte(bytes.len().wrapping_sub(1)) * 5;
    mixed + bytes.len() * 3
}

struct Table {
    defs: Vec<Def>,
    by_name: HashMap<(&'static str, &'static str), u16>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| load::parse(include_str!("schema.txt")));

/// The definition of that full name.
pub fn def(name: &str) -> Option<&'static Def> {
    let key = name.rsplit_once('.')?;
    TABLE.by_name.get(&key).map(|at| &TABLE.defs[usize::from(*at)])
}

/// Every definition, sorted by name.
pub fn all() -> impl Iterator<Item = &'static Def> {
    TABLE.defs.iter()
}

/// The definition of an object, by its apiVersion and kind: a kind, its list, or one of the types that belong to every
/// group (`DeleteOptions`, `Status`, ...).
pub fn of_object(api_version: &str, kind: &str) -> Option<&'static Def> {
    if let Some((_, served)) = crate::kinds::by_api_version(api_version, kind) {
        return def(served.definition);
    }
    if let Some(element) = kind.strip_suffix("List")
        && let Some((_, served)) = crate::kinds::by_api_version(api_version, element)
    {
        return def(&format!("{}List", served.definition));
    }
    let package = match api_version {
        "apidiscovery.k8s.io/v2" => "io.k8s.api.apidiscovery.v2",
        "v1" if kind.starts_with("Pod") || kind == "List" || kind.ends_with("ProxyOptions") => "io.k8s.api.core.v1",
        _ => "io.k8s.apimachinery.pkg.apis.meta.v1",
    };
    def(&format!("{package}.{kind}"))
}

#[cfg(test)]
mod tests;
