//! The example of every kind (`manifests/kinds`) through everything that passes objects on: none of it may change one.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::path::Path;

use serde_json::Value;

/// File name, object, its definition.
fn examples() -> Vec<(String, Value, &'static api::schema::Def)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/kinds");
    let mut examples = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for object in api::yaml::read_documents(&std::fs::read_to_string(&path).unwrap()).unwrap() {
            let (version, kind) =
                (api::object::api_version(&object).to_string(), api::object::kind(&object).to_string());
            let def = api::schema::of_object(&version, &kind).unwrap_or_else(|| panic!("{name}: no {version} {kind}"));
            examples.push((name.clone(), object, def));
        }
    }
    assert!(examples.len() >= api::kinds::stored().count(), "only {} examples", examples.len());
    examples
}

#[test]
fn written_as_yaml_they_read_the_same() {
    for (name, object, _) in examples() {
        let text = api::yaml::write(&object);
        assert_eq!(api::yaml::read_strict(&text).unwrap(), object, "{name}:\n{text}");
        assert_eq!(api::yaml::write(&api::yaml::read(&text).unwrap()), text, "{name}");
    }
}

#[test]
fn written_as_json_they_read_the_same() {
    for (name, object, _) in examples() {
        for text in [object.to_string(), serde_json::to_string_pretty(&object).unwrap()] {
            assert_eq!(api::decode::strict(text.as_bytes()), Ok((object.clone(), vec![])), "{name}");
            assert_eq!(api::yaml::read(&text).unwrap(), object, "{name}");
            assert_eq!(api::view::View::default().read(text.as_bytes()).unwrap().value(), object, "{name}");
        }
    }
}

#[test]
fn once_checked_they_stay_as_they_are() {
    for (name, mut object, def) in examples() {
        let strict = api::FieldValidation::Strict;
        assert_eq!(api::validate_fields(def, &mut object, strict), Ok(vec![]), "{name}");
        let mut again = object.clone();
        assert_eq!(api::validate_fields(def, &mut again, strict), Ok(vec![]), "{name}");
        assert_eq!(again, object, "{name}");
        let bytes = api::protobuf::encode(&object).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut back = api::protobuf::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(api::validate_fields(def, &mut back, strict), Ok(vec![]), "{name}");
        assert_eq!(back, object, "{name}");
    }
}

/// Applying the same once more is nothing; from nothing comes all of it; and back.
#[test]
fn patches_lead_there_and_back() {
    for (name, object, def) in examples() {
        let kind = def.name();
        let kind = Some(kind.as_str());
        let same = api::patch::three_way(&object, &object, &object, kind).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(same, serde_json::json!({}), "{name}");
        let empty = serde_json::json!({});
        let all = api::patch::create_two_way(&empty, &object, kind).unwrap_or_else(|e| panic!("{name}: {e}"));
        let made =
            api::patch::strategic_merge(&def.name(), empty.clone(), all).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(made, object, "{name}");
        let none = api::patch::create_two_way(&object, &empty, kind).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(api::patch::strategic_merge(&def.name(), object, none), Ok(empty), "{name}");
    }
}

#[test]
fn conversion_leads_there_and_back() {
    for (name, object, _) in examples() {
        let (kind, _) =
            api::kinds::by_api_version(api::object::api_version(&object), api::object::kind(&object)).unwrap();
        let stored = api::convert::convert(kind, object, &kind.served()).unwrap();
        for served in kind.all_served() {
            let there = api::convert::convert(kind, stored.clone(), &served).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(api::object::api_version(&there), served.api_version(), "{name}");
            assert_eq!(api::convert::convert(kind, there, &kind.served()), Ok(stored.clone()), "{name}");
        }
    }
}
