//! [`Progress`]: a fraction of the work that is always within its range.

use crate::types::error::error_enum;
use std::fmt;

const WHOLE: u32 = 1_000_000;

/// The done fraction of a job, from 0 to 1,000,000 parts per million.
///
/// A value of this type is always within the range: the constructors refuse every other number.
/// Ordering and equality are exact, because the value is an integer.
///
/// ```
/// use job_registry::Progress;
///
/// assert_eq!(Progress::percent(12.5)?.to_string(), "12.5 %");
/// assert_eq!(Progress::ratio(3, 4)?, Progress::percent(75.0)?);
/// assert!(Progress::percent(f64::NAN).is_err());
/// # Ok::<(), job_registry::ProgressError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Progress(u32);

impl Progress {
    /// No work is done: 0 %.
    pub const ZERO: Self = Self(0);
    /// All work is done: 100 %.
    pub const DONE: Self = Self(WHOLE);

    /// Converts from percent, 0 to 100, rounded to the nearest part per million.
    ///
    /// # Errors
    ///
    /// Returns [`ProgressError::NotANumber`] for NaN. Returns [`ProgressError::OutOfRange`] for
    /// infinities and for all numbers below 0 or above 100. Negative zero is 0.
    ///
    /// ```
    /// use job_registry::{Progress, ProgressError};
    ///
    /// assert_eq!(Progress::percent(100.0), Ok(Progress::DONE));
    /// assert_eq!(Progress::percent(100.1), Err(ProgressError::OutOfRange));
    /// ```
    pub fn percent(percent: f64) -> Result<Self, ProgressError> {
        if percent.is_nan() {
            return Err(ProgressError::NotANumber);
        }
        if !(0.0..=100.0).contains(&percent) {
            return Err(ProgressError::OutOfRange);
        }
        // The value is in range: the cast neither truncates nor loses a sign.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let ppm = (percent * f64::from(WHOLE / 100)).round() as u32;
        Ok(Self(ppm))
    }

    /// Converts from `done` of `total` units, by exact integer arithmetic, rounded down: only `done
    /// == total` is 100 %. `0` of `0` is 100 %.
    ///
    /// # Errors
    ///
    /// Returns [`ProgressError::OutOfRange`] if `done` is more than `total`.
    ///
    /// ```
    /// use job_registry::{Progress, ProgressError};
    ///
    /// assert_eq!(Progress::ratio(1, 3)?.ppm(), 333_333);
    /// assert_eq!(Progress::ratio(0, 0)?, Progress::DONE);
    /// assert_eq!(Progress::ratio(4, 3), Err(ProgressError::OutOfRange));
    /// # Ok::<(), ProgressError>(())
    /// ```
    pub fn ratio(done: u64, total: u64) -> Result<Self, ProgressError> {
        if done > total {
            return Err(ProgressError::OutOfRange);
        }
        if total == 0 {
            return Ok(Self::DONE);
        }
        let ppm = u128::from(done) * u128::from(WHOLE) / u128::from(total);
        // By `done <= total`, this is at most a million.
        #[allow(clippy::cast_possible_truncation)]
        let ppm = ppm as u32;
        Ok(Self(ppm))
    }

    /// Converts from `done` of `total` units of any integer type. A negative `done` counts as 0, and
    /// a `done` above `total` as `total`. If `total` is 0 or negative, there is no work, which is
    /// 100 %. Rounds down: only `done >= total` is 100 %.
    ///
    /// ```
    /// use job_registry::Progress;
    ///
    /// let pages = ["intro", "body", "summary"];
    /// assert_eq!(Progress::of(1, pages.len()).ppm(), 333_333);
    /// assert_eq!(Progress::of(-1_i32, 10_i32), Progress::ZERO);
    /// assert_eq!(Progress::of(4_u8, 3_u8), Progress::DONE);
    /// ```
    #[must_use]
    pub fn of<D: TryInto<u128>, N: TryInto<u128>>(done: D, total: N) -> Self {
        // The conversion fails for negative numbers only.
        let done = done.try_into().unwrap_or(0);
        let total = total.try_into().unwrap_or(0);
        if done >= total {
            return Self::DONE;
        }
        // Both lose the same bits if the product would not fit. The quotient stays below the whole.
        let shift = (u128::from(WHOLE).ilog2() + 1).saturating_sub(total.leading_zeros());
        let ppm = (done >> shift) * u128::from(WHOLE) / (total >> shift);
        let ppm = u32::try_from(ppm).unwrap_or(WHOLE);
        Self(ppm.min(WHOLE - 1))
    }

