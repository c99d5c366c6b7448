//! Indexes, slices, filters and ranges over lists, by tables.

use serde_json::{Value, json};

use crate::jsonpath::JsonPath;

/// Renders with missing keys as errors, so that a path that leads nowhere is seen.
fn strict(template: &str, value: &Value) -> String {
    let rendered = JsonPath::parse(template).and_then(|path| path.allow_missing_keys(false).render(value));
    rendered.unwrap_or_else(|error| format!("error: {error}"))
}

fn check(value: &Value, table: &[(&str, &str)]) {
    for (template, expected) in table {
        assert_eq!(strict(template, value), *expected, "{template}");
    }
}

#[test]
fn lists_of_every_type() {
    let value = json!({
        "bools": [true, false, true, false],
        "integers": [1, 2, 3, 4],
        "floats": [1.5, 2.2, 3.3, 4.25],
        "strings": ["one", "two", "three", "four"],
        "mixed": [true, "one", 1, 1.1, null],
        "maps": [{"name": "one", "value": 1}, {"name": "two", "value": 2.02}, {"name": "three", "value": 3}],
        "lists": [[1, 2], [], [[3]]],
    });
    check(
        &value,
        &[
            ("{ .bools }", "[true,false,true,false]"),
            ("{ .bools[0] }", "true"),
            ("{ .bools[-1] }", "false"),
            ("{ .bools[0:2] }", "true false"),
            ("{ .bools[:2] }", "true false"),
            ("{ .bools[:4:2] }", "true true"),
            ("{ .integers }", "[1,2,3,4]"),
            ("{ .integers[-2] }", "3"),
            ("{ .integers[:4:2] }", "1 3"),
            ("{ .integers[*] }", "1 2 3 4"),
            ("{ .floats }", "[1.5,2.2,3.3,4.25]"),
            ("{ .floats[-2] }", "3.3"),
            ("{ .floats[:4:2] }", "1.5 3.3"),
            ("{ .strings }", "[\"one\",\"two\",\"three\",\"four\"]"),
            ("{ .strings[-2] }", "three"),
            ("{ .strings[0:2] }", "one two"),
            ("{ .mixed }", "[true,\"one\",1,1.1,null]"),
            ("{ .mixed[*] }", "true one 1 1.1 null"),
            ("{ .mixed[:2] }", "true one"),
            ("{ .maps[0] }", "{\"name\":\"one\",\"value\":1}"),
            ("{ .maps[::2].name }", "one three"),
            ("{ .maps[1::2].name }", "two"),
            ("{ .maps[*].value }", "1 2.02 3"),
            ("{ .lists[0] }", "[1,2]"),
            ("{ .lists[0][1] }", "2"),
            ("{ .lists[*][0] }", "error: array index out of bounds: index 0, length 0"),
            ("{ .lists[2][0][0] }", "3"),
            (
                "{ .maps }{ .bools[0] }",
                "[{\"name\":\"one\",\"value\":1},{\"name\":\"two\",\"value\":2.02},{\"name\":\"three\",\"value\":3}]true",
            ),
        ],
    );
}

#[test]
fn the_value_itself_may_be_a_list() {
    check(&json!([1, 2, 3]), &[("{..}", "[1,2,3]"), ("{@}", "[1,2,3]"), ("{$}", "[1,2,3]"), ("{[1]}", "2")]);
    check(&json!([2, 6, 3, 7]), &[("{[?(@<5)]}", "2 3"), ("{[?(@>=6)]}", "6 7"), ("{[?(@!=3)]}", "2 6 7")]);
    check(&json!([0, 1, 2, 3, 4]), &[("{[1,3,4]}", "1 3 4"), ("{[-1,0]}", "4 0"), ("{[0,0]}", "0 0")]);
    check(&json!(["Monday", "Tuesday"]), &[("{[0:2]}", "Monday Tuesday"), ("{[*]}", "Monday Tuesday")]);
    check(&json!("text"), &[("{@}", "text"), ("{}", "text"), ("a{@}b", "atextb")]);
}

