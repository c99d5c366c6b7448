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

/// Milliseconds in one of each unit.
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

#[test]
fn ages_at_the_edges_between_units() {
    let table = [
        (-2 * SECOND, "<invalid>"),
        (-2 * SECOND + 1, "0s"),
        (0, "0s"),
        (SECOND - 1, "0s"),
        (70 * SECOND, "70s"),
        (2 * MINUTE - 1, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + SECOND, "2m1s"),
        (190 * SECOND, "3m10s"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE, "10m"),
        (10 * MINUTE + SECOND, "10m"),
        (70 * MINUTE, "70m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + MINUTE, "3h1m"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR, "8h"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + HOUR, "2d1h"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY, "8d"),
        (8 * DAY + 23 * HOUR, "8d"),
        (367 * DAY, "367d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + 23 * HOUR + 59 * MINUTE, "2y"),
        (2 * YEAR + DAY - 1, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (3 * YEAR, "3y"),
        (7 * YEAR, "7y"),
        (8 * YEAR - 1, "7y364d"),
        (8 * YEAR, "8y"),
        (8 * YEAR + 364 * DAY, "8y"),
        (9 * YEAR, "9y"),
        (100 * YEAR, "100y"),
    ];
    for (milliseconds, text) in table {
        assert_eq!(human(SignedDuration::from_millis(milliseconds)), text, "{milliseconds}");
        if let Ok(positive) = u64::try_from(milliseconds) {
            assert_eq!(human_duration(std::time::Duration::from_millis(positive)), text, "{milliseconds}");
        }
    }
}

#[test]
fn ages_in_one_unit() {
    let table = [
        (-2 * SECOND, "<invalid>"),
        (-2 * SECOND + 1, "0s"),
        (0, "0s"),
        (SECOND, "1s"),
        (2 * SECOND - 1, "1s"),
        (MINUTE - 1, "59s"),
        (MINUTE, "1m"),
        (2 * MINUTE - 1, "1m"),
        (HOUR - 1, "59m"),
        (HOUR, "1h"),
        (2 * HOUR - 1, "1h"),
        (DAY - 1, "23h"),
        (DAY, "1d"),
        (2 * DAY - 1, "1d"),
        (YEAR - 1, "364d"),
        (YEAR, "1y"),
        (2 * YEAR - 1, "1y"),
        (2 * YEAR, "2y"),
    ];
    for (milliseconds, text) in table {
        assert_eq!(short_human(SignedDuration::from_millis(milliseconds)), text, "{milliseconds}");
    }
}

/// As package time of Go reads and writes them.
#[test]
fn go_reads_and_writes() {
    const NANO: i64 = 1;
    const MICRO: i64 = 1_000;
    const MILLI: i64 = 1_000_000;
    let table = [
        ("5s", 5_000 * MILLI, "5s"),
        ("30s", 30_000 * MILLI, "30s"),
        ("1478s", 1_478_000 * MILLI, "24m38s"),
        ("-5s", -5_000 * MILLI, "-5s"),
        ("+5s", 5_000 * MILLI, "5s"),
        ("-0", 0, "0s"),
        ("+0", 0, "0s"),
        ("0s", 0, "0s"),
        ("5.0s", 5_000 * MILLI, "5s"),
        ("5.6s", 5_600 * MILLI, "5.6s"),
        ("5.s", 5_000 * MILLI, "5s"),
        (".5s", 500 * MILLI, "500ms"),
        ("1.00s", 1_000 * MILLI, "1s"),
        ("1.004s", 1_004 * MILLI, "1.004s"),
        ("1.0040s", 1_004 * MILLI, "1.004s"),
        ("100.00100s", 100_001 * MILLI, "1m40.001s"),
        ("10ns", 10 * NANO, "10ns"),
        ("11us", 11 * MICRO, "11µs"),
        ("12µs", 12 * MICRO, "12µs"),
        ("12μs", 12 * MICRO, "12µs"),
        ("13ms", 13 * MILLI, "13ms"),
        ("14s", 14_000 * MILLI, "14s"),
        ("15m", 15 * 60_000 * MILLI, "15m0s"),
        ("16h", 16 * 3_600_000 * MILLI, "16h0m0s"),
        ("3h30m", 210 * 60_000 * MILLI, "3h30m0s"),
        ("10.5s4m", (4 * 60_000 + 10_500) * MILLI, "4m10.5s"),
        ("-2m3.4s", -123_400 * MILLI, "-2m3.4s"),
        ("1h2m3s4ms5us6ns", (3_723_004 * MILLI) + 5 * MICRO + 6 * NANO, "1h2m3.004005006s"),
        ("39h9m14.425s", (39 * 3_600_000 + 9 * 60_000 + 14_425) * MILLI, "39h9m14.425s"),
        ("52763797000ns", 52_763_797_000, "52.763797s"),
        ("0.3333333333333333333h", 20 * 60_000 * MILLI, "20m0s"),
        ("0.100000000000000000000h", 6 * 60_000 * MILLI, "6m0s"),
        ("0.830103483285477580700h", 2_988_372_539_827, "49m48.372539827s"),
        ("1100000ns", 1_100 * MICRO, "1.1ms"),
        ("2200us", 2_200 * MICRO, "2.2ms"),
        ("1ns", 1, "1ns"),
        ("-1ns", -1, "-1ns"),
        ("-9223372036854775807ns", -i64::MAX, "-2562047h47m16.854775807s"),
    ];
    for (text, nanos, printed) in table {
        let duration = parse_go(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((duration.as_nanos(), format_go(duration).as_str()), (nanos.into(), printed), "{text}");
    }
    let errors = [
        ("", "invalid duration \"\""),
        ("3", "missing unit in duration \"3\""),
        ("-", "invalid duration \"-\""),
        ("s", "invalid duration \"s\""),
        (".", "invalid duration \".\""),
        ("-.", "invalid duration \"-.\""),
        (".s", "invalid duration \".s\""),
        ("+.s", "invalid duration \"+.s\""),
        ("1d", "unknown unit \"d\" in duration \"1d\""),
        ("1S", "unknown unit \"S\" in duration \"1S\""),
        ("1h30", "missing unit in duration \"1h30\""),
        ("1 s", "unknown unit \" s\" in duration \"1 s\""),
        ("--5s", "invalid duration \"--5s\""),
        ("9223372036854775810ns", "invalid duration \"9223372036854775810ns\""),
        ("9223372036854ms775us808ns", "invalid duration \"9223372036854ms775us808ns\""),
        ("3000000h", "invalid duration \"3000000h\""),
    ];
    for (text, message) in errors {
        assert_eq!(parse_go(text).unwrap_err().to_string(), format!("time: {message}"), "{text}");
    }
}

#[test]
fn flags_are_never_negative() {
    assert_eq!(parse_flag("1m30s").unwrap(), std::time::Duration::from_secs(90));
    assert_eq!(parse_flag("0").unwrap(), std::time::Duration::ZERO);
    assert_eq!(parse_flag("-1s").unwrap_err().to_string(), "time: negative duration \"-1s\"");
    assert_eq!(parse_flag("x").unwrap_err().to_string(), "time: invalid duration \"x\"");
}
