//! `-o custom-columns=NAME:.metadata.name,…` (kubectl, pkg/cmd/get/customcolumn.go).

use api::jsonpath::JsonPath;
use serde_json::Value;

use super::tab::Tabs;
use super::{go, relaxed_path};
use crate::error::{Result, fail};

/// Columns: header and what stands in them.
#[derive(Debug, Clone)]
pub struct Columns {
    columns: Vec<(String, JsonPath)>,
    no_headers: bool,
}

impl Columns {
    /// From `HEADER:path,HEADER:path`.
    pub fn parse(spec: &str, no_headers: bool) -> Result<Self> {
        let mut columns = Vec::new();
        for part in spec.split(',') {
            let Some((header, path)) = part.split_once(':') else {
                return Err(fail!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"));
            };
            columns.push((header.to_string(), relaxed_path(path)?));
        }
        Ok(Self { columns, no_headers })
    }

    /// From a file of two lines: headers, paths.
    pub fn template(text: &str, no_headers: bool) -> Result<Self> {
        let mut lines = text.lines();
        let headers: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        let paths: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        if headers.len() != paths.len() {
            let (headers, paths) = (headers.len(), paths.len());
            return Err(fail!("number of headers ({headers}) and field specifications ({paths}) don't match"));
        }
        let pairs = headers.iter().zip(paths).map(|(header, path)| Ok(((*header).to_string(), relaxed_path(path)?)));
        Ok(Self { columns: pairs.collect::<Result<_>>()?, no_headers })
    }

    /// The table of an object or a list.
    pub fn print(&self, object: &Value) -> Result<String> {
        let mut text = String::new();
        if !self.no_headers {
            let headers: Vec<&str> = self.columns.iter().map(|(header, _)| header.as_str()).collect();
            text.push_str(&headers.join("\t"));
            text.push('\n');
        }
        match (object["items"].as_array(), api::object::kind(object).ends_with("List")) {
            (Some(items), true) => items.iter().try_for_each(|item| self.row(item, &mut text))?,
            _ => self.row(object, &mut text)?,
        }
        Ok(Tabs::with(10, 3).align(&text))
    }

    fn row(&self, object: &Value, text: &mut String) -> Result<()> {
        let mut cells = Vec::new();
        for (_, path) in &self.columns {
            let found = path.find(object).map_err(|error| fail!("{error}"))?;
            let values: Vec<String> = found.into_iter().flatten().map(|value| go(&value)).collect();
            cells.push(if values.is_empty() { "<none>".into() } else { values.join(",") });
        }
        text.push_str(&cells.join("\t"));
        text.push('\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_tables() {
        let object = |name: &str| json!({"kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"image": "a"}, {"image": "b"}]}});
        let list = json!({"kind": "List", "items": [object("one"), object("a-longer-name")]});
        let columns = Columns::parse("NAME:metadata.name,IMAGES:.spec.containers[*].image", false).unwrap();
        assert_eq!(columns.print(&list).unwrap(), "NAME            IMAGES\none             a,b\na-longer-name   a,b\n");
        let columns = Columns::template("N I\n.metadata.name .x\n", true).unwrap();
        assert_eq!(columns.print(&list).unwrap(), "one             <none>\na-longer-name   <none>\n");
        assert!(Columns::parse("x", false).is_err());
    }
}
