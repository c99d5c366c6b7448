//! Watches: what they say, in which encoding, and that nothing is lost between a list and a watch.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;

use super::*;

/// The frames of a watch, as they come.
struct Watch {
    stream: axum::body::BodyDataStream,
    rest: Vec<u8>,
}

impl Watch {
    async fn open(rig: &Rig, url: &str, accept: &str) -> Self {
        let response = rig.raw("GET", url, &[("accept", accept)], "").await;
        assert_eq!(response.status().as_u16(), 200);
        Self { stream: response.into_body().into_data_stream(), rest: Vec::new() }
    }

    /// More bytes; false at the end.
    async fn more(&mut self) -> bool {
        let next = tokio::time::timeout(Duration::from_secs(20), self.stream.next()).await;
        match next.expect("the watch says nothing") {
            Some(bytes) => {
                self.rest.extend_from_slice(&bytes.unwrap());
                true
            }
            None => false,
        }
    }

    /// The next JSON event; `None` at the end.
    async fn event(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            if !self.more().await {
                assert!(self.rest.is_empty(), "cut off in the middle of an event");
                return None;
            }
        }
    }

    async fn said(&mut self) -> (String, String) {
        let event = self.event().await.expect("the watch ended");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }

    /// The next message of a protobuf stream.
    async fn frame(&mut self) -> Vec<u8> {
        loop {
            if self.rest.len() >= 4 {
                let length = u32::from_be_bytes(self.rest[..4].try_into().unwrap()) as usize;
                if self.rest.len() >= 4 + length {
                    return self.rest.drain(..4 + length).skip(4).collect();
                }
            }
            assert!(self.more().await, "the watch ended");
        }
    }
}

fn event(kind: &str, name: &str) -> (String, String) {
    (kind.into(), name.into())
}

#[tokio::test]
async fn a_watch_without_a_version_begins_with_what_there_is() {
    let rig = Rig::new().await;
    rig.config_map("default", "a", json!({})).await;
    let mut watch = Watch::open(&rig, &format!("{MAPS}?watch=1"), "").await;
    assert_eq!(watch.said().await, event("ADDED", "a"));
    rig.config_map("default", "b", json!({})).await;
    assert_eq!(watch.said().await, event("ADDED", "b"));
    rig.patch(&format!("{MAPS}/a"), "merge", json!({"data": {"k": "w"}})).await;
    assert_eq!(watch.said().await, event("MODIFIED", "a"));
    rig.delete(&format!("{MAPS}/b"), Value::Null).await;
    assert_eq!(watch.said().await, event("DELETED", "b"));
}

