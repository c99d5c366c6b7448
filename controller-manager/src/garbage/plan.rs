//! Whether an object has to go, given how its owners stand. Pure (kube-controller-manager,
//! garbagecollector/garbagecollector.go, attemptToDeleteItem).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The finalizer of what waits for its dependents.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of what leaves orphans behind.
pub(super) const ORPHAN: &str = "orphan";

/// How an owner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It exists.
    Solid,
    /// It does not exist.
    Dangling,
    /// It is going, and waits for its dependents.
    Waiting,
}

/// What to do about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// It stays for another owner's sake; forget these references.
    Prune(Vec<String>),
    /// Delete it, so. `unblock`: first let its references block nobody, as it may be part of a circle.
    Delete { policy: &'static str, unblock: bool },
}

pub(super) fn has_finalizer(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.iter().flatten().any(|present| present == finalizer)
}

/// How an owner that exists stands.
pub(super) fn standing(owner: &ObjectMeta) -> Standing {
    let waits = owner.deletion_timestamp.is_some() && has_finalizer(owner, FOREGROUND);
    if waits { Standing::Waiting } else { Standing::Solid }
}

/// The decision. `owners`: UID and standing of each; `dependent_waits`: one of the object's own dependents waits for its
/// dependents (the circle that this suggests may be none: then unblocking does no harm).
pub(super) fn verdict(
    object: &ObjectMeta,
    owners: &[(String, Standing)],
    has_dependents: bool,
    dependent_waits: bool,
) -> Verdict {
    let is = |standing: Standing| owners.iter().any(|(_, each)| *each == standing);
    if owners.is_empty() {
        return Verdict::Keep;
    }
    if is(Standing::Solid) {
        let lost = owners.iter().filter(|(_, standing)| *standing != Standing::Solid);
        let lost: Vec<String> = lost.map(|(uid, _)| uid.clone()).collect();
        return if lost.is_empty() { Verdict::Keep } else { Verdict::Prune(lost) };
    }
    if is(Standing::Waiting) && has_dependents {
        return Verdict::Delete { policy: "Foreground", unblock: dependent_waits };
    }
    // What somebody asked for before is honoured.
    let policy = if has_finalizer(object, ORPHAN) {
        "Orphan"
    } else if has_finalizer(object, FOREGROUND) {
        "Foreground"
    } else {
        "Background"
    };
    Verdict::Delete { policy, unblock: false }
}

#[cfg(test)]
mod tests {
    use super::Standing::{Dangling, Solid, Waiting};
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn the_verdict_follows_the_owners() {
        let delete = |policy: &'static str, unblock: bool| Verdict::Delete { policy, unblock };
        let prune = |uids: &[&str]| Verdict::Prune(uids.iter().map(ToString::to_string).collect());
        // owners, finalizers, (has dependents, one of them waits) → verdict
        let table = [
            (vec![], vec![], (false, false), Verdict::Keep),
            (vec![Solid], vec![], (true, true), Verdict::Keep),
            (vec![Solid, Dangling, Waiting], vec![], (true, true), prune(&["1", "2"])),
            (vec![Dangling], vec![], (true, false), delete("Background", false)),
            (vec![Dangling, Dangling], vec![ORPHAN], (false, false), delete("Orphan", false)),
            (vec![Dangling], vec![FOREGROUND], (false, false), delete("Foreground", false)),
            (vec![Waiting], vec![], (false, false), delete("Background", false)),
            (vec![Waiting], vec![], (true, false), delete("Foreground", false)),
            (vec![Waiting, Dangling], vec![], (true, true), delete("Foreground", true)),
            (vec![Waiting], vec![ORPHAN], (true, false), delete("Foreground", false)),
        ];
        for (owners, finalizers, (dependents, waits), expected) in table {
            let meta = ObjectMeta {
                finalizers: Some(finalizers.iter().map(ToString::to_string).collect()),
                ..ObjectMeta::default()
            };
            let named: Vec<_> = owners.iter().enumerate().map(|(uid, each)| (uid.to_string(), *each)).collect();
            assert_eq!(verdict(&meta, &named, dependents, waits), expected, "{owners:?} {finalizers:?}");
        }
    }

    #[test]
    fn only_an_owner_that_goes_in_the_foreground_waits() {
        let table = [
            (json!({}), Solid),
            (json!({"finalizers": [FOREGROUND]}), Solid),
            (json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), Solid),
            (json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FOREGROUND]}), Waiting),
        ];
        for (meta, expected) in table {
            assert_eq!(standing(&from_value(meta.clone()).unwrap()), expected, "{meta}");
        }
    }
}
