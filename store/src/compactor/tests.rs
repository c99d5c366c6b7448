//! When to compact: etcd's v3compactor/periodic_test.go and revision_test.go.

use super::*;

#[test]
fn a_number_of_revisions_is_kept() {
    let mut compactor = Compactor::new(Retention::Revisions(100));
    let found: Vec<_> = [50, 150, 150, 300].map(|revision| compactor.due(Duration::ZERO, revision)).into();
    assert_eq!(found, [None, Some(50), None, Some(200)]);
}

#[test]
fn a_time_of_history_is_kept() {
    let mut compactor = Compactor::new(Retention::Time(Duration::from_secs(60)));
    assert_eq!(compactor.period(), Duration::from_secs(6));
    // (second, revision, compacts at)
    let table = [
        (0, 10, None),
        (30, 20, None),
        (60, 30, Some(10)),
        (80, 40, None),
        (90, 50, Some(20)),
        (200, 50, Some(50)),
        (300, 50, None),
    ];
    for (second, revision, expected) in table {
        assert_eq!(compactor.due(Duration::from_secs(second), revision), expected, "at {second}");
    }
    assert!(compactor.samples.len() <= 2);
}

#[test]
fn a_number_of_revisions_is_kept_whatever_it_is() {
    // (kept, revisions seen, compactions)
    type Row<'a> = (u64, &'a [u64], &'a [Option<u64>]);
    let table: &[Row<'_>] = &[
        (10, &[1, 9, 10, 11, 12], &[None, None, None, Some(1), Some(2)]),
        (10, &[100, 100, 99, 100, 111], &[Some(90), None, None, None, Some(101)]),
        (1, &[0, 1, 2, 3], &[None, None, Some(1), Some(2)]),
        (u64::MAX, &[5, u64::MAX], &[None, None]),
    ];
    for (kept, revisions, expected) in table {
        let mut compactor = Compactor::new(Retention::Revisions(*kept));
        assert_eq!(compactor.period(), Duration::from_secs(300));
        let found: Vec<_> = revisions.iter().map(|revision| compactor.due(Duration::ZERO, *revision)).collect();
        assert_eq!(found, *expected, "{kept} kept");
    }
}

#[test]
fn it_asks_ten_times_within_the_time_but_not_too_often_or_too_seldom() {
    // (seconds kept, milliseconds between questions)
    for (kept, every) in [(1, 100), (10, 1000), (3600, 360_000), (36_000, 360_000), (0, 100)] {
        let compactor = Compactor::new(Retention::Time(Duration::from_secs(kept)));
        assert_eq!(compactor.period(), Duration::from_millis(every), "{kept} s");
    }
}

#[test]
fn nothing_younger_than_the_time_goes_and_nothing_much_older_stays() {
    for hours in [1, 2, 24] {
        let time = Duration::from_secs(3600 * hours);
        let mut compactor = Compactor::new(Retention::Time(time));
        let (period, mut now, mut done) = (compactor.period(), Duration::ZERO, 0);
        // One revision a second, from 1 on.
        while now < 3 * time {
            let revision = 1 + now.as_secs();
            if let Some(upto) = compactor.due(now, revision) {
                let of = Duration::from_secs(upto - 1);
                assert!(
                    of + time <= now,
                    "revision {upto} was the newest at {of:?}, less than {hours} h before {now:?}"
                );
                assert!(of + time + period > now, "{upto} at {now:?}: more than a period too late");
                assert!(upto > done);
                done = upto;
            } else {
                assert!(now < time, "nothing at {now:?}");
            }
            now += period;
        }
        let most = (time.as_secs() / period.as_secs()) as usize + 2;
        assert!(compactor.samples.len() <= most, "{}", compactor.samples.len());
    }
}

#[test]
fn a_store_at_rest_is_compacted_once() {
    let mut compactor = Compactor::new(Retention::Time(Duration::from_secs(10)));
    let found: Vec<_> = (0..40).filter_map(|second| compactor.due(Duration::from_secs(second), 7)).collect();
    assert_eq!(found, [7]);
    // A start finds revisions of which it cannot know the age: they count as of now.
    let mut again = Compactor::new(Retention::Time(Duration::from_secs(10)));
    let found: Vec<_> = (100..109).filter_map(|second| again.due(Duration::from_secs(second), 7)).collect();
    assert_eq!(found, [0; 0]);
}
