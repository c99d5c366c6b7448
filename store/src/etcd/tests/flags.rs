//! What the command line means, and what it may not say: etcd's server/embed/config_test.go and etcdmain's tests.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::super::flags::{Options, duration};
use crate::compactor::Retention;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn parse(arguments: &str) -> Result<Options, String> {
    let words = std::iter::once("store").chain(arguments.split_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.options).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_etcds() {
    let options = parse("").unwrap();
    assert_eq!(options.directory(), PathBuf::from("default.etcd"));
    assert_eq!(options.listen_client_urls, ["http://localhost:2379"]);
    assert_eq!(options.advertise_client_urls, ["http://localhost:2379"]);
    assert_eq!(
        (options.max_request_bytes, options.max_txn_ops, options.max_concurrent_streams),
        (1_572_864, 128, u32::MAX)
    );
    assert_eq!((options.heartbeat_interval, options.election_timeout), (100, 1000));
    assert_eq!(options.watch_progress_notify_interval, Duration::from_secs(600));
    assert_eq!(options.retention().unwrap(), None);
    let cluster = options.cluster().unwrap();
    assert_eq!(cluster.initial, [("default".to_owned(), "http://localhost:2380".to_owned())]);
    assert_eq!((cluster.token.as_str(), cluster.existing), ("etcd-cluster", false));
    assert!(cluster.founder_id().is_some());
}

#[test]
fn where_the_data_lie() {
    for (arguments, expected) in [
        ("--name=m1", "m1.etcd"),
        ("--data-dir=/x/y", "/x/y"),
        ("--name=m1 --data-dir=z", "z"),
        ("--data-dir=default", "default"),
    ] {
        assert_eq!(parse(arguments).unwrap().directory(), PathBuf::from(expected), "{arguments}");
    }
}

#[test]
fn times_that_do_not_fit_are_refused_in_etcds_words() {
    // (heartbeat, election, why not)
    let table = [
        (100, 1000, ""),
        (100, 500, ""),
        (1, 5, ""),
        (10_000, 50_000, ""),
        (0, 1000, "--heartbeat-interval must be >0 (set to 0ms)"),
        (100, 0, "--election-timeout must be >0 (set to 0ms)"),
        (100, 499, "--election-timeout[499ms] should be at least as 5 times as --heartbeat-interval[100ms]"),
        (1000, 1000, "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[1000ms]"),
        (100, 50_001, "--election-timeout[50001ms] is too long, and should be set less than 50000ms"),
        (u64::MAX, 1000, "should be at least as 5 times"),
    ];
    for (heartbeat, election, why) in table {
        let options = parse(&format!("--heartbeat-interval={heartbeat} --election-timeout={election}")).unwrap();
        let said = options.cluster().err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(said.is_empty(), why.is_empty(), "{heartbeat} {election}: {said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn clusters_that_cannot_be() {
    // (--initial-cluster, members, or why not)
    let table: &[(&str, Result<usize, &str>)] = &[
        ("default=http://a:1", Ok(1)),
        ("default=http://a:1,b=http://b:1,c=https://c:1", Ok(3)),
        ("default=http://a:1,default=http://a:2", Ok(1)),
        ("default=http://[::1]:1", Ok(1)),
        ("default", Err("is not NAME=URL")),
        ("default=", Err("is not NAME=URL")),
        ("=http://a:1", Err("is not NAME=URL")),
        ("default=a:1", Err("is not NAME=URL")),
        ("default=http://a", Err("is not NAME=URL")),
        ("default=http://a:1/path", Err("is not NAME=URL")),
        ("default=ftp://a:1", Err("is not NAME=URL")),
        ("default=http://a:99999", Err("is not NAME=URL")),
        ("default=http://a:1,b=http://a:1", Err("has duplicated url")),
        ("default=http://a:1,default=http://a:1", Err("has duplicated url")),
    ];
    for (text, expected) in table {
        match (parse(&format!("--initial-cluster={text}")).unwrap().cluster(), expected) {
            (Ok(cluster), Ok(members)) => assert_eq!(cluster.founders().1.len(), *members, "{text}"),
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{text}: {error}"),
            (found, _) => panic!("{text}: {:?}", found.map(|cluster| cluster.initial)),
        }
    }
    let stranger = parse("--name=z --initial-cluster=a=http://a:1").unwrap().cluster().unwrap();
    assert_eq!(stranger.founder_id(), None, "refused when the store is opened");
}

#[test]
fn what_history_is_kept() {
    let hours = |hours: u64| Ok(Some(Retention::Time(Duration::from_secs(3600 * hours))));
    let seconds = |seconds: u64| Ok(Some(Retention::Time(Duration::from_secs(seconds))));
    type Row<'a> = (&'a str, &'a str, Result<Option<Retention>, ()>);
    let table: &[Row<'_>] = &[
        ("periodic", "0", Ok(None)),
        ("periodic", "1", hours(1)),
        ("periodic", "24", hours(24)),
        ("periodic", "30m", seconds(1800)),
        ("periodic", "1h30m", seconds(5400)),
        ("periodic", "10s", seconds(10)),
        ("periodic", "0s", Ok(None)),
        ("periodic", "a", Err(())),
        ("periodic", "-1", Err(())),
        ("periodic", "1.5", Err(())),
        ("periodic", "18446744073709551615", Err(())),
        ("periodic", "99999999999999999999h", Err(())),
        ("revision", "0", Ok(None)),
        ("revision", "1", Ok(Some(Retention::Revisions(1)))),
        ("revision", "1000", Ok(Some(Retention::Revisions(1000)))),
        ("revision", "-1", Err(())),
        ("revision", "a", Err(())),
    ];
    for (mode, text, expected) in table {
        let options = parse(&format!("--auto-compaction-mode={mode} --auto-compaction-retention={text}")).unwrap();
        let found = options.retention();
        assert_eq!(found.as_ref().ok(), expected.as_ref().ok(), "{mode} {text}");
        if let Err(error) = found {
            assert!(error.to_string().contains("--auto-compaction-retention"), "{error}");
        }
    }
    assert!(parse("--auto-compaction-mode=errmode").is_err() && parse("--auto-compaction-mode=").is_err());
}

#[test]
fn durations_as_go_writes_them() {
    let table = [
        ("0", Some(0)),
        ("0s", Some(0)),
        ("5ns", Some(5)),
        ("7us", Some(7000)),
        ("7µs", Some(7000)),
        ("1.5ms", Some(1_500_000)),
        ("1h1m1s1ms", Some(3_661_001_000_000)),
        (".5s", Some(500_000_000)),
        ("5.s", Some(5_000_000_000)),
        ("", None),
        ("s", None),
        ("5", None),
        ("5x", None),
        ("5 s", None),
        ("1s ", None),
        ("1h5", None),
        ("1..5s", None),
        ("99999999999999999999999h", None),
        ("5000000000000000h5000000000000000h", None),
    ];
    for (text, nanos) in table {
        let found = duration(text).ok().map(|duration| duration.as_nanos());
        assert_eq!(found, nanos, "{text:?}");
    }
}

#[test]
fn what_is_not_accepted() {
    let table = [
        "--no-such-flag",
        "--initial-cluster-state=other",
        "--max-txn-ops=-1",
        "--max-request-bytes=1M",
        "--quota-backend-bytes=-1",
        "--grpc-keepalive-interval=5",
        "--watch-progress-notify-interval=never",
        "--election-timeout=1s",
        "--client-cert-auth=perhaps",
        "argument",
    ];
    for arguments in table {
        assert!(parse(arguments).is_err(), "{arguments}");
    }
    // Switches, with and without a value, and the names of experimental times.
    for (arguments, expected) in [
        ("", false),
        ("--client-cert-auth", true),
        ("--client-cert-auth=true", true),
        ("--client-cert-auth=false", false),
    ] {
        assert_eq!(parse(arguments).unwrap().client_cert_auth, expected, "{arguments}");
    }
    let interval = |arguments: &str| parse(arguments).unwrap().watch_progress_notify_interval;
    assert_eq!(interval("--experimental-watch-progress-notify-interval=5s"), Duration::from_secs(5));
    assert_eq!(parse("--corrupt-check-time=1m").unwrap().experimental_corrupt_check_time, Duration::from_secs(60));
    let several = parse("--listen-client-urls=http://a:1,https://b:2 --listen-client-urls=http://c:3").unwrap();
    assert_eq!(several.listen_client_urls, ["http://a:1", "https://b:2", "http://c:3"]);
}
