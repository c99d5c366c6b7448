//! The command line: etcdutl's snapshot_command_test.go and v3_snapshot's checks of the initial cluster.

use clap::Parser;

use super::super::flags::{Format, Restore, Snapshot, Tool};
use super::super::{ToolError, backup, restore};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    tool: Tool,
}

fn parse(line: &str) -> Result<Tool, String> {
    let words = std::iter::once("store").chain(line.split_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.tool).map_err(|error| error.to_string())
}

fn restoring(line: &str) -> Restore {
    match parse(&format!("snapshot restore file {line}")).unwrap() {
        Tool::Snapshot(Snapshot::Restore(flags)) => flags,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_command_line_takes() {
    let table = [
        ("snapshot save f", true),
        ("snapshot save f --endpoints=http://a:1,http://b:1 --cacert=x --cert=y --key=z", true),
        ("snapshot save", false),
        ("snapshot save f g", false),
        ("snapshot status f", true),
        ("snapshot status f -w table", true),
        ("snapshot status f --write-out=json", true),
        ("snapshot status f -w xml", false),
        ("snapshot status", false),
        ("snapshot restore f --bump-revision=-1", false),
        ("snapshot restore f --no-such-flag", false),
        ("snapshot", false),
        ("import", true),
        ("import --endpoints=http://a:1", true),
        ("import --from-file=f", true),
        ("import --from-file=f --endpoints=http://a:1", false),
        ("import --from-file=f --cacert=x", false),
        ("import f", false),
        ("defrag", false),
    ];
    for (line, taken) in table {
        assert_eq!(parse(line).is_ok(), taken, "{line}");
    }
    match parse("snapshot status f").unwrap() {
        Tool::Snapshot(Snapshot::Status(flags)) => assert_eq!(flags.write_out, Format::Simple),
        other => panic!("{other:?}"),
    }
}

#[test]
fn how_much_the_revision_moves() {
    // (flags, by how much, or none; or refused)
    let table = [
        ("", Ok(None)),
        ("--bump-revision=5 --mark-compacted", Ok(Some(5))),
        ("--bump-revision=0", Ok(None)),
        ("--bump-revision=5", Err(())),
        ("--mark-compacted", Err(())),
        ("--bump-revision=0 --mark-compacted", Err(())),
    ];
    for (flags, expected) in table {
        let found = restoring(flags).bump();
        assert_eq!(found.as_ref().ok(), expected.as_ref().ok(), "{flags}");
        if let Err(error) = found {
            assert_eq!(error.to_string(), "--mark-compacted required if --revision-bump > 0");
        }
    }
}

#[test]
fn who_founds_the_new_cluster() {
    let dir = tempfile::tempdir().unwrap();
    // (flags, what is said; nothing: it is fine)
    let table = [
        ("", ""),
        ("--name=a --initial-advertise-peer-urls=http://a:1", ""),
        ("--name=a --initial-cluster=a=http://a:1 --initial-advertise-peer-urls=http://a:1", ""),
        (
            "--name=b --initial-cluster=a=http://a:1,b=http://b:1,c=http://c:1 --initial-advertise-peer-urls=http://b:1",
            "",
        ),
        (
            "--name=b --initial-cluster=b=http://b:1,b=http://b:2 --initial-advertise-peer-urls=http://b:2,http://b:1",
            "",
        ),
        ("--name=z --initial-cluster=a=http://a:1", "couldn't find local name \"z\""),
        ("--initial-cluster=a=http://a:1", "couldn't find local name \"default\""),
        ("--name=a --initial-cluster=a=http://a:1", "--initial-advertise-peer-urls has"),
        (
            "--name=b --initial-cluster=b=http://b:1,b=http://b:2 --initial-advertise-peer-urls=http://b:2",
            "--initial-cluster has",
        ),
        ("--name=a --initial-cluster=a --initial-advertise-peer-urls=http://a:1", "is not NAME=URL"),
        (
            "--name=a --initial-cluster=a=http://a:1,b=http://a:1 --initial-advertise-peer-urls=http://a:1",
            "duplicated url",
        ),
    ];
    for (at, (flags, said)) in table.into_iter().enumerate() {
        let data = dir.path().join(at.to_string());
        let founders = restoring(&format!("{flags} --data-dir={}", data.display())).founders;
        let found = founders.target().err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(found.is_empty(), said.is_empty(), "{flags}: {found}");
        assert!(found.contains(said), "{flags}: {found}");
        assert!(!data.exists(), "nothing is made before it is needed");
    }
}

#[test]
fn a_directory_that_holds_anything_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let target = |name: &str| restoring(&format!("--data-dir={}", dir.path().join(name).display())).founders.target();
    for (name, fits) in [("absent", true), ("empty", true), ("used", false), ("file", false)] {
        match name {
            "empty" => std::fs::create_dir(dir.path().join(name)).unwrap(),
            "used" => std::fs::create_dir_all(dir.path().join(name).join("x")).unwrap(),
            "file" => std::fs::write(dir.path().join(name), "x").unwrap(),
            _ => {}
        }
        match target(name) {
            Ok(made) => {
                assert!(fits, "{name}");
                made.dir().unwrap();
                std::fs::write(dir.path().join(name).join("half"), "done").unwrap();
                drop(made);
                let left = dir.path().join(name);
                assert_eq!(left.exists(), name == "empty", "{name}: what was not finished leaves nothing behind");
                assert!(!left.join("half").exists(), "{name}");
            }
            Err(error) => {
                assert!(!fits && error.to_string().contains("not empty or could not be read"), "{name}: {error}");
                assert!(dir.path().join(name).exists(), "{name}");
            }
        }
    }
}

#[test]
fn files_that_are_no_backups() {
    use sha2::Digest as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let sealed = |bytes: &[u8]| [bytes, sha2::Sha256::digest(bytes).as_slice()].concat();
    let mut bolt = vec![0; 512];
    bolt[16..20].copy_from_slice(&0xED0C_DAED_u32.to_le_bytes());
    // (content, whether its checksum is asked for, what is said)
    let table: Vec<(Vec<u8>, bool, &str)> = vec![
        (vec![], true, "the file is empty"),
        (vec![], false, "the file is empty"),
        (vec![1; 512], true, "snapshot missing hash but --skip-hash-check=false"),
        (vec![1; 100], true, "snapshot missing hash"),
        (vec![1; 512], false, "not a snapshot of this store"),
        (vec![1; 544], true, "expected sha256 0101"),
        (sealed(&[1; 512]), true, "not a snapshot of this store"),
        (sealed(&bolt), true, "this is a snapshot of an etcd"),
        (sealed(&[b"MKUBESNP".as_slice(), &[0; 504]].concat()), true, "damaged at byte 0"),
    ];
    for (content, asked, said) in table {
        std::fs::write(&path, &content).unwrap();
        match backup::load(&path, !asked) {
            Err(error @ (ToolError::Damaged { .. } | ToolError::Io { .. })) => {
                assert!(error.to_string().contains(said), "{} bytes: {error}", content.len());
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{} bytes were read", content.len()),
        }
        // Nor is anything made of it.
        let data = dir.path().join("data");
        let mut flags = restoring(&format!("--data-dir={}", data.display()));
        (flags.file, flags.skip_hash_check) = (path.clone(), !asked);
        assert!(restore(&flags).is_err() && !data.exists());
    }
    assert!(matches!(backup::load(&dir.path().join("absent"), false), Err(ToolError::Io { .. })));
}
