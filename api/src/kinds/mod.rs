//! The shape of a kind and the look-ups over the table of kinds ([`KINDS`], in `table.rs`).
//!
//! A row is one *stored* resource, or a request kind that is only ever posted. Routes, verbs, discovery, OpenAPI,
//! table printing, command-line names and the exhaustive tests follow from the table; nothing else may list kinds.
//! Group, version, kind, plural and scope come from the constants of k8s-openapi, the row adds the rest. Look-ups are
//! hashed once. Kinds that come at run time (custom resources) are values of the same type, leaked by whoever makes them.

mod subresource;
mod table;

use std::collections::HashMap;
use std::sync::LazyLock;

use k8s_openapi::{ClusterResourceScope, ListableResource, NamespaceResourceScope, Resource, SubResourceScope};

use crate::columns::{self, Column};

pub use subresource::Subresource;
pub use table::{GROUPS, KINDS};

/// A row of the table; rows live as long as the program.
pub type KindRef = &'static Kind;

/// One kind.
#[derive(Debug)]
pub struct Kind {
    /// The API group of the storage version; empty for core.
    pub group: &'static str,
    /// The storage version.
    pub version: &'static str,
    /// E.g. `Pod`.
    pub kind: &'static str,
    /// E.g. `PodList`; empty if there are no lists of it.
    pub list_kind: &'static str,
    /// The resource in paths, e.g. `pods`.
    pub plural: &'static str,
    /// E.g. `pod`.
    pub singular: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Name in the schema table of the storage version, e.g. `io.k8s.api.core.v1.Pod`.
    pub definition: &'static str,
    /// Short names on the command line.
    pub short: &'static [&'static str],
    /// Categories on the command line, e.g. `all`.
    pub categories: &'static [&'static str],
    /// What is below the name in paths.
    pub subresources: &'static [Subresource],
    /// What can be done with it.
    pub verbs: Verbs,
    /// Other served versions that share the storage.
    pub also: &'static [Served],
    /// Printer columns.
    pub columns: &'static [Column],
}

/// One group and version under which a kind is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The group; empty for core.
    pub group: &'static str,
    /// The version.
    pub version: &'static str,
    /// Name in the schema table.
    pub definition: &'static str,
}

impl Served {
    /// `group/version`, or `version` for core.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }
}

/// What can be done with a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbs {
    /// Everything.
    Full,
    /// Everything but deleting a whole collection (namespaces).
    NoDeleteCollection,
    /// Posted, answered and forgotten (reviews, bindings).
    CreateOnly,
    /// No resource of its own: the body of a subresource (TokenRequest, Eviction, Scale).
    BodyOnly,
}

impl Verbs {
    /// The verbs in the order of discovery documents.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Full => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            Self::NoDeleteCollection => &["create", "delete", "get", "list", "patch", "update", "watch"],
            Self::CreateOnly => &["create"],
            Self::BodyOnly => &[],
        }
    }

    /// Whether objects are kept in the store.
    pub fn stored(self) -> bool {
        matches!(self, Self::Full | Self::NoDeleteCollection)
    }
}

/// Scope as a constant, from the marker types of k8s-openapi.
pub trait Scoped {
    /// Whether objects live in namespaces.
    const NAMESPACED: bool;
}
impl Scoped for NamespaceResourceScope {
    const NAMESPACED: bool = true;
}
impl Scoped for ClusterResourceScope {
    const NAMESPACED: bool = false;
}
impl Scoped for SubResourceScope {
    const NAMESPACED: bool = true;
}

impl Kind {
    /// A listable kind with every verb; `singular` and `definition` cannot be had from the type.
    pub const fn of<T>(singular: &'static str, definition: &'static str) -> Self
    where
        T: Resource + ListableResource,
        T::Scope: Scoped,
    {
        Self { list_kind: T::LIST_KIND, verbs: Verbs::Full, ..Self::posted::<T>(singular, definition) }
    }

    /// A kind that is only ever created.
    pub const fn posted<T>(singular: &'static str, definition: &'static str) -> Self
    where
        T: Resource,
        T::Scope: Scoped,
    {
        Self {
            group: T::GROUP,
            version: T::VERSION,
            kind: T::KIND,
            list_kind: "",
            plural: T::URL_PATH_SEGMENT,
            singular,
            namespaced: <T::Scope as Scoped>::NAMESPACED,
            definition,
            short: &[],
            categories: &[],
            subresources: &[],
            verbs: Verbs::CreateOnly,
            also: &[],
            columns: columns::NAME_CREATED_AT,
        }
    }

