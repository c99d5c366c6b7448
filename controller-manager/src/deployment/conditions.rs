//! The conditions of a Deployment as data: how one is made, found, and put in its place. Pure.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DeploymentCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// One of this type.
pub(super) fn condition(kind: &str, status: &str, reason: &str, message: String) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(kind.into()),
        status: Some(status.into()),
        reason: Some(reason.into()),
        message: Some(message),
        ..DeploymentCondition::default()
    }
}

/// The one of this type, if it is there.
pub(super) fn find<'a>(conditions: &'a [DeploymentCondition], kind: &str) -> Option<&'a DeploymentCondition> {
    conditions.iter().find(|condition| condition.type_.as_deref() == Some(kind))
}

/// Takes the one of this type away.
pub(super) fn remove(conditions: &mut Vec<DeploymentCondition>, kind: &str) {
    conditions.retain(|condition| condition.type_.as_deref() != Some(kind));
}

/// Puts a condition in its place unless its status and reason stand there already, whatever the message: its transition time
/// changes with its status (SetDeploymentCondition).
pub(super) fn set(conditions: &mut Vec<DeploymentCondition>, mut new: DeploymentCondition, now: Timestamp) {
    let place = conditions.iter().position(|old| old.type_ == new.type_);
    if let Some(old) = place.map(|place| &conditions[place]) {
        let refreshed = new.type_.as_deref() == Some("Progressing") && new.last_update_time.is_some();
        if old.status == new.status && old.reason == new.reason && !refreshed {
            return;
        }
        if old.status == new.status {
            new.last_transition_time = old.last_transition_time.clone();
        }
    }
    new.last_update_time = Some(Time(now));
    new.last_transition_time.get_or_insert(Time(now));
    match place {
        Some(place) => conditions[place] = new,
        None => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sets::testing::at;
    use super::*;

    #[test]
    fn a_condition_moves_its_transition_time_only_with_its_status() {
        let mut conditions = Vec::new();
        set(&mut conditions, condition("Available", "False", "A", "a".into()), at(0));
        set(&mut conditions, condition("Available", "False", "B", "b".into()), at(10));
        let times = |conditions: &[DeploymentCondition]| {
            let condition = &conditions[0];
            (condition.last_update_time.clone().unwrap().0, condition.last_transition_time.clone().unwrap().0)
        };
        assert_eq!(times(&conditions), (at(10), at(0)));
        set(&mut conditions, condition("Available", "False", "B", "b".into()), at(20));
        assert_eq!(times(&conditions), (at(10), at(0)), "nothing new, nothing changed");
        set(&mut conditions, condition("Available", "True", "C", "c".into()), at(30));
        assert_eq!(times(&conditions), (at(30), at(30)));
        set(&mut conditions, condition("Other", "True", "D", "d".into()), at(40));
        assert_eq!(conditions.len(), 2);
    }
}
