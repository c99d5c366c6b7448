//! A table of requests that are refused, with upstream's code, reason and words, and the server going on.

use super::*;

struct Case {
    method: &'static str,
    url: &'static str,
    content_type: &'static str,
    body: &'static str,
    code: u16,
    reason: &'static str,
    message: &'static str,
}

const fn case(
    method: &'static str,
    url: &'static str,
    body: &'static str,
    code: u16,
    reason: &'static str,
    message: &'static str,
) -> Case {
    Case { method, url, content_type: "application/json", body, code, reason, message }
}

const fn typed(mut case: Case, content_type: &'static str) -> Case {
    case.content_type = content_type;
    case
}

const NS: &str = "/api/v1/namespaces/default/configmaps";
const A: &str = "/api/v1/namespaces/default/configmaps/a";

/// What the message must contain; empty if only code and reason matter. The ConfigMap `a` exists, with the label x=y.
#[rustfmt::skip]
static CASES: &[Case] = &[
    // Paths that are no keys.
    case("GET", "/api/v1/namespaces/../secrets", "", 500, "", "invalid key: \"/secrets/../\""),
    case("DELETE", "/api/v1/namespaces/./secrets/a", "", 500, "", "invalid key: \"/secrets/./a\""),
    case("POST", "/api/v1/namespaces/../secrets", r#"{"metadata":{"name":"b"}}"#, 404, "NotFound", "namespaces \"..\" not found"),
    case("GET", "/api/v1/namespaces/default/secrets/..", "", 400, "BadRequest", "Name parameter invalid: \"..\": may not be '..'"),
    case("GET", "/api/v1/namespaces/default/secrets/a%2525b", "", 400, "BadRequest", "Name parameter invalid: \"a%25b\": may not contain '%'"),
    // Bodies that are no objects.
    case("POST", NS, "", 400, "BadRequest", "unexpected end of JSON input (<empty>)"),
    case("POST", NS, "{", 400, "BadRequest", "the object provided is unrecognized (must be of type ConfigMap)"),
    case("POST", NS, "[]", 400, "BadRequest", "json: cannot unmarshal"),
    case("POST", NS, "nonsense", 400, "BadRequest", "invalid character 'o' in literal null (expecting 'u')"),
    case("POST", NS, "{} {}", 400, "BadRequest", "after top-level value"),
    typed(case("POST", NS, "a: [", 400, "BadRequest", ""), "application/yaml"),
    typed(case("POST", NS, "k8s\u{0}garbage", 400, "BadRequest", ""), "application/vnd.kubernetes.protobuf"),
    typed(case("POST", NS, "not protobuf", 400, "BadRequest", ""), "application/vnd.kubernetes.protobuf"),
    typed(case("POST", NS, "{}", 415, "UnsupportedMediaType", "the body of the request was in an unknown format"), "text/plain"),
    // Objects of another kind or version.
    case("POST", NS, r#"{"kind":5}"#, 400, "BadRequest", "cannot unmarshal number into Go struct field .kind of type string"),
    case("POST", NS, r#"{"apiVersion":"v1","kind":"Pod"}"#, 400, "BadRequest", "Pod in version \"v1\" cannot be handled as a ConfigMap"),
    case("POST", NS, r#"{"apiVersion":"v2","kind":"ConfigMap"}"#, 400, "BadRequest", "no kind \"ConfigMap\" is registered for version \"v2\""),
    case("POST", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", r#"{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler"}"#, 400, "BadRequest", "the API version in the data (autoscaling/v1) does not match the expected API version (autoscaling/v2)"),
    // Wrong types, unknown and duplicate fields.
    case("POST", NS, r#"{"metadata":{"name":"b"},"data":{"k":5}}"#, 400, "BadRequest", "cannot unmarshal number into Go struct field ConfigMap.data of type string"),
    case("POST", NS, r#"{"metadata":{"name":"b","labels":[]}}"#, 400, "BadRequest", "of type map[string]string"),
    case("POST", NS, r#"{"metadata":"x"}"#, 400, "BadRequest", "cannot unmarshal string into Go struct field"),
    case("POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Strict", r#"{"metadata":{"name":"b"},"nope":1}"#, 400, "BadRequest", "strict decoding error: unknown field \"nope\""),
    case("POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Strict", r#"{"metadata":{"name":"b","name":"b"}}"#, 400, "BadRequest", "duplicate field \"metadata.name\""),
    case("POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Loud", r#"{"metadata":{"name":"b"}}"#, 422, "Invalid", "fieldValidation: Unsupported value: \"Loud\""),
    case("POST", "/api/v1/namespaces/default/configmaps?dryRun=Some", r#"{"metadata":{"name":"b"}}"#, 422, "Invalid", "dryRun: Unsupported value"),
    // Metadata.
    case("POST", NS, "{}", 422, "Invalid", "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"),
    case("POST", NS, r#"{"metadata":{"name":"A_b"}}"#, 422, "Invalid", "ConfigMap \"A_b\" is invalid: metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain"),
    case("POST", NS, r#"{"metadata":{"generateName":"A_"}}"#, 422, "Invalid", "metadata.generateName: Invalid value: \"A_\""),
    case("POST", NS, r#"{"metadata":{"name":"b","namespace":"other"}}"#, 400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"),
    case("POST", NS, r#"{"metadata":{"name":"b","resourceVersion":"5"}}"#, 500, "", "resourceVersion should not be set on objects to be created"),
    case("POST", NS, r#"{"metadata":{"name":"b","labels":{"a b":"c"}}}"#, 422, "Invalid", "metadata.labels: Invalid value: \"a b\""),
    case("POST", NS, r#"{"metadata":{"name":"b","labels":{"a":"b c"}}}"#, 422, "Invalid", "metadata.labels: Invalid value: \"b c\""),
    case("POST", NS, r#"{"metadata":{"name":"b","annotations":{"a b":"c"}}}"#, 422, "Invalid", "metadata.annotations: Invalid value: \"a b\""),
    case("POST", NS, r#"{"metadata":{"name":"b","finalizers":["f"]}}"#, 422, "Invalid", "metadata.finalizers[0]: Invalid value: \"f\": name is neither a standard finalizer name nor is it fully qualified"),
    case("POST", NS, r#"{"metadata":{"name":"b","ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":""}]}}"#, 422, "Invalid", "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"),
    // Collisions and what is not there.
    case("POST", NS, r#"{"metadata":{"name":"a"}}"#, 409, "AlreadyExists", "configmaps \"a\" already exists"),
    case("POST", "/api/v1/namespaces/nowhere/configmaps", r#"{"metadata":{"name":"a"}}"#, 404, "NotFound", "namespaces \"nowhere\" not found"),
    case("GET", "/api/v1/namespaces/default/configmaps/b", "", 404, "NotFound", "configmaps \"b\" not found"),
    case("DELETE", "/api/v1/namespaces/default/configmaps/b", "", 404, "NotFound", "configmaps \"b\" not found"),
    case("PUT", "/api/v1/namespaces/default/configmaps/b", r#"{"metadata":{"name":"b"}}"#, 404, "NotFound", "configmaps \"b\" not found"),
    typed(case("PATCH", "/api/v1/namespaces/default/configmaps/b", "{}", 404, "NotFound", "configmaps \"b\" not found"), "application/merge-patch+json"),
    case("GET", "/api/v1/namespaces/default/widgets", "", 404, "NotFound", "the server could not find the requested resource"),
    case("GET", "/apis/nobody.example/v1/widgets", "", 404, "NotFound", "the server could not find the requested resource"),
    case("GET", "/api/v1/namespaces/default/configmaps/a/nothing", "", 404, "NotFound", "the server could not find the requested resource"),
    case("GET", "/api/v1/configmaps/a", "", 404, "NotFound", ""),
    case("GET", "/api/v1/namespaces/default/nodes", "", 404, "NotFound", ""),
    // Methods that a path does not have.
    case("POST", "/api/v1/configmaps", r#"{"metadata":{"name":"b"}}"#, 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"),
    case("DELETE", "/api/v1/configmaps", "", 405, "MethodNotAllowed", ""),
    case("POST", A, r#"{"metadata":{"name":"a"}}"#, 405, "MethodNotAllowed", ""),
    case("PUT", NS, "{}", 405, "MethodNotAllowed", ""),
    case("DELETE", "/api/v1/namespaces", "", 405, "MethodNotAllowed", ""),
    case("GET", "/api/v1/namespaces/default/bindings", "", 405, "MethodNotAllowed", ""),
    // Updates.
    case("PUT", A, r#"{"metadata":{"name":"b"}}"#, 400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)"),
    case("PUT", A, "{}", 400, "BadRequest", "the name of the object (a based on URL) was undeterminable: name must be provided"),
    case("PUT", A, r#"{"metadata":{"name":"a","namespace":"other"}}"#, 400, "BadRequest", "the namespace of the object (other) does not match the namespace on the request (default)"),
    case("PUT", A, r#"{"metadata":{"name":"a","resourceVersion":"1"}}"#, 409, "Conflict", "the object has been modified"),
    case("PUT", A, r#"{"metadata":{"name":"a","uid":"x"}}"#, 409, "Conflict", "Precondition failed: UID in precondition: x"),
    case("PUT", A, r#"{"metadata":{"name":"a","deletionTimestamp":"2026-01-01T00:00:00Z"}}"#, 422, "Invalid", "metadata.deletionTimestamp: Invalid value"),
    // Patches.
    typed(case("PATCH", A, "{}", 415, "UnsupportedMediaType", "application/json-patch+json"), "application/json"),
    typed(case("PATCH", A, "{}", 415, "UnsupportedMediaType", "server-side apply is not supported by this server yet"), "application/apply-patch+yaml"),
    typed(case("PATCH", A, "{", 400, "BadRequest", "error decoding patch"), "application/merge-patch+json"),
    typed(case("PATCH", A, r#"[{"op":"test","path":"/data/k","value":"no"}]"#, 422, "Invalid", ""), "application/json-patch+json"),
    typed(case("PATCH", A, r#"{"op":"add"}"#, 400, "BadRequest", ""), "application/json-patch+json"),
    typed(case("PATCH", A, r#"{"data":{"k":5}}"#, 422, "Invalid", " \"\" is invalid: patch: Invalid value: "), "application/merge-patch+json"),
    typed(case("PATCH", A, r#"{"data":{"k":5}}"#, 422, "Invalid", " \"\" is invalid: patch: Invalid value: \"map[data:map[k:5]]\""), "application/strategic-merge-patch+json"),
    typed(case("PATCH", A, r#"{"metadata":{"name":"z"}}"#, 400, "BadRequest", "the name of the object (z) does not match the name on the URL (a)"), "application/merge-patch+json"),
    typed(case("PATCH", A, r#"{"metadata":{"resourceVersion":"1"}}"#, 409, "Conflict", "the object has been modified"), "application/merge-patch+json"),
    typed(case("PATCH", "/api/v1/namespaces/default/configmaps/a?force=true", "{}", 422, "Invalid", "force: Forbidden: may not be specified for non-apply patch"), "application/merge-patch+json"),
    // Deletes.
    case("DELETE", A, r#"{"preconditions":{"uid":"x"}}"#, 409, "Conflict", "the UID in the precondition (x) does not match the UID in record"),
    case("DELETE", A, r#"{"preconditions":{"resourceVersion":"1"}}"#, 409, "Conflict", "the ResourceVersion in the precondition (1) does not match"),
    case("DELETE", A, r#"{"propagationPolicy":"Sideways"}"#, 422, "Invalid", "propagationPolicy: Unsupported value: \"Sideways\""),
    case("DELETE", A, r#"{"propagationPolicy":"Orphan","orphanDependents":true}"#, 422, "Invalid", "orphanDependents and deletionPropagation cannot be both set"),
    case("DELETE", A, "{", 400, "BadRequest", ""),
    case("DELETE", A, r#"{"kind":"Pod"}"#, 400, "BadRequest", ""),
    case("DELETE", "/api/v1/namespaces/default", "", 403, "Forbidden", "namespaces \"default\" is forbidden: this namespace may not be deleted"),
    // Lists and watches.
    case("GET", "/api/v1/configmaps?limit=x", "", 400, "BadRequest", "strconv.ParseInt: parsing \"x\": invalid syntax"),
    case("GET", "/api/v1/configmaps?continue=x", "", 400, "BadRequest", "continue key is not valid"),
    case("GET", "/api/v1/configmaps?resourceVersion=x", "", 400, "BadRequest", "resourceVersion"),
    case("GET", "/api/v1/configmaps?labelSelector=a+b", "", 400, "BadRequest", "unable to parse requirement"),
    case("GET", "/api/v1/configmaps?fieldSelector=spec.x=y", "", 400, "BadRequest", "spec.x"),
    case("GET", "/api/v1/configmaps?resourceVersionMatch=Exact", "", 422, "Invalid", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
    case("GET", "/api/v1/configmaps?watch=1&sendInitialEvents=true", "", 422, "Invalid", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
    case("GET", "/api/v1/configmaps?includeObject=Everything", "", 400, "BadRequest", "includeObject"),
];

#[tokio::test]
async fn refusals() {
    let rig = Rig::new().await;
    let before = rig.config_map("default", "a", json!({"x": "y"})).await;
    for (row, case) in CASES.iter().enumerate() {
        let what = format!("row {row}: {} {} {}", case.method, case.url, case.body);
        let answer = rig.send(case.method, case.url, &[("content-type", case.content_type)], case.body).await;
        let status = answer.json();
        assert_eq!(answer.code, case.code, "{what}: {status}");
        assert_eq!(status["kind"], "Status", "{what}");
        assert_eq!(status["status"], "Failure", "{what}");
        assert_eq!(status["reason"].as_str().unwrap_or_default(), case.reason, "{what}: {status}");
        assert!(answer.message().contains(case.message), "{what}: {}", answer.message());
    }
    assert_eq!(rig.get(A).await.json(), before);
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_depth() {
    let rig = Rig::new().await;
    let large = json!({"metadata": {"name": "b"}, "data": {"k": "x".repeat(3 * 1024 * 1024)}}).to_string();
    let answer = rig.send("POST", NS, &[], large).await;
    assert_eq!((answer.code, answer.message()), (413, "Request entity is too large: limit is 3145728".into()));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = rig.send("POST", NS, &[], format!(r#"{{"data":{deep}}}"#)).await;
    assert_eq!(answer.code, 400, "{}", answer.message());
    let invalid_utf8: &[u8] = b"{\"metadata\":{\"name\":\"b\"},\"data\":{\"k\":\"\xff\"}}";
    let answer = rig.send("POST", NS, &[], invalid_utf8.to_vec()).await;
    assert_eq!(answer.code, 201, "{}", answer.message());
    assert_eq!(answer.json()["data"]["k"], "\u{fffd}");
    assert_eq!(rig.get(NS).await.code, 200);
}

#[tokio::test]
async fn many_large_bodies_at_once_take_turns() {
    let rig = Arc::new(Rig::new().await);
    let filler = "x".repeat(600 * 1024);
    let tasks: Vec<_> = (0..24)
        .map(|number| {
            let (rig, filler) = (rig.clone(), filler.clone());
            tokio::spawn(async move {
                let body = json!({"metadata": {"name": format!("m{number}")}, "data": {"k": filler}});
                rig.post(NS, body).await.code
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 201);
    }
}

#[tokio::test]
async fn duplicate_keys_in_yaml_are_told() {
    let rig = Rig::new().await;
    let body = "metadata:\n  name: b\n  name: b\n";
    let yaml = [("content-type", "application/yaml")];
    let strict = rig.send("POST", &format!("{NS}?fieldValidation=Strict"), &yaml, body).await;
    assert_eq!(strict.code, 400);
    assert!(strict.message().contains("yaml: unmarshal errors"), "{}", strict.message());
    let told = rig.send("POST", NS, &yaml, body).await;
    assert_eq!((told.code, told.warnings().len()), (201, 1), "{}", told.message());
}

#[tokio::test]
async fn unknown_fields_are_dropped_with_a_warning() {
    let rig = Rig::new().await;
    let body = json!({"metadata": {"name": "b", "nope": 1}, "data": {"k": "v"}});
    let answer = rig.post(NS, body.clone()).await;
    assert_eq!(answer.code, 201);
    assert_eq!(answer.warnings(), ["299 - \"unknown field \\\"metadata.nope\\\"\""]);
    assert_eq!(answer.json()["metadata"].get("nope"), None);
    rig.delete(&format!("{NS}/b"), Value::Null).await;
    let silent = rig.post(&format!("{NS}?fieldValidation=Ignore"), body).await;
    assert_eq!((silent.code, silent.warnings().len()), (201, 0));
}