    /// With short names.
    pub const fn short(mut self, short: &'static [&'static str]) -> Self {
        self.short = short;
        self
    }

    /// In these categories.
    pub const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    /// With these subresources, in alphabetical order.
    pub const fn with(mut self, subresources: &'static [Subresource]) -> Self {
        self.subresources = subresources;
        self
    }

    /// With other verbs.
    pub const fn verbs(mut self, verbs: Verbs) -> Self {
        self.verbs = verbs;
        self
    }

    /// Served under other groups and versions, too.
    pub const fn also(mut self, also: &'static [Served]) -> Self {
        self.also = also;
        self
    }

    /// With printer columns of its own.
    pub const fn columns(mut self, columns: &'static [Column]) -> Self {
        self.columns = columns;
        self
    }

    /// The group and version of the storage.
    pub fn served(&self) -> Served {
        Served { group: self.group, version: self.version, definition: self.definition }
    }

    /// Everything it is served under, the storage version first.
    pub fn all_served(&self) -> impl Iterator<Item = Served> + '_ {
        std::iter::once(self.served()).chain(self.also.iter().copied())
    }

    /// Whether it is served under `group` and `version`, and as what.
    pub fn served_as(&self, group: &str, version: &str) -> Option<Served> {
        self.all_served().find(|served| served.group == group && served.version == version)
    }

    /// `group/version` of the storage version, or `version` for core.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// `plural.group`, or `plural` for core: how messages and command lines name a resource.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.into() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// What the keys of all objects begin with: `/registry/<group>/<plural>/`, without the group for core.
    pub fn storage_prefix(&self) -> String {
        if self.group.is_empty() {
            format!("/registry/{}/", self.plural)
        } else {
            format!("/registry/{}/{}/", self.group, self.plural)
        }
    }

    /// The key of one object; the namespace is ignored for cluster-wide kinds.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        let mut key = self.storage_prefix();
        if self.namespaced {
            key.push_str(namespace);
            key.push('/');
        }
        key.push_str(name);
        key
    }

    /// Whether it has this subresource.
    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }
}

/// `group/version`, or `version` for core.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.into() } else { format!("{group}/{version}") }
}

/// The group and version of an apiVersion; core has the empty group.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

type Triple = (&'static str, &'static str, &'static str);

struct Index {
    by_plural: HashMap<Triple, (KindRef, Served)>,
    by_kind: HashMap<Triple, (KindRef, Served)>,
    by_definition: HashMap<&'static str, (KindRef, Served)>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index { by_plural: HashMap::new(), by_kind: HashMap::new(), by_definition: HashMap::new() };
    for kind in KINDS {
        for served in kind.all_served() {
            if kind.verbs != Verbs::BodyOnly {
                index.by_plural.insert((served.group, served.version, kind.plural), (kind, served));
            }
            index.by_kind.insert((served.group, served.version, kind.kind), (kind, served));
            index.by_definition.insert(served.definition, (kind, served));
        }
    }
    index
});

/// The kind that a path names.
pub fn find(group: &str, version: &str, plural: &str) -> Option<(KindRef, Served)> {
    INDEX.by_plural.get(&(group, version, plural)).copied()
}

/// The kind that an object names.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<(KindRef, Served)> {
    INDEX.by_kind.get(&(group, version, kind)).copied()
}

/// The kind of an object with `apiVersion` and `kind`.
pub fn by_api_version(api_version: &str, kind: &str) -> Option<(KindRef, Served)> {
    let (group, version) = split_api_version(api_version);
    by_kind(group, version, kind)
}

/// The kind of a schema definition.
pub fn by_definition(definition: &str) -> Option<(KindRef, Served)> {
    INDEX.by_definition.get(definition).copied()
}

/// The row of a typed kind, e.g. `kinds::of::<Pod>()`.
pub fn of<T: Resource>() -> Option<KindRef> {
    by_kind(T::GROUP, T::VERSION, T::KIND).map(|(kind, _)| kind)
}

/// The built-in kinds whose objects are stored.
pub fn stored() -> impl Iterator<Item = KindRef> {
    KINDS.iter().filter(|kind| kind.verbs.stored())
}

#[cfg(test)]
mod tests;