#[test]
fn indexes_from_both_ends() {
    let value = json!({"c": [{"n": "f0"}, {"n": "f1"}, {"n": "f2"}, {"n": "f3"}]});
    check(
        &value,
        &[
            ("{.c[0].n}", "f0"),
            ("{.c[3].n}", "f3"),
            ("{.c[-1].n}", "f3"),
            ("{.c[-2].n}", "f2"),
            ("{.c[-3].n}", "f1"),
            ("{.c[-4].n}", "f0"),
            ("{.c[-5].n}", "error: array index out of bounds: index -1, length 4"),
            ("{.c[4].n}", "error: array index out of bounds: index 4, length 4"),
            ("{.c[0:0].n}", ""),
            ("{.c[5:5].n}", ""),
            ("{.c[-5:-5].n}", ""),
            ("{.c[0:-1].n}", "f0 f1 f2"),
            ("{.c[-1:].n}", "f3"),
            ("{.c[-2:].n}", "f2 f3"),
            ("{.c[-4:].n}", "f0 f1 f2 f3"),
            ("{.c[-3:-1].n}", "f1 f2"),
            ("{.c[:].n}", "f0 f1 f2 f3"),
            ("{.c[::].n}", "f0 f1 f2 f3"),
            ("{.c[-1:0].n}", "error: starting index 3 is greater than ending index 0"),
            ("{.c[3:1].n}", "error: starting index 3 is greater than ending index 1"),
            ("{.c[-1:-2].n}", "error: starting index 3 is greater than ending index 2"),
            ("{.c[0:5].n}", "error: array index out of bounds: index 4, length 4"),
            ("{.c[4:5].n}", "error: array index out of bounds: index 4, length 4"),
        ],
    );
}

#[test]
fn steps() {
    let value = json!({"c": ["f0", "f1", "f2", "f3", "f4", "f5"]});
    check(
        &value,
        &[
            ("{.c[0:]}", "f0 f1 f2 f3 f4 f5"),
            ("{.c[0:6:]}", "f0 f1 f2 f3 f4 f5"),
            ("{.c[0:6:1]}", "f0 f1 f2 f3 f4 f5"),
            ("{.c[1:4:2]}", "f1 f3"),
            ("{.c[1:4:3]}", "f1"),
            ("{.c[1:4:4]}", "f1"),
            ("{.c[0:6:2]}", "f0 f2 f4"),
            ("{.c[0:6:3]}", "f0 f3"),
            ("{.c[0:6:5]}", "f0 f5"),
            ("{.c[0:6:6]}", "f0"),
            ("{.c[::4]}", "f0 f4"),
            ("{.c[0:6:0]}", "error: step must be > 0"),
            ("{.c[0:6:-1]}", "error: step must be > 0"),
        ],
    );
}

#[test]
fn filters() {
    let points = json!([
        {"id": "i1", "x": 4, "y": -5},
        {"id": "i2", "x": -2, "y": -5, "z": 1},
        {"id": "i3", "x": 8, "y": 3},
        {"id": "i4", "x": -6, "y": -1},
        {"id": "i5", "x": 0, "y": 2, "z": 1},
        {"id": "i6", "x": 1, "y": 4},
        {"id": "i7", "x": null, "y": 4},
    ]);
    check(
        &points,
        &[
            ("{[?(@.z)].id}", "i2 i5"),
            ("{[0]['id']}", "i1"),
            ("{[-1]['x']}", "null"),
            ("{[?(@.y<0)].id}", "i1 i2 i4"),
            ("{[?(@.y<=2)].id}", "i1 i2 i4 i5"),
            ("{[?(@.y==4)].id}", "i6 i7"),
            ("{[?(@.id==\"i4\")].x}", "-6"),
            ("{[?(@.id=='i4')].x}", "-6"),
            ("{[?(@.id>\"i5\")].id}", "i6 i7"),
            ("{[?('i4'==@.id)].id}", "i4"),
            ("{[?(2>@.y)].id}", "i1 i2 i4"),
            // Null is there, but compares with nothing.
            ("{[?(@.x)].id}", "i1 i2 i3 i4 i5 i6 i7"),
            ("{[?(@.x==0)].id}", "error: invalid type for comparison"),
            ("{[?(@.y=\"4\")].id}", "error: incompatible types for comparison"),
            ("{[?(@.y<>4)].id}", "error: unrecognized filter operator <>"),
        ],
    );
    let nodes = json!({"items": [
        {"name": "a", "ready": true, "labels": {"kubernetes.io/hostname": "127.0.0.1"}, "status": {"deep": {"ready": true}}},
        {"name": "b", "ready": false, "labels": {"kubernetes.io/hostname": "127.0.0.2"}, "status": {"deep": {"ready": false}}},
    ]});
    check(
        &nodes,
        &[
            ("{.items[?(@.ready==true)].name}", "a"),
            ("{.items[?(@.ready==false)].name}", "b"),
            ("{.items[?(@.ready!=true)].name}", "b"),
            ("{.items[?(.ready==true)].name}", "a"),
            ("{.items[?(@.labels.kubernetes\\.io/hostname==\"127.0.0.1\")].name}", "a"),
            ("{.items[?(@.status..ready==true)].name}", "a"),
            ("{.items[?(@.ready>false)].name}", "error: invalid type for comparison"),
            ("{.items[?(@.name)].name}", "a b"),
            ("{.items[?(@.missing)].name}", ""),
            ("{.items[?(@.missing==1)].name}", "error: missing is not found"),
        ],
    );
}

