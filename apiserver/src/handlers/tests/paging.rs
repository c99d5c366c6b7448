//! Lists: pages, selectors, versions.

use super::*;

async fn many(rig: &Rig, count: usize) {
    for number in 0..count {
        rig.config_map(
            "default",
            &format!("m{number:02}"),
            json!({"parity": if number % 2 == 0 { "even" } else { "odd" }}),
        )
        .await;
    }
}

#[tokio::test]
async fn pages_are_of_one_moment() {
    let rig = Rig::new().await;
    many(&rig, 7).await;
    let first = rig.get(&format!("{MAPS}?limit=3")).await.json();
    assert_eq!(
        (first["kind"].clone(), names(&first)),
        (json!("ConfigMapList"), vec!["m00".into(), "m01".into(), "m02".into()])
    );
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    rig.config_map("default", "m03a", json!({})).await;
    rig.delete(&format!("{MAPS}/m04"), Value::Null).await;
    let mut token = first["metadata"]["continue"].as_str().unwrap().to_string();
    let mut seen = names(&first);
    loop {
        let page = rig.get(&format!("{MAPS}?limit=3&continue={token}")).await;
        assert_eq!(page.code, 200, "{}", page.message());
        let page = page.json();
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        seen.extend(names(&page));
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = next.into(),
            None => break,
        }
    }
    assert_eq!(seen, (0..7).map(|number| format!("m{number:02}")).collect::<Vec<_>>());
    assert_eq!(rig.get(MAPS).await.json()["items"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn selectors_choose() {
    let rig = Rig::new().await;
    many(&rig, 4).await;
    let table = [
        ("labelSelector=parity%3Deven", vec!["m00", "m02"]),
        ("labelSelector=parity!%3Deven", vec!["m01", "m03"]),
        ("labelSelector=parity+in+(odd,even)", vec!["m00", "m01", "m02", "m03"]),
        ("labelSelector=!parity", vec![]),
        ("fieldSelector=metadata.name%3Dm01", vec!["m01"]),
        ("fieldSelector=metadata.name!%3Dm01&labelSelector=parity%3Dodd", vec!["m03"]),
        ("fieldSelector=metadata.namespace%3Dother", vec![]),
    ];
    for (query, expected) in table {
        let list = rig.get(&format!("/api/v1/configmaps?{query}")).await;
        assert_eq!(list.code, 200, "{query}: {}", list.message());
        assert_eq!(names(&list.json()), expected, "{query}");
    }
    let page = rig.get(&format!("{MAPS}?limit=1&labelSelector=parity%3Dodd")).await.json();
    assert_eq!(page["metadata"].get("remainingItemCount"), None, "unknown under a selector");
    assert!(page["metadata"]["continue"].is_string());
}

#[tokio::test]
async fn a_list_of_the_past() {
    let rig = Rig::new().await;
    many(&rig, 2).await;
    let version = rig.get(MAPS).await.json()["metadata"]["resourceVersion"].as_str().unwrap().to_string();
    rig.config_map("default", "z", json!({})).await;
    let past = rig.get(&format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact")).await.json();
    assert_eq!(names(&past), ["m00", "m01"]);
    assert_eq!(past["metadata"]["resourceVersion"], *version);
    // A list "at least as new as" may lag behind; this one has made the cache catch up.
    assert_eq!(names(&rig.get(MAPS).await.json()), ["m00", "m01", "z"]);
    let at_least = rig.get(&format!("{MAPS}?resourceVersion={version}")).await.json();
    assert_eq!(at_least["items"].as_array().unwrap().len(), 3);
    let all = rig.get(&format!("{MAPS}?resourceVersion=0&limit=1")).await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 3, "the limit is ignored at version 0");
}

#[tokio::test]
async fn a_version_of_the_future_is_not_awaited_for_ever() {
    let rig = Rig::new().await;
    let answer = rig.get("/api/v1/configmaps?resourceVersion=999999").await;
    assert_eq!(answer.code, 504);
    assert_eq!(answer.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}

#[tokio::test]
async fn large_lists_come_in_pieces() {
    let rig = Rig::new().await;
    let filler = "x".repeat(20_000);
    for number in 0..40 {
        let body = json!({"metadata": {"name": format!("m{number:02}")}, "data": {"k": filler}});
        assert_eq!(rig.post(MAPS, body).await.code, 201);
    }
    let plain = rig.get(MAPS).await;
    assert_eq!(names(&plain.json()).len(), 40);
    assert_eq!(plain.header("content-length"), "");
    let packed = rig.send("GET", MAPS, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.bytes.len() < plain.bytes.len() / 10);
    assert_eq!(unpack(&packed.bytes), plain.bytes);
}

fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut out).unwrap();
    out
}
