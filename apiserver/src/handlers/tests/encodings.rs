//! Shapes and encodings of requests and responses.

use super::*;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

async fn accepting(rig: &Rig, url: &str, accept: &str) -> Answer {
    rig.send("GET", url, &[("accept", accept)], "").await
}

#[tokio::test]
async fn tables() {
    let rig = Rig::new().await;
    rig.config_map("default", "a", json!({})).await;
    let list = accepting(&rig, MAPS, TABLE).await;
    assert_eq!(list.code, 200, "{}", list.message());
    let table = list.json();
    assert_eq!((table["kind"].clone(), table["apiVersion"].clone()), (json!("Table"), json!("meta.k8s.io/v1")));
    let columns: Vec<_> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].clone()).collect();
    assert_eq!(columns, ["Name", "Data", "Age"]);
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert!(table["metadata"]["resourceVersion"].is_string());
    let one = accepting(&rig, &format!("{MAPS}/a?includeObject=Object"), TABLE).await.json();
    assert_eq!(one["rows"][0]["object"]["kind"], "ConfigMap");
    let none = accepting(&rig, &format!("{MAPS}?includeObject=None"), TABLE).await.json();
    assert_eq!(none["rows"][0]["object"], Value::Null);
    let status = accepting(&rig, &format!("{MAPS}/b"), TABLE).await;
    assert_eq!((status.code, status.json()["kind"].clone()), (404, json!("Status")));
}

#[tokio::test]
async fn partial_objects() {
    let rig = Rig::new().await;
    let created = rig.config_map("default", "a", json!({})).await;
    let partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let list = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let one = accepting(&rig, &format!("{MAPS}/a"), partial).await.json();
    assert_eq!(one["kind"], "PartialObjectMetadata");
    assert_eq!((one["metadata"].clone(), one.get("data")), (created["metadata"].clone(), None));
    let all = accepting(&rig, MAPS, list).await.json();
    assert_eq!((all["kind"].clone(), all["items"][0].clone()), (json!("PartialObjectMetadataList"), one));
    assert_eq!(accepting(&rig, MAPS, partial).await.code, 406);
    assert_eq!(accepting(&rig, &format!("{MAPS}/a"), list).await.code, 406);
    let protobuf =
        accepting(&rig, MAPS, "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
            .await;
    assert_eq!(protobuf.header("content-type"), PROTOBUF);
    assert_eq!(names(&api::protobuf::decode(&protobuf.bytes).unwrap()), ["a"]);
}

#[tokio::test]
async fn protobuf_both_ways() {
    let rig = Rig::new().await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {"k": "v"}});
    let body = api::protobuf::encode(&map).unwrap();
    let created = rig.send("POST", MAPS, &[("content-type", PROTOBUF), ("accept", PROTOBUF)], body).await;
    assert_eq!((created.code, created.header("content-type")), (201, PROTOBUF));
    let object = api::protobuf::decode(&created.bytes).unwrap();
    assert_eq!((object["data"].clone(), object["kind"].clone()), (json!({"k": "v"}), json!("ConfigMap")));
    let json = rig.get(&format!("{MAPS}/p")).await.json();
    assert_eq!(json["data"], object["data"]);
    assert_eq!(json["metadata"]["uid"], object["metadata"]["uid"]);
    let list = accepting(&rig, MAPS, &format!("{PROTOBUF},application/json")).await;
    assert_eq!(names(&api::protobuf::decode(&list.bytes).unwrap()), ["p"]);
    let missing = accepting(&rig, &format!("{MAPS}/q"), PROTOBUF).await;
    assert_eq!((missing.code, missing.header("content-type")), (404, PROTOBUF));
    assert_eq!(api::protobuf::decode(&missing.bytes).unwrap()["reason"], "NotFound");
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
    let body = api::protobuf::encode(&options).unwrap();
    let deleted = rig.send("DELETE", &format!("{MAPS}/p"), &[("content-type", PROTOBUF)], body).await;
    assert_eq!(deleted.code, 200, "{}", deleted.message());
}

#[tokio::test]
async fn yaml_both_ways() {
    let rig = Rig::new().await;
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yam\ndata:\n  k: v\n";
    let created =
        rig.send("POST", MAPS, &[("content-type", "application/yaml"), ("accept", "application/yaml")], body).await;
    let text = String::from_utf8(created.bytes.to_vec()).unwrap();
    assert_eq!((created.code, created.header("content-type")), (201, "application/yaml"), "{text}");
    assert!(text.contains("kind: ConfigMap") && text.contains("  k: v"), "{text}");
    assert!(
        String::from_utf8(accepting(&rig, MAPS, "application/yaml").await.bytes.to_vec())
            .unwrap()
            .contains("kind: ConfigMapList")
    );
}

#[tokio::test]
async fn what_nobody_speaks_is_refused() {
    let rig = Rig::new().await;
    let answer = accepting(&rig, MAPS, "text/html").await;
    assert_eq!((answer.code, answer.json()["reason"].clone()), (406, json!("NotAcceptable")));
    let watch = accepting(&rig, &format!("{MAPS}?watch=1"), "application/yaml").await;
    assert_eq!(watch.code, 406);
}

#[tokio::test]
async fn people_get_indented_answers() {
    let rig = Rig::new().await;
    rig.config_map("default", "a", json!({})).await;
    let pretty = rig.get(&format!("{MAPS}/a?pretty=true")).await;
    assert!(pretty.bytes.starts_with(b"{\n  \""), "{:?}", pretty.bytes);
    let curl = rig.send("GET", MAPS, &[("user-agent", "curl/8.0")], "").await;
    assert!(curl.bytes.starts_with(b"{\n"));
    let program = rig.send("GET", &format!("{MAPS}/a"), &[("user-agent", "kubectl/v1.33")], "").await;
    assert!(program.bytes.starts_with(b"{\"") && program.bytes.ends_with(b"}\n"));
}

#[tokio::test]
async fn small_answers_are_not_compressed() {
    let rig = Rig::new().await;
    let answer = rig.send("GET", MAPS, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(answer.header("content-encoding"), "");
}
