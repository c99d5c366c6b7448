//! Who gets in, what they may do, and what the server says to everybody else: over real TLS against a whole server.
#![allow(clippy::unwrap_used)] // Only tests are here.

mod common;

use base::pki::{Authority, Subject};
use common::Server;
use serde_json::{Value, json};

fn message(value: &Value) -> &str {
    value["message"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_see_health_and_version_only() {
    let server = Server::start().await;
    let nobody = server.client(None);
    for (path, code) in [
        ("/healthz", 200),
        ("/livez?verbose", 200),
        ("/readyz", 200),
        ("/readyz/etcd", 403),
        ("/version", 200),
        ("/", 401),
        ("/api", 401),
        ("/metrics", 401),
        ("/api/v1/pods", 401),
    ] {
        let (got, body) = nobody.get(path).await;
        assert_eq!(got, code, "{path} {body}");
    }
    assert!(nobody.get("/readyz?verbose").await.1.as_str().unwrap().ends_with("readyz check passed\n"));
    // A certificate of somebody else's authority, even of the same name, is a stranger's.
    let foreign = Authority::create("kubernetes").unwrap();
    let pair = foreign.issue(&Subject { name: "admin", group: Some("system:masters"), days: 1, ..Subject::default() });
    let (code, body) = server.client(Some(&pair.unwrap())).get("/api/v1/pods").await;
    assert_eq!((code, body["reason"].as_str()), (401, Some("Unauthorized")));
    for token in ["nonsense", "a.b.c", ""] {
        assert_eq!(nobody.clone().with_token(token).get("/api/v1/pods").await.0, 401, "{token}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rbac_decides_and_refuses_in_upstreams_words() {
    let server = Server::start().await;
    let (admin, ann) = (server.admin(), server.client(Some(&server.certificate("ann", Some("devs")))));
    let (code, body) = ann.get("/api/v1/namespaces/default/pods").await;
    assert_eq!(
        (code, message(&body)),
        (
            403,
            "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
        )
    );
    assert_eq!(message(&ann.get("/metrics").await.1), "forbidden: User \"ann\" cannot get path \"/metrics\"");
    assert_eq!(ann.get("/apis").await.0, 200, "discovery is for everybody who is known");

    let binding = json!({"metadata": {"name": "ann"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "devs"}]});
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    assert_eq!(admin.post(path, binding).await.0, 201);
    common::eventually("the binding counts", async || ann.get("/api/v1/namespaces/default/pods").await.0 == 200).await;
    assert_eq!(ann.get("/api/v1/namespaces/kube-system/pods").await.0, 403);
    let (code, body) = ann.post("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "a"}})).await;
    assert_eq!(code, 201, "{body}");
    // Editors cannot make themselves administrators.
    let grab = json!({"metadata": {"name": "grab"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"}]});
    assert_eq!(ann.post(path, grab.clone()).await.0, 403);
    let admin_role = json!({"metadata": {"name": "ann-admin"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"}]});
    assert_eq!(admin.post(path, admin_role).await.0, 201);
    common::eventually("ann may write bindings", async || {
        let (code, body) = ann.post(path, grab.clone()).await;
        code == 403 && message(&body).contains("attempting to grant RBAC permissions not currently held")
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_tell_who_may_what() {
    let server = Server::start().await;
    let admin = server.admin();
    let group = "/apis/authorization.k8s.io/v1";
    let (code, review) = admin
        .post(
            &format!("{group}/selfsubjectaccessreviews"),
            json!({"spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}}}),
        )
        .await;
    assert_eq!((code, &review["status"]["allowed"]), (201, &json!(true)), "{review}");
    let asked = json!({"spec": {"user": "ann", "resourceAttributes": {"verb": "create", "resource": "pods"}}});
    let (_, review) = admin.post(&format!("{group}/subjectaccessreviews"), asked).await;
    assert_eq!(review["status"]["allowed"], false);
    let (code, body) = admin.post(&format!("{group}/subjectaccessreviews"), json!({"spec": {}})).await;
    assert_eq!((code, body["reason"].as_str()), (422, Some("Invalid")), "{body}");
    let rules = json!({"spec": {"namespace": "default"}});
    let (_, review) = admin.post(&format!("{group}/selfsubjectrulesreviews"), rules).await;
    assert_eq!(review["status"]["resourceRules"][0]["verbs"], json!(["*"]));
    let (_, who) = admin.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await;
    assert_eq!(who["status"]["userInfo"]["username"], "admin");
    // Acting as somebody else.
    let headers = [("impersonate-user", "ann"), ("impersonate-group", "devs")];
    let (_, who) =
        admin.call_with("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &headers, Some(json!({}))).await;
    assert_eq!(who["status"]["userInfo"]["groups"], json!(["devs", "system:authenticated"]));
    let ann = server.client(Some(&server.certificate("ann", None)));
    let (code, body) = ann.call_with("GET", "/api", &[("impersonate-user", "admin")], None).await;
    assert_eq!(code, 403);
    assert_eq!(
        message(&body),
        "users \"admin\" is forbidden: User \"ann\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_account_tokens_count_while_their_account_lives() {
    let server = Server::start().await;
    let (admin, nobody) = (server.admin(), server.client(None));
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(admin.post(accounts, json!({"metadata": {"name": "robot"}})).await.0, 201);
    let (code, answer) =
        admin.post(&format!("{accounts}/robot/token"), json!({"spec": {"expirationSeconds": 600}})).await;
    assert_eq!(code, 201, "{answer}");
    let token = answer["status"]["token"].as_str().unwrap().to_string();
    let robot = nobody.with_token(&token);
    let (_, who) = robot.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await;
    assert_eq!(who["status"]["userInfo"]["username"], "system:serviceaccount:default:robot", "{who}");
    let (code, body) = robot.get("/api/v1/namespaces/default/secrets").await;
    assert_eq!(code, 403);
    assert!(message(&body).contains("User \"system:serviceaccount:default:robot\" cannot list resource \"secrets\""));
    let reviewed = |token: &str| json!({"spec": {"token": token}});
    let (_, review) = admin.post("/apis/authentication.k8s.io/v1/tokenreviews", reviewed(&token)).await;
    assert_eq!(review["status"]["authenticated"], true, "{review}");
    let (code, body) = admin.post(&format!("{accounts}/robot/token"), json!({"spec": {"expirationSeconds": 1}})).await;
    assert_eq!(code, 422);
    assert!(message(&body).contains("may not specify a duration less than 10 minutes"));
    assert_eq!(admin.post(&format!("{accounts}/nobody/token"), json!({})).await.0, 404);
    // The documents by which others verify.
    assert_eq!(robot.get("/openid/v1/jwks").await.1["keys"][0]["crv"], "P-256");
    assert!(robot.get("/.well-known/openid-configuration").await.1["jwks_uri"].is_string());
    // The account goes, and so does the token: also for another account of the same name.
    assert_eq!(admin.call("DELETE", &format!("{accounts}/robot"), None).await.0, 200);
    assert_eq!(robot.get("/api").await.0, 401);
    assert_eq!(admin.post(accounts, json!({"metadata": {"name": "robot"}})).await.0, 201);
    assert_eq!(robot.get("/api").await.0, 401);
    let (_, review) = admin.post("/apis/authentication.k8s.io/v1/tokenreviews", reviewed(&token)).await;
    assert!(review["status"]["error"].is_string(), "{review}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_sees_what_its_pods_refer_to() {
    let server = Server::start().await;
    let admin = server.admin();
    let kubelet = server.client(Some(&server.certificate("system:node:n1", Some("system:nodes"))));
    let core = "/api/v1/namespaces/default";
    for name in ["used", "other"] {
        assert_eq!(admin.post(&format!("{core}/secrets"), json!({"metadata": {"name": name}})).await.0, 201);
    }
    assert_eq!(admin.post(&format!("{core}/serviceaccounts"), json!({"metadata": {"name": "default"}})).await.0, 201);
    let node = |name: &str| json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
    assert_eq!(kubelet.post("/api/v1/nodes", node("n1")).await.0, 201);
    let (code, body) = kubelet.post("/api/v1/nodes", node("n2")).await;
    assert_eq!(code, 403);
    assert!(message(&body).contains("node \"n1\" is not allowed to modify node \"n2\""), "{body}");
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i"}],
        "volumes": [{"name": "v", "secret": {"secretName": "used"}}]}});
    let (code, made) = admin.post(&format!("{core}/pods"), pod).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(made["spec"]["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(made["spec"]["priority"], 0);

    assert_eq!(kubelet.get(&format!("{core}/secrets/used")).await.0, 403, "the pod is on no node yet");
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    assert_eq!(admin.post(&format!("{core}/pods/p/binding"), binding).await.0, 201);
    assert_eq!(kubelet.get(&format!("{core}/secrets/used")).await.0, 200);
    let (code, body) = kubelet.get(&format!("{core}/secrets/other")).await;
    assert_eq!(code, 403);
    assert!(message(&body).ends_with("no relationship found between node 'n1' and this object"), "{body}");
    assert_eq!(kubelet.get(&format!("{core}/secrets")).await.0, 403);
    assert_eq!(kubelet.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await.0, 200);
    assert_eq!(kubelet.get("/api/v1/pods").await.0, 403);
    assert_eq!(kubelet.get("/api/v1/nodes/n1").await.0, 200);
    assert_eq!(kubelet.get("/api/v1/nodes/n2").await.0, 403);
    // A token for the pod, bound to it.
    let uid = made["metadata"]["uid"].clone();
    let request = json!({"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid}, "expirationSeconds": 3607}});
    let (code, answer) = kubelet.post(&format!("{core}/serviceaccounts/default/token"), request).await;
    assert_eq!(code, 201, "{answer}");
    let pod = server.client(None).with_token(answer["status"]["token"].as_str().unwrap());
    let (_, who) = pod.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await;
    let extra = &who["status"]["userInfo"]["extra"];
    assert_eq!(extra["authentication.kubernetes.io/pod-name"], json!(["p"]), "{who}");
    assert_eq!(extra["authentication.kubernetes.io/node-name"], json!(["n1"]));
    assert_eq!(kubelet.post(&format!("{core}/serviceaccounts/default/token"), json!({})).await.0, 403);
    let status = json!({"status": {"phase": "Running"}});
    let headers = [("content-type", "application/merge-patch+json")];
    let (code, body) = kubelet.call_with("PATCH", &format!("{core}/pods/p/status"), &headers, Some(status)).await;
    assert_eq!(code, 200, "{body}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_a_moment_for_the_default_account() {
    let server = Server::start().await;
    let admin = server.admin();
    assert_eq!(admin.post("/api/v1/namespaces", json!({"metadata": {"name": "new"}})).await.0, 201);
    let pod = |account: &str| json!({"metadata": {"generateName": "p-"}, "spec": {"serviceAccountName": account, "containers": [{"name": "a", "image": "i"}]}});
    let (code, body) = admin.post("/api/v1/namespaces/new/pods", pod("other")).await;
    assert_eq!(
        (code, message(&body)),
        (
            403,
            "pods \"p-\" is forbidden: error looking up service account new/other: serviceaccount \"other\" not found"
        )
    );
    let waiting = admin.clone();
    let early = tokio::spawn(async move { waiting.post("/api/v1/namespaces/new/pods", pod("default")).await });
    let metrics = server.admin();
    common::eventually("the pod is waiting", async || {
        let text = metrics.get("/metrics").await.1;
        text.as_str().unwrap().contains("apiserver_current_inflight_requests{request_kind=\"mutating\"} 1")
    })
    .await;
    let account = json!({"metadata": {"name": "default"}});
    assert_eq!(admin.post("/api/v1/namespaces/new/serviceaccounts", account).await.0, 201);
    let (code, made) = early.await.unwrap();
    assert_eq!(code, 201, "{made}");
    assert!(made["spec"]["volumes"][0]["name"].as_str().unwrap().starts_with("kube-api-access-"));
    server.stop().await;
}