#[tokio::test]
async fn a_watch_from_a_version_goes_on_from_there() {
    let rig = Rig::new().await;
    rig.config_map("default", "a", json!({})).await;
    let version = rig.get(MAPS).await.json()["metadata"]["resourceVersion"].as_str().unwrap().to_string();
    rig.config_map("default", "b", json!({})).await;
    rig.namespace("other").await;
    rig.config_map("other", "c", json!({})).await;
    rig.config_map("default", "d", json!({"x": "y"})).await;
    let mut watch = Watch::open(&rig, &format!("{MAPS}?watch=true&resourceVersion={version}"), "").await;
    assert_eq!(watch.said().await, event("ADDED", "b"));
    assert_eq!(watch.said().await, event("ADDED", "d"));
    let mut selected =
        Watch::open(&rig, &format!("/api/v1/configmaps?watch=true&resourceVersion={version}&labelSelector=x%3Dy"), "")
            .await;
    assert_eq!(selected.said().await, event("ADDED", "d"));
    rig.patch(&format!("{MAPS}/d"), "merge", json!({"metadata": {"labels": null}})).await;
    assert_eq!(selected.said().await, event("DELETED", "d"));
    let mut named =
        Watch::open(&rig, &format!("{MAPS}?watch=true&resourceVersion={version}&fieldSelector=metadata.name%3Dd"), "")
            .await;
    assert_eq!(named.said().await, event("ADDED", "d"));
    assert_eq!(named.said().await, event("MODIFIED", "d"));
    let mut old_form =
        Watch::open(&rig, &format!("/api/v1/watch/namespaces/default/configmaps/d?resourceVersion={version}"), "")
            .await;
    assert_eq!(old_form.said().await, event("ADDED", "d"));
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let rig = Rig::new().await;
    rig.config_map("default", "a", json!({})).await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Watch::open(&rig, &format!("{MAPS}?{query}"), "").await;
    assert_eq!(watch.said().await, event("ADDED", "a"));
    let bookmark = watch.event().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(bookmark["object"]["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
}

#[tokio::test]
async fn a_watch_ends_with_its_time() {
    let rig = Rig::new().await;
    let mut watch = Watch::open(&rig, &format!("{MAPS}?watch=1&timeoutSeconds=1"), "").await;
    assert_eq!(watch.event().await, None);
}

#[tokio::test]
async fn a_version_that_is_gone_is_told_in_the_stream() {
    let rig = Rig::new().await;
    for name in ["a", "b", "c"] {
        rig.config_map("default", name, json!({})).await;
    }
    let kv = rig.registry.storage().kv().clone();
    kv.compact(kv.local_revision()).await.unwrap();
    // A second server over the same store has not seen what is compacted.
    let context = Context::new();
    let fresh = Rig { registry: Registry::new(Storage::new(kv, context.clone())), context };
    let mut watch = Watch::open(&fresh, &format!("{MAPS}?watch=1&resourceVersion=2"), "").await;
    let error = watch.event().await.unwrap();
    assert_eq!((error["type"].clone(), error["object"]["code"].clone()), (json!("ERROR"), json!(410)));
    assert_eq!(error["object"]["reason"], "Expired");
    assert_eq!(watch.event().await, None);
}

#[tokio::test]
async fn only_the_first_table_has_columns() {
    let rig = Rig::new().await;
    rig.config_map("default", "a", json!({})).await;
    rig.config_map("default", "b", json!({})).await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let mut watch = Watch::open(&rig, &format!("{MAPS}?watch=1"), accept).await;
    let first = watch.event().await.unwrap();
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    let second = watch.event().await.unwrap();
    assert_eq!(
        (second["object"]["columnDefinitions"].clone(), second["object"]["rows"][0]["cells"][0].clone()),
        (Value::Null, json!("b"))
    );
}

#[tokio::test]
async fn protobuf_frames() {
    let rig = Rig::new().await;
    rig.config_map("default", "a", json!({})).await;
    let accept = "application/vnd.kubernetes.protobuf;stream=watch";
    let mut watch = Watch::open(&rig, &format!("{MAPS}?watch=1"), accept).await;
    let message = watch.frame().await;
    // WatchEvent { 1: type, 2: RawExtension { 1: an enveloped object } }
    assert_eq!(&message[..7], b"\x0a\x05ADDED");
    let start = message.windows(4).position(|window| window == b"k8s\0").unwrap();
    let object = api::protobuf::decode(&message[start..]).unwrap();
    assert_eq!((object["kind"].clone(), object["metadata"]["name"].clone()), (json!("ConfigMap"), json!("a")));
}

#[tokio::test]
async fn partial_objects_and_other_versions_can_be_watched() {
    let rig = Rig::new().await;
    rig.post(
        "/api/v1/namespaces/default/events",
        json!({"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}}),
    )
    .await;
    let partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let mut watch = Watch::open(&rig, "/api/v1/events?watch=1", partial).await;
    assert_eq!(watch.event().await.unwrap()["object"]["kind"], "PartialObjectMetadata");
    let mut watch = Watch::open(&rig, "/apis/events.k8s.io/v1/events?watch=1", "").await;
    let object = watch.event().await.unwrap()["object"].clone();
    assert_eq!(
        (object["apiVersion"].clone(), object["regarding"]["namespace"].clone()),
        (json!("events.k8s.io/v1"), json!("default"))
    );
}

/// A client that lists, then watches from the list's version, ends with what the server has, whatever goes on meanwhile.
#[tokio::test]
async fn list_and_watch_agree() {
    let rig = Arc::new(Rig::new().await);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let rig = rig.clone();
            tokio::spawn(async move {
                for round in 0..30 {
                    let name = format!("w{writer}-{}", round % 5);
                    let url = format!("{MAPS}/{name}");
                    let body = json!({"metadata": {"name": name}, "data": {"round": round.to_string()}});
                    if rig.post(MAPS, body.clone()).await.code == 409 && round % 3 == 0 {
                        rig.delete(&url, Value::Null).await;
                    } else {
                        rig.put(&url, body).await;
                    }
                }
            })
        })
        .collect();
    let list = rig.get(MAPS).await.json();
    let mut state: BTreeMap<String, Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["metadata"]["name"].as_str().unwrap().into(), item.clone()))
        .collect();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = Watch::open(&rig, &format!("{MAPS}?watch=1&resourceVersion={version}"), "").await;
    for writer in writers {
        writer.await.unwrap();
    }
    rig.config_map("default", "last", json!({})).await;
    let mut revision = 0;
    loop {
        let event = watch.event().await.unwrap();
        let object = event["object"].clone();
        let at: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(at > revision, "events in order");
        revision = at;
        let name = object["metadata"]["name"].as_str().unwrap().to_string();
        match event["type"].as_str().unwrap() {
            "ADDED" => assert!(state.insert(name.clone(), object).is_none(), "{name} added twice"),
            "MODIFIED" => assert!(state.insert(name.clone(), object).is_some(), "{name} modified but not there"),
            "DELETED" => assert!(state.remove(&name).is_some(), "{name} deleted but not there"),
            other => panic!("{other}"),
        }
        if name == "last" {
            break;
        }
    }
    let now = rig.get(MAPS).await.json();
    let expected: Vec<Value> = now["items"].as_array().unwrap().clone();
    assert_eq!(state.into_values().collect::<Vec<_>>(), expected);
}