/// Some have the field, some do not: that is fine where missing keys are.
#[test]
fn filters_over_what_some_lack() {
    let pods = json!({"items": [
        {"name": "pod1", "annotations": {"color": "blue"}, "phase": "Running"},
        {"name": "pod2", "phase": "Running"},
        {"name": "pod3", "annotations": {"color": "green"}, "phase": "Pending"},
        {"resourceVersion": ""},
        {"name": "pod4", "annotations": {"color": "blue"}, "phase": "Running"},
    ]});
    let template = "{.items[?(@.annotations.color==\"blue\")].name}";
    assert_eq!(JsonPath::parse(template).unwrap().render(&pods).unwrap(), "pod1 pod4");
    assert_eq!(strict(template, &pods), "error: annotations is not found");
    let template = "{range .items[?(.phase==\"Running\")]}{.name}{\" is Running\\n\"}{end}";
    let expected = "pod1 is Running\npod2 is Running\npod4 is Running\n";
    assert_eq!(JsonPath::parse(template).unwrap().render(&pods).unwrap(), expected);
}

#[test]
fn ranges() {
    let value = json!({"kind": "List", "items": [
        {"name": "pod1", "containers": [
            {"name": "foo", "env": [{"name": "v1"}, {"name": "v2"}]},
            {"name": "bar", "env": [{"name": "v3"}]}]},
        {"name": "pod2", "containers": [{"name": "baz", "env": []}]},
    ]});
    check(
        &value,
        &[
            ("{range .items[*]}{.name}, {end}{.kind}", "pod1, pod2, List"),
            ("{range .items[*]}{.name}{\"\\t\"}{end}", "pod1\tpod2\t"),
            ("{range .items[*]}[{.name}, {.containers[0].name}] {end}", "[pod1, foo] [pod2, baz] "),
            ("{range .items[*]}{range .containers[*]}{.name}, {end}{end}", "foo, bar, baz, "),
            (
                "{range .items[*]}{.name}{\":\"}{range @.containers[*]}{.name}{\",\"}{end}{\"+\"}{end}",
                "pod1:foo,bar,+pod2:baz,+",
            ),
            (
                "{range .items[*]}{.name}{\"~\"}{range @.containers[*]}{.name}{\":\"}{range @.env[*]}{.name}{\",\"}{end}{\"+\"}{end}{\"#\"}{end}",
                "pod1~foo:v1,v2,+bar:v3,+#pod2~baz:+#",
            ),
            (
                "{range .items[*]}{.name}{\"\\t\"}{range @.containers[*]}{.name} {end}{\"\\t\"}{range @.containers[*]}{.name} {end}{\"\\n\"}{end}",
                "pod1\tfoo bar \tfoo bar \npod2\tbaz \tbaz \n",
            ),
            ("{range .items[*]}{.name}{end}{end}", "error: not in range, nothing to end"),
            ("{range .items[0:1]}{.name}{end}", "pod1"),
            ("{range .items[?(@.name==\"pod2\")]}{.name}{end}", "pod2"),
            ("{range .kind}{@}{end}", "List"),
        ],
    );
    let empty = json!({"items": []});
    check(
        &empty,
        &[
            ("{range .items[*]}{.metadata.name}{end}", ""),
            ("{range .items[*]}{.name}{\":\"}{range @.spec.containers[*]}{.name}{\",\"}{end}{\"+\"}{end}", ""),
            ("a{range .items[*]}b{end}c", "ac"),
        ],
    );
}