    /// Converts from parts per million, 0 to 1,000,000.
    ///
    /// # Errors
    ///
    /// Returns [`ProgressError::OutOfRange`] above 1,000,000.
    ///
    /// ```
    /// use job_registry::{Progress, ProgressError};
    ///
    /// assert_eq!(Progress::from_ppm(500_000)?, Progress::percent(50.0)?);
    /// # Ok::<(), ProgressError>(())
    /// ```
    #[inline]
    pub const fn from_ppm(ppm: u32) -> Result<Self, ProgressError> {
        if ppm > WHOLE {
            return Err(ProgressError::OutOfRange);
        }
        Ok(Self(ppm))
    }

    /// Returns the parts per million, 0 to 1,000,000.
    #[inline]
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// Returns the percent, 0.0 to 100.0.
    ///
    /// ```
    /// # use job_registry::Progress;
    /// assert_eq!(Progress::ratio(1, 8)?.as_percent(), 12.5);
    /// # Ok::<(), job_registry::ProgressError>(())
    /// ```
    #[must_use]
    pub fn as_percent(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE / 100)
    }

    /// Returns the progress that a field of the state word holds, which is always in range.
    #[inline]
    pub(crate) fn stored(ppm: u32) -> Self {
        debug_assert!(ppm <= WHOLE);
        Self(ppm)
    }
}

/// Prints percent, as short as is exact: `40 %`, `33.3333 %`.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.as_percent())
    }
}

error_enum! {
    /// Reason why a number is not a [`Progress`].
    ProgressError {
        /// The number is NaN.
        NotANumber = "not_a_number" => "progress is not a number",
        /// The number is below 0 % or above 100 %, or infinite.
        OutOfRange = "out_of_range" => "progress is outside of 0 to 100 percent",
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every bit pattern of a double is either refused or within the range.
        #[test]
        fn percent_takes_exactly_its_range(bits in any::<u64>()) {
            let percent = f64::from_bits(bits);
            match Progress::percent(percent) {
                Ok(progress) => prop_assert!((progress.as_percent() - percent).abs() <= 0.000_051),
                Err(ProgressError::NotANumber) => prop_assert!(percent.is_nan()),
                Err(ProgressError::OutOfRange) => prop_assert!(!(0.0..=100.0).contains(&percent)),
            }
        }

        #[test]
        fn percent_in_range_is_taken(percent in 0.0f64..=100.0) {
            prop_assert!(Progress::percent(percent).is_ok());
        }

        #[test]
        fn ratio_is_exact_and_only_all_is_done(done in any::<u64>(), total in any::<u64>()) {
            match Progress::ratio(done, total) {
                Err(_) => prop_assert!(done > total),
                Ok(progress) => {
                    prop_assert!(done <= total);
                    prop_assert_eq!(progress == Progress::DONE, done == total);
                    let (done, total, ppm) = (u128::from(done), u128::from(total), u128::from(progress.ppm()));
                    prop_assert!(ppm * total <= done * 1_000_000 || total == 0);
                    prop_assert!((ppm + 1) * total > done * 1_000_000 || total == 0);
                }
            }
        }

        #[test]
        fn every_progress_survives_percent(ppm in 0u32..=WHOLE) {
            let progress = Progress::from_ppm(ppm).unwrap();
            prop_assert_eq!(Progress::percent(progress.as_percent()), Ok(progress));
        }
    }

    #[test]
    fn edges_are_where_they_are_said_to_be() {
        for bad in [
            f64::INFINITY,
            f64::NEG_INFINITY,
            -1e-300,
            100.000_000_1,
            -0.1,
        ] {
            assert_eq!(
                Progress::percent(bad),
                Err(ProgressError::OutOfRange),
                "{bad}"
            );
        }
        assert_eq!(Progress::percent(f64::NAN), Err(ProgressError::NotANumber));
        assert_eq!(Progress::percent(-0.0), Ok(Progress::ZERO));
        assert_eq!(Progress::ratio(u64::MAX, u64::MAX), Ok(Progress::DONE));
        assert_eq!(Progress::from_ppm(WHOLE), Ok(Progress::DONE));
        assert_eq!(
            Progress::from_ppm(WHOLE + 1),
            Err(ProgressError::OutOfRange)
        );
        assert_eq!(Progress::ratio(1, 3).unwrap().to_string(), "33.3333 %");
    }
}
