//! Which versions of etcd may be believed when they say how far a watch is.
//!
//! A progress response claims that every event up to its revision has been sent. Before the fixes of etcd-io/etcd #15220
//! (a response overtook events of a watch that was not in step) and #17507 (none was sent for watches without events, after
//! the first fix) the claim was false or never made. Kubernetes draws the same line: v3.4.31, v3.5.13
//! (apiserver, storage/feature/feature_support_checker.go).

/// Whether a server of this version, as its Status says it, tells a watch's progress right. Unreadable means no.
pub(crate) fn progress_is_right(version: &str) -> bool {
    let plain = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    let mut numbers = plain.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten(), numbers.next().flatten()) {
        (Some(3), Some(4), Some(patch)) => patch >= 31,
        (Some(3), Some(5), Some(patch)) => patch >= 13,
        (Some(major), Some(minor), Some(_)) => (major, minor) >= (3, 6),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repaired_versions_are_believed() {
        let right = ["3.4.31", "3.4.39", "3.5.13", "v3.5.21", "3.6.0", "3.6.0-rc.1", "4.0.0", "3.5.13+mkube"];
        for version in right {
            assert!(progress_is_right(version), "{version}");
        }
        for version in ["3.4.23", "3.4.25", "3.4.30", "3.5.8", "3.5.12", "3.3.27", "2.3.8", "", "3.5", "x.y.z"] {
            assert!(!progress_is_right(version), "{version}");
        }
    }
}
