//! Runs commands through a real kubectl and through ours against one cluster and compares what they print and their exit
//! codes. Needs `MKUBE_TEST_KUBECTL` (path of a kubectl 1.33) and `KUBECONFIG` of a cluster that may be changed; without
//! them it says that it skips. A command whose output may differ for a stated reason is in [`EXPLAINED`].

use std::process::Command;

/// A command, and what has to be done before it by the real kubectl (`;` between several).
struct Case {
    before: &'static str,
    run: &'static str,
}

/// The table of commands.
const CASES: &str = include_str!("cases.txt");

fn cases() -> Vec<Case> {
    let lines = CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &'static str| match line.split_once(" => ") {
        Some((before, run)) => Case { before, run },
        None => Case { before: "", run: line },
    };
    lines.map(case).collect()
}

/// Commands whose output differs, and why.
const EXPLAINED: &[(&str, &str)] = &[
    ("kubectl version", "each says its own version"),
    ("--dry-run$", "kubectl says in a line with time and process number that the bare flag is deprecated"),
    ("badkind", "kubectl asks for the schema in protobuf before it looks whether the kind exists"),
    ("config view -o json", "kubectl writes the fields in the order of its Go type, we sort them"),
    ("--help", "our help is generated from the table of commands"),
];

#[derive(Debug, PartialEq)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for char in line.chars() {
        match char {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            other => word.push(other),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

fn run(program: &str, line: &str) -> Said {
    let output = Command::new(program).args(words(line)).output().expect("the program can be run");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn prepare(real: &str, before: &str) {
    for line in before.split(';').map(str::trim).filter(|line| !line.is_empty()) {
        let said = run(real, line);
        let tolerated = line.starts_with("delete") || line.starts_with("create");
        assert!(said.code == 0 || tolerated, "{line}: {said:?}");
    }
}

#[test]
fn outputs_equal_kubectl_s() {
    let (Ok(real), Ok(_)) = (std::env::var("MKUBE_TEST_KUBECTL"), std::env::var("KUBECONFIG")) else {
        eprintln!("SKIPPED: set MKUBE_TEST_KUBECTL and KUBECONFIG to compare with a real kubectl");
        return;
    };
    let only = std::env::var("MKUBE_TEST_ONLY").unwrap_or_default();
    let ours = env!("CARGO_BIN_EXE_mkubectl");
    let mut different = 0;
    let cases = cases();
    for case in cases.iter().filter(|case| case.run.contains(&only)) {
        // Ages may tick between the two runs: only a difference that stays is one.
        let mut seen = None;
        for _ in 0..3 {
            prepare(&real, case.before);
            let expected = run(&real, case.run);
            prepare(&real, case.before);
            let got = run(ours, case.run);
            seen = (expected != got).then_some((expected, got));
            if seen.is_none() {
                break;
            }
        }
        let Some((expected, got)) = seen else { continue };
        if let Some((_, why)) = EXPLAINED.iter().find(|(part, _)| format!("kubectl {}$", case.run).contains(part)) {
            eprintln!("explained: {}: {why}", case.run);
            continue;
        }
        different += 1;
        eprintln!(
            "=== kubectl {}\n--- kubectl ({})\n{}{}--- mkubectl ({})\n{}{}",
            case.run, expected.code, expected.out, expected.err, got.code, got.out, got.err
        );
    }
    assert_eq!(different, 0, "{different} of {} commands differ", cases.len());
}
