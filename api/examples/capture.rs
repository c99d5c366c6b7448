//! A plain HTTP server with just enough of the API for kubectl to talk to: discovery, OpenAPI, and creates, which it
//! answers with what it was sent, after taking it through the transcoder. Bodies are kept as files.
//!
//! ```text
//! cargo run -p api --example capture -- 8001 /tmp/bodies &
//! kubectl --server http://127.0.0.1:8001 create configmap a --from-literal=k=v
//! ```

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use api::{discovery, openapi, protobuf};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, directory] = arguments.as_slice() else { return Err("usage: capture PORT DIRECTORY".into()) };
    std::fs::create_dir_all(directory)?;
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?))?;
    for (number, stream) in listener.incoming().enumerate() {
        if let Err(error) = serve(stream?, Path::new(directory), number) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

struct Request {
    method: String,
    path: String,
    content_type: String,
    accept: String,
    body: Vec<u8>,
}

fn read(stream: &TcpStream) -> Result<Request, Error> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    let (mut length, mut content_type, mut accept) = (0, String::new(), String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse()?,
            "content-type" => content_type = value.into(),
            "accept" => accept = value.into(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, content_type, accept, body })
}

fn serve(mut stream: TcpStream, directory: &Path, number: usize) -> Result<(), Error> {
    let request = read(&stream)?;
    eprintln!("{} {} {} accept={}", request.method, request.path, request.content_type, request.accept);
    if !request.body.is_empty() {
        std::fs::write(directory.join(format!("{number}.body")), &request.body)?;
    }
    let (code, media, body) = answer(&request).unwrap_or_else(|error| {
        eprintln!("  {error}");
        let status = api::Status::bad_request(error.to_string());
        (400, "application/json", serde_json::to_vec(&status).unwrap_or_default())
    });
    let head = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: {media}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    Ok(())
}

type Answer = (u16, &'static str, Vec<u8>);

const JSON: &str = "application/json";

fn answer(request: &Request) -> Result<Answer, Error> {
    if request.method != "GET" {
        return echo(request);
    }
    let path = request.path.split('?').next().unwrap_or("");
    let aggregated = request.accept.contains("APIGroupDiscoveryList");
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let document = match parts.as_slice() {
        ["api" | "apis"] if aggregated => {
            let media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
            return Ok((200, media, discovery::aggregated(path == "/api").to_string().into_bytes()));
        }
        ["api"] => Some(discovery::api_versions("127.0.0.1")),
        ["apis"] => Some(discovery::group_list()),
        ["api", version] => discovery::resource_list("", version),
        ["apis", group, version] => discovery::resource_list(group, version),
        ["version"] => Some(json!({"major": "1", "minor": "37", "gitVersion": "v1.37.0"})),
        ["openapi", "v2"] if request.accept.contains("proto-openapi") => {
            return Ok((200, openapi::V2_PROTOBUF, openapi::v2_protobuf()));
        }
        ["openapi", "v2"] => return Ok((200, JSON, openapi::v2())),
        ["openapi", "v3"] => Some(openapi::v3_index()),
        ["openapi", "v3", rest @ ..] => {
            let found = openapi::v3_document(&rest.join("/")).ok_or("no such document")?;
            return Ok((200, JSON, found));
        }
        _ => None,
    };
    match document {
        Some(document) => Ok((200, JSON, document.to_string().into_bytes())),
        None => Ok((404, JSON, serde_json::to_vec(&api::Status::no_such_path())?)),
    }
}

/// Sends back what came, in the form it came in, by way of JSON.
fn echo(request: &Request) -> Result<Answer, Error> {
    if request.content_type != protobuf::MEDIA_TYPE {
        return Ok((201, JSON, request.body.clone()));
    }
    let mut value: Value = protobuf::decode(&request.body)?;
    eprintln!("  {value}");
    let again = protobuf::encode(&value)?;
    eprintln!("  {} bytes, the same again: {}", request.body.len(), again == request.body);
    if value["kind"] == "TokenRequest" {
        value["status"] = json!({"token": "a.b.c", "expirationTimestamp": "2030-01-01T00:00:00Z"});
    }
    if value["kind"] == "SelfSubjectAccessReview" {
        value["status"] = json!({"allowed": true});
    }
    if request.accept.contains(protobuf::MEDIA_TYPE) {
        return Ok((201, protobuf::MEDIA_TYPE, protobuf::encode(&value)?));
    }
    Ok((201, JSON, value.to_string().into_bytes()))
}
