//! P1: progress at the edges of its range, and at the edges of the numbers that it is made from.

use job_registry::{JobRegistry, Progress, ProgressError, Status};
use proptest::prelude::*;

const WHOLE: u64 = 1_000_000;

/// Generates totals of all sizes, among them powers of two, multiples of a million, and the
/// largest.
fn totals() -> impl Strategy<Value = u64> {
    let near =
        |centre: u64| (0u64..=3).prop_map(move |by| centre.saturating_add(by).saturating_sub(2));
    prop_oneof![
        1u64..=4,
        (0u32..64).prop_flat_map(move |log| near(1 << log)),
        (0u64..=u64::MAX / WHOLE).prop_flat_map(move |times| near(times * WHOLE)),
        (1u64..=20).prop_flat_map(move |times| near(times * WHOLE)),
        near(u64::MAX),
        (0u32..64, any::<u64>()).prop_map(|(shift, any)| any >> shift),
    ]
    .prop_map(|total| total.max(1))
}

/// Generates a total and a part of it that is near zero, near the total, or near a whole number of
/// parts per million.
fn parts() -> impl Strategy<Value = (u64, u64)> {
    (totals(), 0u64..=WHOLE, 0u64..=4, 0u8..3).prop_map(|(total, ppm, by, kind)| {
        let done = match kind {
            0 => by,
            1 => total.saturating_sub(by),
            _ => {
                let exact = u128::from(total) * u128::from(ppm) / u128::from(WHOLE);
                let exact = u64::try_from(exact).expect("a part of the total");
                exact.saturating_add(by).saturating_sub(2)
            }
        };
        (done.min(total), total)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// P1: a job with anything left to do is never shown as done.
    #[test]
    fn all_but_one_is_not_all(total in totals()) {
        prop_assert!(Progress::ratio(total - 1, total).unwrap() < Progress::DONE);
        prop_assert_eq!(Progress::ratio(total, total), Ok(Progress::DONE));
        prop_assert_eq!(Progress::ratio(0, total), Ok(Progress::ZERO));
        if let Some(more) = total.checked_add(1) {
            prop_assert_eq!(Progress::ratio(more, total), Err(ProgressError::OutOfRange));
        }
    }

    /// P1: a ratio is rounded down to whole parts per million, and never falls when more is done.
    #[test]
    fn ratio_is_exact_and_monotonic((done, total) in parts()) {
        let progress = Progress::ratio(done, total).unwrap();
        let exact = u128::from(done) * u128::from(WHOLE) / u128::from(total);
        prop_assert_eq!(u128::from(progress.ppm()), exact);
        if done > 0 {
            prop_assert!(Progress::ratio(done - 1, total).unwrap() <= progress);
        }
        if done < total {
            prop_assert!(Progress::ratio(done + 1, total).unwrap() >= progress);
        }
    }

    /// P1: the nearest numbers on both sides of a boundary are rounded to adjacent values.
    #[test]
    fn percent_changes_at_its_boundaries_only(halves in 0u32..=2_000_000) {
        // Rounding changes at half a part per million.
        let boundary = f64::from(halves) / 20_000.0;
        let at = Progress::percent(boundary).unwrap();
        prop_assert!(at.ppm().abs_diff(halves / 2) <= halves % 2);
        for (near, is_above) in [(boundary.next_up(), true), (boundary.next_down(), false)] {
            match Progress::percent(near) {
                Ok(progress) => {
                    prop_assert!(progress.ppm().abs_diff(at.ppm()) <= halves % 2, "{near}");
                    prop_assert!(if is_above { progress >= at } else { progress <= at }, "{near}");
                }
                Err(error) => {
                    prop_assert_eq!(error, ProgressError::OutOfRange);
                    prop_assert!(!(0.0..=100.0).contains(&near), "{near} is refused");
                }
            }
        }
    }
}

/// P1: the nearest numbers outside the range are refused.
#[test]
fn percent_just_outside_is_refused() {
    let smallest = f64::from_bits(1);
    for outside in [
        100.0f64.next_up(),
        -smallest,
        -f64::MIN_POSITIVE,
        f64::MIN,
        f64::MAX,
    ] {
        let refused = Progress::percent(outside);
        assert_eq!(refused, Err(ProgressError::OutOfRange), "{outside:e}");
    }
    for nothing in [0.0, -0.0, smallest, f64::MIN_POSITIVE, f64::EPSILON] {
        assert_eq!(
            Progress::percent(nothing),
            Ok(Progress::ZERO),
            "{nothing:e}"
        );
    }
    // These are NaNs of either sign, quiet and signalling.
    for bits in [
        0x7ff8_0000_0000_0000,
        0xfff8_0000_0000_0000,
        0x7ff0_0000_0000_0001,
        u64::MAX,
    ] {
        let refused = Progress::percent(f64::from_bits(bits));
        assert_eq!(refused, Err(ProgressError::NotANumber), "{bits:x}");
    }
}

/// P1: invalid progress cannot be reported, and the refused report changes nothing.
#[test]
fn invalid_progress_never_reaches_a_job() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    let before = job.snapshot();
    let report = |percent: f64| {
        let progress = Progress::percent(percent)?;
        job.advance(progress).expect("the job runs");
        Ok(())
    };
    assert_eq!(report(f64::NAN), Err(ProgressError::NotANumber));
    for bad in [f64::INFINITY, -1.0, 100.000_1, f64::MAX] {
        assert_eq!(report(bad), Err(ProgressError::OutOfRange), "{bad}");
    }
    assert_eq!(job.snapshot(), before);
    assert_eq!(report(100.0), Ok(()));
    // The work is done, but the job has not ended.
    assert_eq!(job.snapshot().unwrap().status(), Status::Running);
}

proptest! {
    /// P1: `of` is `ratio` within its range, and saturates outside of it.
    #[test]
    fn progress_of_any_integers_saturates((done, total) in parts(), beyond in 1u64..) {
        prop_assert_eq!(Progress::of(done, total), Progress::ratio(done, total).unwrap());
        prop_assert_eq!(Progress::of(total.saturating_add(beyond), total), Progress::DONE);
        let negative = -i128::from(beyond);
        prop_assert_eq!(Progress::of(negative, total), Progress::ZERO);
        prop_assert_eq!(Progress::of(done, negative), Progress::DONE);
        prop_assert_eq!(Progress::of(0, 0), Progress::DONE);
    }

    /// P1: `of` is monotonic up to the largest integers, and only the whole is 100 %.
    #[test]
    fn progress_of_large_integers_is_monotonic(total in 1u128.., a in any::<u128>(), b in any::<u128>()) {
        let (a, b) = (a % total, b % total);
        let (less, more) = (a.min(b), a.max(b));
        prop_assert!(Progress::of(less, total) <= Progress::of(more, total));
        prop_assert!(Progress::of(more, total) < Progress::DONE);
        prop_assert!(Progress::of(total - 1, total) < Progress::DONE);
        prop_assert_eq!(Progress::of(total, total), Progress::DONE);
    }
}
