//! The graph, event by event. Objects are written `name` or `name<owner,owner!`: `!` marks an owner that the object blocks.

use super::*;

fn seen(text: &str) -> Seen {
    let (name, owners) = text.split_once('<').unwrap_or((text, ""));
    let owners = owners.split(',').filter(|owner| !owner.is_empty()).map(|owner| {
        let uid = owner.trim_end_matches('!');
        Owner {
            uid: uid.into(),
            api_version: "v1".into(),
            kind: "Thing".into(),
            name: uid.into(),
            blocking: owner.ends_with('!'),
        }
    });
    let identity =
        Identity { api_version: "v1".into(), kind: "Thing".into(), namespace: "ns".into(), name: name.into() };
    Seen { uid: name.into(), identity, owners: owners.collect(), going: false, orphan: false, foreground: false }
}

fn foreground(text: &str) -> Seen {
    Seen { going: true, foreground: true, ..seen(text) }
}

fn graph(objects: &[&str]) -> Graph {
    let mut graph = Graph::default();
    for object in objects {
        graph.present(seen(object));
    }
    graph
}

/// `d:` look whether to delete, `o:` orphan its dependents; sorted.
fn told(work: Vec<Work>) -> Vec<String> {
    let mut told: Vec<String> = work
        .into_iter()
        .map(|work| match work {
            Work::Delete(uid) => format!("d:{uid}"),
            Work::Orphan(uid) => format!("o:{uid}"),
        })
        .collect();
    told.sort();
    told
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_owner_seen_first_makes_no_work() {
    let mut graph = graph(&["d"]);
    assert_eq!(told(graph.present(seen("r<d!"))), NOTHING);
    assert_eq!(told(graph.present(seen("r<d!"))), NOTHING);
    assert_eq!(graph.dependents("d").len(), 1);
}

#[test]
fn an_unknown_owner_is_looked_up_once_and_may_turn_up() {
    let mut graph = Graph::default();
    assert_eq!(told(graph.present(seen("r<d"))), ["d:d"]);
    assert_eq!(told(graph.present(seen("s<d"))), NOTHING);
    assert_eq!(graph.item("d").unwrap().known, Known::Virtual);
    assert_eq!(told(graph.present(seen("d"))), NOTHING);
    assert_eq!(told(graph.unfound(&"d".into())), NOTHING, "a look-up from before it was seen");
    assert_eq!(told(graph.gone("d")), ["d:r", "d:s"]);
}

#[test]
fn an_owner_that_is_nowhere_condemns_its_dependents_also_late_ones() {
    let mut graph = graph(&["r<d"]);
    assert_eq!(told(graph.unfound(&"d".into())), ["d:r"]);
    assert_eq!(told(graph.present(seen("s<d"))), ["d:s"]);
    assert!(!graph.is_gone("d"), "the reference may have been wrong");
    graph.gone("r");
    graph.gone("s");
    assert_eq!(graph.len(), 0, "nothing is remembered without need");
}

#[test]
fn deleting_an_owner_goes_down_step_by_step_and_leaves_nothing() {
    let mut graph = graph(&["d", "r<d!", "p<r!", "q<r!"]);
    assert_eq!(told(graph.gone("d")), ["d:r"]);
    assert!(graph.is_gone("d"));
    assert_eq!(told(graph.present(seen("late<d"))), ["d:late"]);
    assert_eq!(told(graph.gone("r")), ["d:p", "d:q"]);
    assert_eq!(told(graph.gone("late")), NOTHING);
    graph.gone("p");
    graph.gone("q");
    assert_eq!(graph.len(), 0);
}

#[test]
fn foreground_deletion_wakes_dependents_and_is_woken_by_them() {
    let mut graph = graph(&["d", "r<d!", "s<d"]);
    assert_eq!(told(graph.present(foreground("d"))), ["d:d", "d:r", "d:s"]);
    assert_eq!(told(graph.present(foreground("d"))), NOTHING, "it began only once");
    assert_eq!(graph.blocking("d"), [("r".into(), false)]);
    assert_eq!(told(graph.present(seen("late<d!"))), ["d:late"]);
    graph.present(foreground("r<d!"));
    assert!(graph.blocking("d").contains(&("r".into(), true)));
    assert_eq!(told(graph.gone("late")), ["d:d"]);
    assert_eq!(told(graph.gone("r")), ["d:d"]);
    assert!(graph.blocking("d").is_empty());
}

#[test]
fn a_dependent_that_stops_blocking_frees_its_owner() {
    for released in ["r<d", "r"] {
        let mut graph = graph(&["d", "r<d!"]);
        graph.present(foreground("d"));
        assert_eq!(told(graph.present(seen(released))), ["d:d"], "{released}");
        assert!(graph.blocking("d").is_empty());
    }
}

#[test]
fn orphaning_begins_once_and_wins_over_waiting() {
    let mut graph = graph(&["d", "r<d!"]);
    let orphaning = Seen { going: true, orphan: true, ..seen("d") };
    assert_eq!(told(graph.present(orphaning.clone())), ["o:d"]);
    assert_eq!(told(graph.present(orphaning)), NOTHING);
    assert_eq!(graph.dependents("d")[0].0, "r".into());
    assert_eq!(told(graph.present(seen("r"))), NOTHING);
    assert_eq!(told(graph.gone("d")), NOTHING);
}

#[test]
fn circles_are_found_when_one_of_them_waits() {
    let mut graph = graph(&["a<b!", "b<a!"]);
    assert_eq!(told(graph.present(foreground("a<b!"))), ["d:a", "d:b"]);
    assert!(graph.item("b").unwrap().dependent_waits);
    assert!(!graph.item("a").unwrap().dependent_waits);
    graph.gone("a");
    graph.gone("b");
    assert_eq!(graph.len(), 0);
}

#[test]
fn several_owners_are_followed_each() {
    let mut graph = graph(&["a", "b", "r<a,b"]);
    assert_eq!(told(graph.gone("a")), ["d:r"]);
    graph.present(seen("r<b"));
    assert!(graph.item("a").is_none());
    assert_eq!(told(graph.gone("b")), ["d:r"]);
}

#[test]
fn a_reference_that_names_another_object_is_looked_at() {
    let mut wrong = seen("r<d");
    wrong.owners[0].name = "other".into();
    let mut first = graph(&["d"]);
    assert_eq!(told(first.present(wrong.clone())), ["d:r"]);
    let mut second = Graph::default();
    second.present(wrong);
    assert_eq!(told(second.present(seen("d"))), ["d:r"]);
    let mut elsewhere = seen("r<d");
    elsewhere.identity.namespace = "elsewhere".into();
    assert_eq!(told(graph(&["d"]).present(elsewhere)), ["d:r"]);
    let mut older = seen("r<d");
    older.owners[0].api_version = "v1beta1".into();
    assert_eq!(told(graph(&["d"]).present(older)), NOTHING);
}

#[test]
fn what_a_list_lacks_is_gone() {
    let mut graph = graph(&["d", "r<d", "x"]);
    let kept = HashSet::from(["r".into(), "x".into()]);
    assert_eq!(told(graph.listed("v1", "Other", &HashSet::new())), NOTHING);
    assert_eq!(told(graph.listed("v1", "Thing", &kept)), ["d:r"]);
    assert!(graph.is_gone("d") && graph.item("x").is_some());
}

#[test]
fn names_and_uids_are_stored_once() {
    let mut graph = graph(&["a"]);
    assert!(Arc::ptr_eq(&graph.name("Pod"), &graph.name("Pod")));
    let first = graph.uid("a");
    assert!(Arc::ptr_eq(&first, &graph.uid("a")));
}

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Whatever happens in whatever order, circles included: the graph knows exactly what exists and what that refers to, its
/// links go both ways, and whoever loses an owner is looked at.
#[test]
fn the_graph_equals_a_simple_model_after_any_history() {
    let names: Vec<String> = (0..7).map(|number| format!("n{number}")).collect();
    for seed in 0..200 {
        let (mut dice, mut graph) = (Dice(seed), Graph::default());
        let mut model: std::collections::HashMap<String, Vec<String>> = std::collections::HashMap::new();
        for step in 0..80 {
            let name = &names[dice.roll(7) as usize];
            let depend_on_it: Vec<String> =
                model.iter().filter(|(_, owners)| owners.contains(name)).map(|(name, _)| name.clone()).collect();
            let work = match dice.roll(4) {
                0 if model.contains_key(name) => {
                    model.remove(name);
                    graph.gone(name)
                }
                1 if !model.contains_key(name) => graph.unfound(&name.as_str().into()),
                _ => {
                    let owners: Vec<String> = names.iter().filter(|_| dice.roll(4) == 0).cloned().collect();
                    let text = format!("{name}<{}", owners.join("!,"));
                    let waits = dice.roll(5) == 0;
                    graph.present(if waits { foreground(&text) } else { seen(&text) });
                    model.insert(name.clone(), owners);
                    Vec::new()
                }
            };
            let what = format!("seed {seed}, step {step}");
            if !work.is_empty() {
                for dependent in depend_on_it.iter().filter(|dependent| *dependent != name) {
                    assert!(work.contains(&Work::Delete(dependent.as_str().into())), "{what}: {dependent}");
                }
            }
            for name in &names {
                let mut dependents: Vec<&str> =
                    model.iter().filter(|(_, owners)| owners.contains(name)).map(|(name, _)| name.as_str()).collect();
                let known = graph.dependents(name);
                let mut told: Vec<&str> = known.iter().map(|(uid, _)| &**uid).collect();
                dependents.sort_unstable();
                told.sort_unstable();
                assert_eq!(told, dependents, "{what}: dependents of {name}");
                let item = graph.item(name);
                assert_eq!(item.is_some(), model.contains_key(name) || !dependents.is_empty(), "{what}: {name}");
                let observed = item.is_some_and(|item| item.known == Known::Observed);
                assert_eq!(observed, model.contains_key(name), "{what}: {name}");
            }
        }
    }
}
