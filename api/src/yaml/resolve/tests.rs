//! What plain scalars mean.

use super::*;

mod times;

#[test]
fn meanings() {
    use Resolved::{Bool, Float, Int, Null, Text, Timestamp, Uint};
    let table = [
        ("", Null),
        ("~", Null),
        ("null", Null),
        ("nULL", Text),
        ("yes", Bool(true)),
        ("Y", Bool(true)),
        ("oN", Text),
        ("off", Bool(false)),
        ("n", Bool(false)),
        ("0644", Int(420)),
        ("0o17", Int(15)),
        ("0x1F", Int(31)),
        ("-0x10", Int(-16)),
        ("0b101", Int(5)),
        ("-0b11", Int(-3)),
        ("08", Float(8.0)),
        ("1_000", Int(1000)),
        ("_1", Text),
        ("+12", Int(12)),
        ("-0", Int(0)),
        ("--1", Text),
        ("1-1", Text),
        ("9223372036854775807", Int(i64::MAX)),
        ("-9223372036854775808", Int(i64::MIN)),
        ("9223372036854775808", Uint(1 << 63)),
        ("18446744073709551616", Float(18_446_744_073_709_551_616.0)),
        ("1.5", Float(1.5)),
        ("1.", Float(1.0)),
        (".5", Float(0.5)),
        ("-.5e3", Float(-500.0)),
        ("1e3", Float(1000.0)),
        ("1e999", Text),
        (".", Text),
        ("1.2.3", Text),
        (".inf", Float(f64::INFINITY)),
        ("12:30", Text),
        ("2001-01-01", Timestamp),
        ("2001-1-1T1:2:3Z", Timestamp),
        ("2001-12-14t21:59:43.10-05:00", Timestamp),
        ("2001-12-14 21:59:43", Timestamp),
        ("2001-13-01", Text),
        ("2001-02-30", Text),
        ("2001-12-14 21:59:43 Z", Text),
        ("abc", Text),
        ("<<", Text),
        ("é", Text),
    ];
    for (text, meaning) in table {
        assert_eq!(resolve(text), meaning, "{text:?}");
    }
    assert!(matches!(resolve(".NaN"), Float(value) if value.is_nan()));
}

#[test]
fn base_60() {
    for text in ["12:30", "1:2:3", "-190:20:30.15", "+1:5", "1_0:59"] {
        assert!(is_base_60(text), "{text}");
    }
    for text in ["", "12", "a:1", "12:60", "12:", ":1", "1:2:", "12:30:x", "1:100"] {
        assert!(!is_base_60(text), "{text}");
    }
}
