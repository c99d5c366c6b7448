//! `-f`: files, directories, URLs and standard input become documents; a List becomes its items (cli-runtime,
//! pkg/resource/visitor.go).

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result, fail};

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

/// Reads everything; `checked` is whether fields are validated, which only words errors.
pub async fn read(names: &[String], recursive: bool, checked: bool) -> Result<Vec<Document>> {
    let mut all = Vec::new();
    for name in names {
        if name == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            parse(&text, "STDIN", checked, &mut all)?;
        } else if name.starts_with("http://") || name.starts_with("https://") {
            parse(&download(name).await?, name, checked, &mut all)?;
        } else {
            for path in expand(Path::new(name), recursive)? {
                let shown = path.display().to_string();
                let bytes = std::fs::read(&path).map_err(|error| fail!("open {shown}: {}", why(&error)))?;
                let text = String::from_utf8_lossy(&bytes);
                parse(&text, &shown, checked, &mut all)?;
            }
        }
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

/// Where systems keep the certificates of public authorities, in the order in which Go looks (crypto/x509, root_linux.go).
const AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// How many redirections are followed (Go, net/http).
const MOST_REDIRECTIONS: usize = 10;

/// Reads a document over HTTP or HTTPS.
async fn download(url: &str) -> Result<String> {
    let mut at = url.to_string();
    for _ in 0..MOST_REDIRECTIONS {
        let answer = ask(&at).await?;
        let location = answer.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
        if let (true, Some(location)) = (answer.status().is_redirection(), location) {
            at = redirected(&at, location);
            continue;
        }
        if !answer.status().is_success() {
            let code = answer.status();
            return Err(fail!("unable to read URL {url:?}, server reported {code}, status code={}", code.as_u16()));
        }
        return String::from_utf8(answer.body().to_vec()).map_err(|error| fail!("reading {url}: {error}"));
    }
    Err(fail!("Get {url:?}: stopped after {MOST_REDIRECTIONS} redirects"))
}

async fn ask(url: &str) -> Result<http::Response<bytes::Bytes>> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let named = std::env::var("SSL_CERT_FILE").ok().filter(|path| !path.is_empty());
    let authorities = named.as_deref().into_iter().chain(AUTHORITIES).find_map(|path| std::fs::read(path).ok());
    let server = format!("{scheme}://{host}");
    let config = client::Config { server, ca: authorities, user_agent: "mkubectl".into(), ..client::Config::default() };
    let request = http::Request::builder().uri(format!("/{path}")).body(bytes::Bytes::new());
    let request = request.map_err(|error| fail!("invalid URL {url:?}: {error}"))?;
    let answer = client::Client::new(&config)?.raw(request).await;
    answer.map_err(|error| match error.chain() {
        text if text.contains("onnection refused") => Error::Refused(host.to_string()),
        text => fail!("Get {url:?}: {text}"),
    })
}

/// Where a `Location` leads from a URL.
fn redirected(from: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_string();
    }
    let root = from.match_indices('/').nth(2).map_or(from, |(end, _)| &from[..end]);
    format!("{root}/{}", location.trim_start_matches('/'))
}

/// The documents of a text.
pub fn parse(text: &str, source: &str, checked: bool, all: &mut Vec<Document>) -> Result<()> {
    // What begins as JSON and breaks off is told as JSON; anything else may still be YAML.
    if text.trim_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_err_and(|error| error.is_eof())
    {
        return Err(fail!("error parsing {source}: unexpected EOF"));
    }
    let documents = api::yaml::read_documents(text).map_err(|error| fail!("error parsing {source}: {error}"))?;
    for object in documents {
        if object.is_null() || object.as_object().is_some_and(serde_json::Map::is_empty) {
            continue;
        }
        validate(&object, source, checked)?;
        let list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        match (list, &object["items"]) {
            (true, Value::Array(items)) => {
                for item in items {
                    validate(item, source, checked)?;
                    all.push(Document { object: item.clone(), source: source.into() });
                }
            }
            _ => all.push(Document { object, source: source.into() }),
        }
    }
    Ok(())
}

/// The two fields without which nothing can be said about an object.
fn validate(object: &Value, source: &str, checked: bool) -> Result<()> {
    let missing = |key: &str| object[key].as_str().unwrap_or_default().is_empty();
    let said = match (object.is_object(), missing("apiVersion"), missing("kind")) {
        (true, false, false) => return Ok(()),
        (false, ..) => "invalid object to validate",
        (true, _, true) if !checked => {
            return Err(fail!("unable to decode {source:?}: Object 'Kind' is missing in '{object}'"));
        }
        (true, ..) if !checked => {
            return Err(fail!("unable to decode {source:?}: Object 'apiVersion' is missing in '{object}'"));
        }
        (true, true, true) => "[apiVersion not set, kind not set]",
        (true, true, false) => "apiVersion not set",
        (true, false, true) => "kind not set",
    };
    Err(fail!(
        "error validating {source:?}: error validating data: {said}; if you choose to ignore these errors, turn validation off with --validate=false"
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
        assert_eq!(names(read(&path, false, true).await.unwrap()), "a1 a2 b");
        assert_eq!(names(read(&path, true, true).await.unwrap()), "a1 a2 b d");
        let missing = read(&["/nowhere".into()], false, true).await.unwrap_err();
        assert_eq!(missing.to_string(), "the path \"/nowhere\" does not exist");
    }

    #[tokio::test]
    async fn urls_are_read_through_redirections() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            for answer in [
                "HTTP/1.1 302 Found\r\nLocation: /b.yaml\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 67\r\nConnection: close\r\n\r\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-the-network}\n\n\n",
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1024];
                assert!(stream.read(&mut asked).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let url = [format!("http://{address}/a.yaml")];
        let read = read(&url, false, true).await.unwrap();
        assert_eq!(api::object::name(&read[0].object), "from-the-network");
        let missing = super::read(&url, false, true).await.unwrap_err().to_string();
        assert_eq!(missing, format!("unable to read URL {:?}, server reported 404 Not Found, status code=404", url[0]));
        server.await.unwrap();
        assert_eq!(redirected("https://h/a/b", "https://x/y"), "https://x/y");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let end = "; if you choose to ignore these errors, turn validation off with --validate=false";
        for (text, checked, error) in [
            (
                "a: b",
                true,
                format!("error validating \"f\": error validating data: [apiVersion not set, kind not set]{end}"),
            ),
            ("kind: b", true, format!("error validating \"f\": error validating data: apiVersion not set{end}")),
            ("text", true, format!("error validating \"f\": error validating data: invalid object to validate{end}")),
            ("a: b", false, "unable to decode \"f\": Object 'Kind' is missing in '{\"a\":\"b\"}'".into()),
            ("kind: b", false, "unable to decode \"f\": Object 'apiVersion' is missing in '{\"kind\":\"b\"}'".into()),
            ("{\"a\": 1", true, "error parsing f: unexpected EOF".into()),
        ] {
            assert_eq!(parse(text, "f", checked, &mut Vec::new()).unwrap_err().to_string(), error, "{text}");
        }
        for nothing in ["", "---\n---\n", "{}", "# only words"] {
            let mut all = Vec::new();
            parse(nothing, "f", true, &mut all).unwrap();
            assert!(all.is_empty(), "{nothing}");
        }
    }
}
