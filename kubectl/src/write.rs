//! What all commands that write have in common: dry runs, field validation, field managers, and the sentence at the end.

use http::Method;
use serde_json::Value;

use crate::error::{Result, fail};
use crate::flags::Flags;
use crate::output::{Documents, Format};
use crate::resources::Resource;
use crate::session::{JSON, Session, say, with_query};

/// Whether anything is really done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    /// Yes.
    No,
    /// No, nothing is sent.
    Client,
    /// No, but the server says what it would do.
    Server,
}

impl DryRun {
    /// From `--dry-run`.
    pub fn of(flags: &Flags) -> Result<Self> {
        match flags.text("dry-run") {
            "" | "none" => Ok(Self::No),
            "client" => Ok(Self::Client),
            "server" => Ok(Self::Server),
            "unchanged" => {
                static SAID: std::sync::Once = std::sync::Once::new();
                SAID.call_once(|| eprintln!("--dry-run is deprecated and can be replaced with --dry-run=client."));
                Ok(Self::Client)
            }
            other => Err(fail!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\".")),
        }
    }

    /// The query parameter.
    pub fn query(self) -> &'static str {
        if self == Self::Server { "All" } else { "" }
    }

    /// What follows the sentence.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

/// The `fieldValidation` parameter that `--validate` means.
fn validation(flags: &Flags) -> Result<&'static str> {
    match flags.text("validate") {
        "" | "true" | "strict" => Ok("Strict"),
        "warn" => Ok("Warn"),
        "false" | "ignore" => Ok("Ignore"),
        other => {
            Err(fail!("invalid - validate option {other:?}; must be one of: strict (or true), warn, ignore (or false)"))
        }
    }
}

/// Says what happened to objects: the sentence, or the object in the format asked for.
pub struct Report {
    format: Format,
    documents: Documents,
    dry: DryRun,
}

impl Report {
    /// By the flags.
    pub fn of(flags: &Flags) -> Result<Self> {
        let format = Format::of(flags)?;
        Ok(Self { documents: Documents::new(format.clone(), flags), format, dry: DryRun::of(flags)? })
    }

    /// Of `edit`, whose `-o` yaml and json are the form of the edited file.
    pub fn edited(flags: &Flags) -> Result<Self> {
        let format = match Format::of(flags)? {
            Format::Yaml | Format::Json => Format::Human { wide: false },
            other => other,
        };
        Ok(Self { documents: Documents::new(format.clone(), flags), format, dry: DryRun::No })
    }

    /// For commands whose YAML documents stand without separators between them.
    #[must_use]
    pub fn unseparated(mut self) -> Self {
        self.documents.separated = false;
        self
    }

    /// Whether only the sentence is wanted.
    pub fn sentence(&self) -> bool {
        self.format.human()
    }

    /// Whether whole objects are wanted.
    pub fn whole(&self) -> bool {
        !matches!(self.format, Format::Human { .. } | Format::Name)
    }

    /// About one object.
    pub fn say(&mut self, resource: &Resource, object: &Value, done: &str) -> Result<()> {
        if self.sentence() {
            let name = api::object::name(object);
            say(&format!("{}/{name} {done}{}\n", resource.one(), self.dry.suffix()));
            return Ok(());
        }
        let text = self.documents.next(object)?;
        say(&text);
        Ok(())
    }
}

/// Parameters of a write, as the flags say.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// Who owns the fields.
    pub manager: &'a str,
    /// Whether it is for real.
    pub dry: DryRun,
    /// What happens with unknown fields; empty = the server's choice.
    pub validation: &'a str,
}

impl<'a> Write<'a> {
    /// By the flags; a command without `--validate` leaves unknown fields to the server's choice.
    pub fn of(flags: &'a Flags) -> Result<Self> {
        let validation = if flags.knows("validate") { validation(flags)? } else { "" };
        Ok(Self { manager: flags.text("field-manager"), dry: DryRun::of(flags)?, validation })
    }

    fn path(&self, path: &str) -> String {
        let pairs =
            [("dryRun", self.dry.query()), ("fieldManager", self.manager), ("fieldValidation", self.validation)];
        with_query(path, &pairs)
    }

    /// Creates an object.
    pub async fn create(
        &self,
        session: &Session,
        resource: &Resource,
        namespace: &str,
        object: &Value,
    ) -> Result<Value> {
        let path = self.path(&resource.collection(namespace));
        session.json(Method::POST, &path, JSON, Some((JSON, object))).await
    }

    /// Replaces an object.
    pub async fn replace(&self, session: &Session, path: &str, object: &Value) -> Result<Value> {
        session.json(Method::PUT, &self.path(path), JSON, Some((JSON, object))).await
    }

    /// Patches an object.
    pub async fn patch(&self, session: &Session, path: &str, media_type: &str, patch: &Value) -> Result<Value> {
        session.json(Method::PATCH, &self.path(path), JSON, Some((media_type, patch))).await
    }
}

/// A merge patch (RFC 7386).
pub const MERGE: &str = "application/merge-patch+json";
/// A strategic merge patch.
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// A list of operations (RFC 6902).
pub const OPERATIONS: &str = "application/json-patch+json";

/// The patch from one state of an object to another, in the best form its kind knows.
pub fn difference(resource: &Resource, from: &Value, to: &Value) -> Result<(&'static str, Value)> {
    let definition = resource.definition();
    let patch = api::patch::create_two_way(from, to, definition).map_err(|error| fail!("{error}"))?;
    Ok((if definition.is_some() { STRATEGIC } else { MERGE }, patch))
}
