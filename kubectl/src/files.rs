//! `-f`: files, directories, URLs and standard input become documents; a List becomes its items (cli-runtime,
//! pkg/resource/visitor.go).

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Result, fail};

/// A document and the file it came from.
#[derive(Debug)]
pub struct Document {
    /// Its content.
    pub object: Value,
    /// The file, URL or `STDIN`.
    pub source: String,
}

/// What files a directory counts for.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// Reads everything.
pub async fn read(names: &[String], recursive: bool) -> Result<Vec<Document>> {
    let mut all = Vec::new();
    for name in names {
        if name == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            parse(&text, "STDIN", &mut all)?;
        } else if name.starts_with("http://") || name.starts_with("https://") {
            parse(&download(name).await?, name, &mut all)?;
        } else {
            for path in expand(Path::new(name), recursive)? {
                let shown = path.display().to_string();
                let text = std::fs::read_to_string(&path).map_err(|error| fail!("open {shown}: {}", why(&error)))?;
                parse(&text, &shown, &mut all)?;
            }
        }
    }
    if all.is_empty() && !names.is_empty() {
        return Err(fail!("no objects passed to apply"));
    }
    Ok(all)
}

/// Go's words for the usual reasons.
pub fn why(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// The files that a name means: itself, those of a directory in order, those that match a pattern.
fn expand(path: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    if !path.exists() {
        return Err(fail!("the path {:?} does not exist", path.display().to_string()));
    }
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    let mut pending = vec![path.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?.path();
            if entry.is_dir() {
                if recursive {
                    pending.push(entry);
                }
            } else if entry.extension().is_some_and(|ext| EXTENSIONS.iter().any(|known| ext == *known)) {
                files.push(entry);
            }
        }
    }
    files.sort();
    if files.is_empty() {
        let shown = path.display();
        return Err(fail!("error reading [{shown}]: recognized file extensions are [.json .yaml .yml]"));
    }
    Ok(files)
}

/// Reads a document over HTTP. There are no public certificates to check an `https` server against.
async fn download(url: &str) -> Result<String> {
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(fail!("unable to read URL \"{url}\": only http:// is supported; download it and pass the file"));
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let config = client::Config { server: format!("http://{host}"), ..client::Config::default() };
    let request = http::Request::builder().uri(format!("/{path}")).body(bytes::Bytes::new());
    let request = request.map_err(|error| fail!("invalid URL \"{url}\": {error}"))?;
    let answer = client::Client::new(&config)?.raw(request).await?;
    if !answer.status().is_success() {
        let code = answer.status();
        return Err(fail!("unable to read URL {url:?}, server reported {code}, status code={}", code.as_u16()));
    }
    String::from_utf8(answer.body().to_vec()).map_err(|error| fail!("reading {url}: {error}"))
}

/// The documents of a text.
pub fn parse(text: &str, source: &str, all: &mut Vec<Document>) -> Result<()> {
    let documents = api::yaml::read_documents(text).map_err(|error| fail!("error parsing {source}: {error}"))?;
    for object in documents {
        if object.is_null() || object.as_object().is_some_and(serde_json::Map::is_empty) {
            continue;
        }
        validate(&object).map_err(|error| fail!("error validating {source:?}: {error}"))?;
        let list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        match (list, &object["items"]) {
            (true, Value::Array(items)) => {
                for item in items {
                    validate(item).map_err(|error| fail!("error validating {source:?}: {error}"))?;
                    all.push(Document { object: item.clone(), source: source.into() });
                }
            }
            _ => all.push(Document { object, source: source.into() }),
        }
    }
    Ok(())
}

/// The two fields without which nothing can be said about an object.
fn validate(object: &Value) -> Result<()> {
    let missing = |key: &str| object[key].as_str().unwrap_or_default().is_empty();
    let mut wrong: Vec<&str> = Vec::new();
    if missing("apiVersion") {
        wrong.push("apiVersion not set");
    }
    if missing("kind") {
        wrong.push("kind not set");
    }
    let said = match wrong.as_slice() {
        [] => return Ok(()),
        [one] => (*one).to_string(),
        many => format!("[{}]", many.join(", ")),
    };
    Err(fail!(
        "error validating data: {said}; if you choose to ignore these errors, turn validation off with --validate=false"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn directories_are_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let object = |name: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n");
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for (file, text) in [
            ("b.yaml", object("b")),
            ("a.yml", format!("{}---\n{}---\n", object("a1"), object("a2"))),
            ("c.txt", "nonsense: [".into()),
            ("sub/d.json", "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"d\"}}]}".into()),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let names = |documents: Vec<Document>| {
            let names: Vec<String> = documents.iter().map(|one| api::object::name(&one.object).to_string()).collect();
            names.join(" ")
        };
        let path = [dir.path().display().to_string()];
        assert_eq!(names(read(&path, false).await.unwrap()), "a1 a2 b");
        assert_eq!(names(read(&path, true).await.unwrap()), "a1 a2 b d");
        let missing = read(&["/nowhere".into()], false).await.unwrap_err();
        assert_eq!(missing.to_string(), "the path \"/nowhere\" does not exist");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let error = parse("a: b\n", "f.yaml", &mut Vec::new()).unwrap_err().to_string();
        assert_eq!(
            error,
            "error validating \"f.yaml\": error validating data: [apiVersion not set, kind not set]; if you choose to ignore these errors, turn validation off with --validate=false"
        );
    }
}
