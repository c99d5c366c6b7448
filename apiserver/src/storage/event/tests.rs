//! Tables for what watchers are told, for rings and for shared frames.

use api::selector::{FieldSelector, LabelSelector};
use serde_json::{Value, json};

use super::super::entry::Shape;
use super::*;

fn pods() -> KindRef {
    api::kinds::find("", "v1", "pods").unwrap().0
}

fn pod(app: &str, revision: Revision) -> Arc<Entry> {
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"app": app}, "name": "a"}});
    let bytes = serde_json::to_vec(&object).unwrap();
    Arc::new(Shape::of(pods()).build("/registry/pods/ns/a".into(), bytes.into(), revision).unwrap())
}

fn event(revision: Revision) -> Arc<Event> {
    Arc::new(Event::new(revision, None, Some(pod("x", revision))))
}

#[test]
fn transitions_become_added_and_deleted() {
    let selects_x = Predicate { labels: LabelSelector::parse("app=x").unwrap(), fields: FieldSelector::everything() };
    let table = [
        (None, Some("x"), Some(("ADDED", "x"))),
        (None, Some("y"), None),
        (Some("y"), Some("x"), Some(("ADDED", "x"))),
        (Some("x"), Some("x"), Some(("MODIFIED", "x"))),
        (Some("x"), Some("y"), Some(("DELETED", "x"))),
        (Some("y"), Some("z"), None),
        (Some("x"), None, Some(("DELETED", "x"))),
        (Some("y"), None, None),
    ];
    for (before, now, want) in table {
        let event = Arc::new(Event::new(9, before.map(|app| pod(app, 5)), now.map(|app| pod(app, 9))));
        let got = decide(&event, &selects_x);
        let told = got.as_ref().map(|item| (item.type_name(), item.change().unwrap().label("app").unwrap()));
        assert_eq!(told, want, "{before:?} {now:?}");
        assert!(got.is_none_or(|item| item.revision() == 9), "always at the revision of the change");
    }
}

#[test]
fn frames_are_made_once_while_shared() {
    let event = event(3);
    event.share();
    let items: Vec<WatchItem> = (0..2).filter_map(|_| decide(&event, &Predicate::default())).collect();
    let first = items[0].json_frame(pods());
    assert_eq!(first.as_ptr(), items[1].json_frame(pods()).as_ptr());
    let line: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!((&line["type"], &line["object"]["metadata"]["resourceVersion"]), (&json!("ADDED"), &json!("3")));
    assert!(first.ends_with(b"}\n"));
    assert_eq!(items[0].frame(1, |_| Bytes::from("one")), "one");
    assert_eq!(items[1].frame(1, |_| Bytes::from("two")), "one");
    assert_eq!(items[1].frame(2, |_| Bytes::from("two")), "two");
    event.retire();
    assert_eq!(items[1].frame(1, |_| Bytes::from("again")), "again");
    assert_eq!(items[0].json_frame(pods()), first);
}

#[test]
fn bookmarks_are_objects_of_the_kind() {
    for initial_end in [false, true] {
        let line = WatchItem::Bookmark { revision: 7, initial_end }.json_frame(pods());
        let line: Value = serde_json::from_slice(&line).unwrap();
        let mut want = json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"resourceVersion": "7"}}});
        if initial_end {
            want["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        assert_eq!(line, want);
    }
}

#[tokio::test(start_paused = true)]
async fn rings_forget_the_oldest_and_know_it() {
    let bounds = Bounds { events: 3, bytes: usize::MAX, age: Duration::from_secs(60) };
    let mut ring = Ring::new(10);
    let read = |ring: &Ring, cursor, most| {
        let mut batch = Vec::new();
        let read = ring.read(cursor, most, &mut batch);
        (read, batch.iter().map(|event| event.revision).collect::<Vec<_>>())
    };
    assert_eq!(read(&ring, 10, 9), (Read::Nothing, vec![]));
    assert_eq!(read(&ring, 9, 9), (Read::Behind, vec![]));
    for revision in [11, 13, 13] {
        ring.push(event(revision), &bounds);
    }
    assert_eq!(read(&ring, 10, 9), (Read::Some(13), vec![11, 13, 13]));
    assert_eq!(read(&ring, 10, 2), (Read::Some(13), vec![11, 13, 13]), "never part of a revision");
    assert_eq!(read(&ring, 10, 1), (Read::Some(11), vec![11]));
    assert_eq!(read(&ring, 20, 9), (Read::Nothing, vec![]), "the future is awaited");
    ring.push(event(14), &bounds);
    assert_eq!((ring.since, ring.len()), (11, 3));
    ring.push(event(15), &bounds);
    assert_eq!((ring.since, ring.len()), (13, 2), "a revision is dropped whole");
    tokio::time::advance(Duration::from_secs(61)).await;
    ring.push(event(16), &bounds);
    assert_eq!((ring.since, ring.len()), (15, 1), "by age");
    let tight = Bounds { bytes: 10, ..bounds };
    ring.trim(&tight);
    assert_eq!((ring.since, ring.len(), ring.bytes), (16, 0, 0), "by bytes");
}
