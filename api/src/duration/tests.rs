//! Ages as kubectl prints them, durations as Go writes them.

use super::*;
use proptest::prelude::*;

#[test]
fn ages_read_like_kubectls() {
    let (minute, hour, day, year) = (60, 3600, 86_400, 365 * 86_400);
    let table = [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (2 * minute, "2m"),
        (2 * minute + 1, "2m1s"),
        (10 * minute - 1, "9m59s"),
        (10 * minute + 30, "10m"),
        (3 * hour - 1, "179m"),
        (3 * hour, "3h"),
        (3 * hour + minute, "3h1m"),
        (8 * hour + 59 * minute, "8h"),
        (2 * day - 1, "47h"),
        (2 * day, "2d"),
        (2 * day + hour, "2d1h"),
        (8 * day + 5 * hour, "8d"),
        (2 * year - 1, "729d"),
        (2 * year, "2y"),
        (2 * year + day, "2y1d"),
        (8 * year + 5 * day, "8y"),
    ];
    for (seconds, text) in table {
        assert_eq!(human(SignedDuration::from_secs(seconds)), text, "{seconds}");
    }
    for (seconds, text) in [(59, "59s"), (61, "1m"), (7200, "2h"), (3 * day, "3d"), (2 * year, "2y")] {
        assert_eq!(short_human(SignedDuration::from_secs(seconds)), text);
    }
}

#[test]
fn ages_of_timestamps() {
    let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    let table = [
        ("2026-01-01T23:55:57Z", "4m3s"),
        ("2026-01-01T23:59:58.5Z", "1s"),
        ("2026-01-02T00:00:00.9Z", "0s"),
        ("2026-01-02T00:01:00Z", "<invalid>"),
        ("", "<unknown>"),
        ("yesterday", "<unknown>"),
    ];
    for (then, text) in table {
        assert_eq!(age(then, now), text, "{then}");
    }
    assert_eq!(until("2026-01-02T00:01:30Z", now), "90s");
}

#[test]
fn go_durations() {
    let table = [
        ("0", 0, "0s"),
        ("1s", 1_000_000_000, "1s"),
        ("1.5h", 5_400_000_000_000, "1h30m0s"),
        ("-2m3s", -123_000_000_000, "-2m3s"),
        ("+.5s", 500_000_000, "500ms"),
        ("1h1ns", 3_600_000_000_001, "1h0m0.000000001s"),
        ("1500us", 1_500_000, "1.5ms"),
        ("3µs", 3_000, "3µs"),
        ("1.0000000000000000000001s", 1_000_000_000, "1s"),
        ("9223372036854775807ns", i64::MAX, "2562047h47m16.854775807s"),
    ];
    for (text, nanos, printed) in table {
        let duration = parse_go(text).unwrap();
        assert_eq!(duration, SignedDuration::from_nanos(nanos), "{text}");
        assert_eq!(format_go(duration), printed);
    }
    let errors = [
        ("", "time: invalid duration \"\""),
        ("3", "time: missing unit in duration \"3\""),
        ("1d", "time: unknown unit \"d\" in duration \"1d\""),
        ("x", "time: invalid duration \"x\""),
        ("1..s", "time: invalid duration \"1..s\""),
        ("-", "time: invalid duration \"-\""),
        ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
    ];
    for (text, message) in errors {
        assert_eq!(parse_go(text).unwrap_err().to_string(), message);
    }
}

proptest! {
    #[test]
    fn go_form_round_trips(nanos in any::<i64>()) {
        let duration = SignedDuration::from_nanos(nanos);
        prop_assume!(nanos != i64::MIN);
        prop_assert_eq!(parse_go(&format_go(duration)), Ok(duration));
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,12}") {
        let _ = parse_go(&text);
    }
}
