//! [`Time`]: a wall-clock time as text.

use serde::{Serialize, Serializer};
use std::fmt;
use std::time::{Duration, SystemTime};

/// The last millisecond of the year 9999, since 1970.
const LATEST: u64 = 253_402_300_799_999;
/// Length of a text.
const LENGTH: usize = 24;

/// A wall-clock time, whose text is RFC 3339 in UTC, to the millisecond. It is in the years 1970 to
/// 9999.
///
/// ```
/// use job_registry_axum::Time;
/// use std::time::{Duration, SystemTime};
///
/// let time = Time::from(SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_164_800_123));
/// assert_eq!(time.to_string(), "2024-02-29T00:00:00.123Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Milliseconds since 1970, at most [`LATEST`].
    millis: u64,
}

impl Time {
    /// Returns the time for the standard library.
    #[must_use]
    pub fn system_time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.millis)
    }

    /// Returns the last time that there is.
    pub(crate) fn latest() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(LATEST)
    }

    /// Formats the time by hand, because every answer has three or more of them: a fifth of the
    /// instructions of a formatter.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the parts of a time have at most four digits"
    )]
    fn text(self) -> [u8; LENGTH] {
        let (seconds, millis) = (self.millis / 1_000, self.millis % 1_000);
        let (days, seconds) = (seconds / 86_400, seconds % 86_400);
        // Days since 1 March of the year 0: the leap day is the last one of its year. The calendar
        // repeats after 400 years.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // Months from March on have 31, 30, 31, 30, 31 days, over and over.
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + 400 * era + u64::from(month <= 2);

        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, seconds / 3_600),
            (14, 2, seconds / 60 % 60),
            (17, 2, seconds % 60),
            (20, 3, millis),
        ];
        for (start, digits, mut number) in parts {
            for digit in text[start..start + digits].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        text
    }
}

impl From<SystemTime> for Time {
    /// A time before 1970 or after 9999 becomes the nearest time of those years.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.unwrap_or_default().as_millis();
        Self {
            millis: u64::try_from(millis).map_or(LATEST, |millis| millis.min(LATEST)),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.text()).expect("digits are ASCII"))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text();
        serializer.serialize_str(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Time {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        let text = ObjectBuilder::new().schema_type(Type::String);
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        text.format(Some(format)).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Time {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(millis: u64) {
        let time = Time { millis };
        let expected = humantime::format_rfc3339_millis(time.system_time());
        assert_eq!(time.to_string(), expected.to_string());
        assert_eq!(serde_json::to_value(time).unwrap(), expected.to_string());
        assert_eq!(Time::from(time.system_time()), time);
    }

    #[test]
    fn every_day_of_four_hundred_years_has_the_text_of_a_formatter() {
        for day in 0..146_097 {
            check(day * 86_400_000);
            check(day * 86_400_000 + 86_399_999);
        }
    }

    proptest! {
        #[test]
        fn every_time_has_the_text_of_a_formatter(millis in 0..=LATEST) {
            check(millis);
        }
    }

    #[test]
    fn a_time_outside_of_the_years_becomes_the_nearest() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Time::from(before).to_string(), "1970-01-01T00:00:00.000Z");
        let after = SystemTime::UNIX_EPOCH + Duration::from_millis(LATEST + 1);
        assert_eq!(Time::from(after).to_string(), "9999-12-31T23:59:59.999Z");
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64);
        assert_eq!(Time::from(far).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
