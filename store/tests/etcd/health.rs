//! Probes: what makes a member unhealthy, and what only the cluster. The expected answers are etcd 3.5's.

use futures::StreamExt;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::grpc_health::HealthCheckRequest;
use proto::grpc_health::health_client::HealthClient;

use super::members::{cluster, eventually};
use super::server::{PATIENCE, Server};

const WELL: &str = r#"{"health":"true","reason":""}"#;

/// Asks for each path, and compares status and body.
async fn expect(server: &Server, what: &str, table: &[(&str, u16, &str)]) {
    for (path, code, body) in table {
        assert_eq!(server.http("GET", path).await, (*code, (*body).to_owned()), "{what}: {path}");
    }
}

fn ill(reason: &str) -> String {
    format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}\n")
}

async fn alarm(server: &Server, action: pb::alarm_request::AlarmAction, alarm: pb::AlarmType) {
    let request = pb::AlarmRequest { action: action.into(), member_id: 0, alarm: alarm.into() };
    MaintenanceClient::new(server.channel().await).alarm(request).await.unwrap();
}

#[tokio::test]
async fn probes_tell_alarms_apart() {
    use pb::alarm_request::AlarmAction::{Activate, Deactivate};
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let all = "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n";
    let well = [
        ("/health", 200, WELL),
        ("/livez", 200, "ok\n"),
        ("/readyz", 200, "ok\n"),
        ("/livez?verbose", 200, "[+]serializable_read ok\nok\n"),
        ("/readyz?verbose=", 200, all),
        ("/readyz?verbose&exclude=linearizable_read&exclude=non_learner&exclude=nothing", 200, {
            "[+]data_corruption ok\n[+]serializable_read ok\nok\n"
        }),
        ("/readyz/linearizable_read", 200, "ok\n"),
        ("/livez/serializable_read?verbose", 200, "[+]serializable_read ok\nok\n"),
        ("/livez/data_corruption", 404, "404 page not found\n"),
    ];
    expect(&server, "well", &well).await;
    for path in ["/health", "/livez", "/readyz/data_corruption"] {
        assert_eq!(server.http("POST", path).await, (405, "Method Not Allowed\n".to_owned()), "{path}");
    }

    alarm(&server, Activate, pb::AlarmType::Nospace).await;
    let full = ill("ALARM NOSPACE");
    let no_space = [
        ("/health", 503, full.as_str()),
        ("/health?serializable=true", 503, full.as_str()),
        ("/health?exclude=CORRUPT", 503, full.as_str()),
        ("/health?exclude=CORRUPT&exclude=NOSPACE", 200, WELL),
        ("/livez", 200, "ok\n"),
        ("/readyz", 200, "ok\n"),
    ];
    expect(&server, "no space", &no_space).await;
    alarm(&server, Deactivate, pb::AlarmType::Nospace).await;

    alarm(&server, Activate, pb::AlarmType::Corrupt).await;
    let corrupt = ill("ALARM CORRUPT");
    let failed = "[-]data_corruption failed: alarm activated: CORRUPT\n";
    let rest = "[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\n\n";
    let table = [
        ("/health?exclude=NOSPACE", 503, corrupt.as_str()),
        ("/health?exclude=CORRUPT", 200, WELL),
        ("/livez", 200, "ok\n"),
        ("/readyz", 503, &format!("{failed}{rest}")),
        ("/readyz/data_corruption", 503, &format!("{failed}\n")),
        ("/readyz?exclude=data_corruption", 200, "ok\n"),
    ];
    expect(&server, "corrupt", &table).await;
}

#[tokio::test]
async fn a_lost_quorum_is_no_reason_to_restart_who_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = cluster(dir.path());
    let last = servers.pop().unwrap();
    let mut states = HealthClient::new(last.channel().await)
        .watch(HealthCheckRequest { service: String::new() })
        .await
        .unwrap()
        .into_inner();
    let mut until = async |wanted: i32| {
        let heard = async { while states.next().await.unwrap().unwrap().status != wanted {} };
        tokio::time::timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("never told {wanted}"));
    };
    until(1).await;
    eventually("a member that is ready", async || (last.http("GET", "/readyz").await.0 == 200).then_some(())).await;
    drop(servers);
    until(2).await;
    let lost = ill("RAFT NO LEADER");
    let table = [
        ("/health", 503, lost.as_str()),
        ("/health?serializable=true", 200, WELL),
        ("/health?serializable=1", 503, lost.as_str()),
        ("/livez", 200, "ok\n"),
        ("/readyz?exclude=linearizable_read", 200, "ok\n"),
        ("/readyz/linearizable_read", 503, {
            "[-]linearizable_read failed: range error: etcdserver: request timed out\n\n"
        }),
    ];
    expect(&last, "alone", &table).await;
}
