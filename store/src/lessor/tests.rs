//! When leases expire, as tables and against a plain list: etcd's lease/lessor_test.go and lease_queue_test.go.

use super::*;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn leading() -> Lessor {
    let mut lessor = Lessor::default();
    let leases = [(1, 10), (2, 20)].map(|(id, ttl)| LeaseGrant { id, ttl });
    lessor.promote(at(100), 7, leases.into_iter());
    lessor
}

#[test]
fn a_lease_expires_once_and_is_insisted_on() {
    let mut lessor = leading();
    assert_eq!(lessor.next(), Some(at(110)));
    assert!(lessor.expired(at(109), 9).is_empty());
    assert_eq!(lessor.expired(at(110), 9), [1]);
    assert!(lessor.expired(at(110), 9).is_empty(), "its revocation is under way");
    assert_eq!(lessor.renew(at(110), 1), Renewal::Expired, "too late, even if the revocation is not done");
    assert_eq!(lessor.expired(at(111), 9), [1], "the revocation got lost");
    lessor.revoked(1);
    assert_eq!(lessor.renew(at(111), 1), Renewal::Unknown);
    assert_eq!((lessor.expired(at(119), 9), lessor.expired(at(500), 9)), (vec![], vec![2]));
}

#[test]
fn a_renewal_counts_from_its_moment() {
    let mut lessor = leading();
    assert_eq!(lessor.renew(at(109), 1), Renewal::Renewed(10));
    assert_eq!(lessor.remaining(at(112), 1), Some(7));
    assert!(lessor.expired(at(118), 9).is_empty());
    assert_eq!(lessor.expired(at(120), 1), [1], "no more than were asked for");
    assert_eq!(lessor.expired(at(120), 1), [2]);
    assert_eq!(lessor.remaining(at(130), 1), Some(0));
}

#[test]
fn only_a_leader_judges() {
    let mut lessor = leading();
    lessor.demote();
    assert_eq!((lessor.term(), lessor.next()), (None, None));
    lessor.granted(at(100), 3, 1);
    assert_eq!(lessor.renew(at(100), 1), Renewal::NotLeading);
    assert!(lessor.expired(at(1000), 9).is_empty());
    lessor.promote(at(1000), 8, [LeaseGrant { id: 1, ttl: 10 }].into_iter());
    assert!(lessor.expired(at(1009), 9).is_empty(), "a new leader gives the full time again");
    assert_eq!(lessor.expired(at(1010), 9), [1]);
}

#[test]
fn every_length_ends_on_its_second() {
    // (seconds granted, alive at, over at)
    for (ttl, alive, over) in [(1, 100, 101), (2, 101, 102), (10, 109, 110), (3600, 3699, 3700)] {
        let mut lessor = Lessor::default();
        lessor.promote(at(100), 1, std::iter::empty());
        lessor.granted(at(100), 7, ttl);
        assert_eq!((lessor.next(), lessor.remaining(at(100), 7)), (Some(at(over)), Some(ttl)));
        assert!(lessor.expired(at(alive), 9).is_empty() && lessor.remaining(at(alive), 7) == Some(1), "{ttl}");
        // A moment before, whole seconds are none, and it still lives.
        let moment = at(over) - Duration::from_millis(1);
        assert_eq!((lessor.remaining(moment, 7), lessor.expired(moment, 9).len()), (Some(0), 0));
        assert_eq!(lessor.expired(at(over), 9), [7], "{ttl}");
        assert_eq!(lessor.remaining(at(over + 100), 7), Some(0));
    }
    // What was granted no time, or less, is over at once.
    for ttl in [0, -5, i64::MIN] {
        let mut lessor = Lessor::default();
        lessor.promote(at(100), 1, std::iter::empty());
        lessor.granted(at(100), 7, ttl);
        assert_eq!((lessor.renew(at(100), 7), lessor.expired(at(100), 9)), (Renewal::Expired, vec![7]), "{ttl}");
    }
}

