//! End-to-end harness, scenarios on real processes, fault tests, benches, house checks.
