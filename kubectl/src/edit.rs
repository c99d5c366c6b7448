//! Objects in a person's editor (kubectl, pkg/cmd/util/editor): written as YAML into a private file, given to `KUBE_EDITOR`,
//! `EDITOR` or `vi`, read back; asked again with the reason on top while what came back cannot be used.

use std::io::Write;
use std::process::Command;

use serde_json::Value;

use crate::error::{Error, Result, fail};
use crate::locate::Found;
use crate::output;

const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file will abort the edit. If an error occurs while saving this file will be\n# reopened with the relevant failures.\n#\n";

/// How objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// A file that is being edited.
pub struct Editing {
    file: std::path::PathBuf,
    /// What stands in it, without comments.
    before: String,
}

/// What a round of editing led to.
#[derive(Debug, PartialEq)]
pub enum Edited {
    /// The objects as they are now.
    Objects(Vec<Value>),
    /// Nothing was changed.
    Unchanged,
    /// Nothing is left.
    Empty,
}

impl Editing {
    /// Of these objects.
    pub fn of(objects: &[Value], form: Form) -> Result<Self> {
        let before = written(objects, form);
        let ending = if form == Form::Json { "json" } else { "yaml" };
        let name = format!("kubectl-edit-{}-{:08x}.{ending}", std::process::id(), rand::random::<u32>());
        Ok(Self { file: std::env::temp_dir().join(name), before })
    }

    /// Lets the person edit; `why` says what was wrong the last time.
    pub fn round(&self, text: Option<&str>, why: &[String]) -> Result<(Edited, String)> {
        use std::os::unix::fs::OpenOptionsExt;
        let shown = format!("{HEADER}{}{}", comments(why), text.unwrap_or(&self.before));
        let mut out =
            std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&self.file)?;
        out.write_all(shown.as_bytes())?;
        drop(out);
        launch(&self.file)?;
        let text = without_comments(&std::fs::read_to_string(&self.file)?);
        Ok((self.judged(&text)?, text))
    }

    fn judged(&self, text: &str) -> Result<Edited> {
        if text.trim().is_empty() {
            return Ok(Edited::Empty);
        }
        if text == self.before {
            return Ok(Edited::Unchanged);
        }
        let read = api::yaml::read_documents(text).map_err(|error| fail!("{error}"))?;
        let items = read.into_iter().filter(|document| !document.is_null()).flat_map(|document| {
            match (document["kind"] == "List", &document["items"]) {
                (true, Value::Array(items)) => items.clone(),
                _ => vec![document],
            }
        });
        Ok(Edited::Objects(items.collect()))
    }

    /// Where the text is; it is kept when something went wrong.
    pub fn path(&self) -> std::path::Display<'_> {
        self.file.display()
    }

    /// Removes the file.
    pub fn done(self) {
        // A file in the temporary directory that somebody else removed is as good.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// `create --edit`: the documents as the person wants them.
pub fn documents(found: Vec<Found>) -> Result<Vec<Found>> {
    let objects: Vec<Value> = found.iter().map(|found| found.object.clone()).collect();
    let editing = Editing::of(&objects, Form::Yaml)?;
    let (edited, _) = editing.round(None, &[])?;
    editing.done();
    let objects = match edited {
        Edited::Objects(objects) => objects,
        Edited::Unchanged => objects,
        Edited::Empty => return Err(fail!("Edit cancelled, saved file was empty.")),
    };
    let matching = found.into_iter().zip(objects).map(|(found, object)| Found {
        name: api::object::name(&object).to_string(),
        object,
        ..found
    });
    Ok(matching.collect())
}

fn written(objects: &[Value], form: Form) -> String {
    let whole = match objects {
        [one] => one.clone(),
        many => serde_json::json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": many}),
    };
    match form {
        Form::Yaml => api::yaml::write(&whole),
        Form::Json => output::json(&whole) + "\n",
    }
}

fn comments(why: &[String]) -> String {
    let lines = why.iter().flat_map(|reason| reason.lines());
    let text: String = lines.map(|line| format!("# {line}\n")).collect();
    if text.is_empty() { text } else { format!("{text}#\n") }
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// Runs the editor; it may be a command line of its own, so a shell reads it.
fn launch(file: &std::path::Path) -> Result<()> {
    let named =
        ["KUBE_EDITOR", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let editor = named.unwrap_or_else(|| "vi".into());
    let shell = std::env::var("SHELL").ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "/bin/bash".into());
    let line = format!("{editor} \"{}\"", file.display());
    let ended = Command::new(&shell).args(["-c", &line]).status();
    let ended = ended.map_err(|error| fail!("unable to launch the editor {editor:?}: {error}"))?;
    match ended.success() {
        true => Ok(()),
        false => Err(Error::Text(format!("there was a problem with the editor {editor:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_comes_back_is_judged() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
        let editing = Editing::of(std::slice::from_ref(&object), Form::Yaml).unwrap();
        assert_eq!(editing.judged(&editing.before).unwrap(), Edited::Unchanged);
        assert_eq!(editing.judged("\n").unwrap(), Edited::Empty);
        let changed = editing.judged("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n").unwrap();
        assert_eq!(
            changed,
            Edited::Objects(vec![
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}})
            ])
        );
        assert!(editing.judged("a: [").is_err());
        let several = Editing::of(&[object.clone(), object.clone()], Form::Json).unwrap();
        let text = several.before.replace("\"c\"", "\"d\"");
        assert!(matches!(several.judged(&text).unwrap(), Edited::Objects(all) if all.len() == 2));
    }

    #[test]
    fn reasons_are_comments() {
        assert_eq!(comments(&["a\nb".into()]), "# a\n# b\n#\n");
        assert_eq!(comments(&[]), "");
        assert_eq!(without_comments("# x\na: b # c\n"), "a: b # c\n");
    }
}