#[test]
fn those_that_are_over_come_in_their_order_and_no_more_than_asked_for() {
    let mut lessor = Lessor::default();
    lessor.promote(at(0), 1, std::iter::empty());
    for (id, ttl) in [(5, 30), (1, 10), (4, 20), (2, 10), (3, 20)] {
        lessor.granted(at(0), id, ttl);
    }
    // (now, most, who)
    let table: &[(u64, usize, &[i64])] = &[
        (9, 9, &[]),
        (10, 1, &[1]),
        (10, 9, &[2]),
        (10, 9, &[]),
        // Nobody revoked them: they come again after those that have waited for longer.
        (20, 3, &[1, 2, 3]),
        (20, 3, &[4]),
        (30, 0, &[]),
        (30, 9, &[1, 2, 3, 4, 5]),
    ];
    for (now, most, expected) in table {
        assert_eq!(lessor.expired(at(*now), *most), *expected, "{most} at {now}");
    }
    (1..=5).for_each(|id| lessor.revoked(id));
    assert_eq!((lessor.next(), lessor.expired(at(1000), 9)), (None, vec![]));
}

#[test]
fn a_lease_that_is_granted_again_is_a_new_one() {
    let mut lessor = leading();
    lessor.granted(at(105), 1, 50);
    assert_eq!((lessor.remaining(at(105), 1), lessor.next()), (Some(50), Some(at(120))));
    assert_eq!(lessor.expired(at(120), 9), [2], "the first one's end is forgotten");
    lessor.revoked(1);
    lessor.revoked(1);
    lessor.revoked(99);
    assert_eq!((lessor.remaining(at(106), 1), lessor.renew(at(106), 1)), (None, Renewal::Unknown));
}

#[test]
fn who_leads_anew_gives_everybody_the_full_time() {
    let mut lessor = leading();
    assert_eq!(lessor.expired(at(110), 9), [1]);
    let leases = [(1, 10), (2, 20), (3, 5)].map(|(id, ttl)| LeaseGrant { id, ttl });
    lessor.promote(at(111), 8, leases.into_iter());
    assert_eq!(lessor.term(), Some(8));
    for (id, left) in [(1, 10), (2, 20), (3, 5)] {
        assert_eq!(lessor.remaining(at(111), id), Some(left));
    }
    assert_eq!(lessor.renew(at(111), 1), Renewal::Renewed(10), "that it was over in the last term does not count");
    lessor.demote();
    assert_eq!((lessor.remaining(at(111), 1), lessor.expired(at(999), 9)), (None, vec![]));
}

#[test]
fn it_is_what_a_plain_list_is() {
    for seed in 0..200 {
        let mut random = crate::random::SplitMix(seed);
        let mut lessor = Lessor::default();
        lessor.promote(at(0), 1, std::iter::empty());
        // id -> (ttl, until, when to act)
        let mut list = std::collections::BTreeMap::<i64, (u64, u64, u64)>::new();
        let mut now = 0;
        for _ in 0..80 {
            let id = 1 + random.below(6) as i64;
            match random.below(6) {
                0 | 1 => now += random.below(4),
                2 => {
                    let ttl = 1 + random.below(9);
                    lessor.granted(at(now), id, ttl as i64);
                    list.insert(id, (ttl, now + ttl, now + ttl));
                }
                3 => {
                    lessor.revoked(id);
                    list.remove(&id);
                }
                4 => {
                    let expected = match list.get_mut(&id) {
                        None => Renewal::Unknown,
                        Some((_, until, _)) if *until <= now => Renewal::Expired,
                        Some((ttl, until, due)) => {
                            (*until, *due) = (now + *ttl, now + *ttl);
                            Renewal::Renewed(*ttl as i64)
                        }
                    };
                    assert_eq!(lessor.renew(at(now), id), expected, "seed {seed}");
                }
                _ => {
                    let most = random.below(4) as usize;
                    let mut due: Vec<(u64, i64)> =
                        list.iter().filter(|(_, (.., due))| *due <= now).map(|(id, (.., due))| (*due, *id)).collect();
                    due.sort_unstable();
                    due.truncate(most);
                    due.iter().for_each(|(_, id)| list.get_mut(id).unwrap().2 = now + 1);
                    let expected: Vec<i64> = due.into_iter().map(|(_, id)| id).collect();
                    assert_eq!(lessor.expired(at(now), most), expected, "seed {seed}");
                }
            }
            assert_eq!(lessor.next(), list.values().map(|(.., due)| at(*due)).min(), "seed {seed}");
            for (id, (_, until, _)) in &list {
                assert_eq!(lessor.remaining(at(now), *id), Some(until.saturating_sub(now) as i64), "seed {seed}");
            }
        }
    }
}
