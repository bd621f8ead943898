//! [`Version`]: a number that grows with every visible change of a job.

use crate::types::error::parse_error;
use crate::types::progress::Progress;
use crate::types::state_word::StateWord;
use crate::types::status::Status;
use std::fmt;
use std::str::FromStr;

/// A job's version, for an `ETag`, an event id, or a poll that asks for news.
///
/// It grows with every change that a client can see: each step, each `update` and each guard that
/// was written through, each note, and each new time of removal. A heartbeat changes no version.
/// Two snapshots of one job with equal versions differ at most in the heartbeat. Versions of
/// different jobs are not comparable.
///
/// Its text is short and safe in URLs and headers. Treat it as opaque.
///
/// ```
/// use job_registry::{JobRegistry, Version};
///
/// let jobs = JobRegistry::new();
/// let job = jobs.register(vec!["intro.png"])?;
/// let before = job.snapshot()?.version();
/// job.update(|pages| pages.push("summary.png"))?;
/// let after = job.snapshot()?.version();
/// assert!(before < after);
/// assert_eq!(after.to_string().parse::<Version>()?, after);
/// # Ok::<(), job_registry::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Attempt, status and progress. It never falls, and neither does the revision: in any order
    /// of the two, a later version is greater.
    step: u64,
    revision: u64,
}

/// Returns the value from which the revision of a generation's job counts. Two jobs of a slot share
/// a value only if one of them changes a trillion times.
pub(crate) fn first_revision(generation: u32) -> u64 {
    u64::from(generation) << 40
}

impl Version {
    /// Returns the version of a job that has this state word and this revision.
    #[inline]
    pub(crate) fn new(word: StateWord, revision: u64) -> Self {
        Self {
            step: word.step_number(),
            revision: revision.wrapping_sub(first_revision(word.generation())),
        }
    }

    /// Returns the version of a job in this state, for a registry that is not in this process's
    /// memory. The attempt is from 1 to 65,535. The revision is the number of visible changes that
    /// are not in attempt, status and progress.
    ///
    /// # Errors
    ///
    /// Returns [`PartsError`] for an attempt out of range, for a pending job above 0 %, and for a
    /// completed job below 100 %.
    ///
    /// ```
    /// use job_registry::{Progress, Status, Version};
    ///
    /// let before = Version::from_parts(1, Status::Running, Progress::percent(40.0)?, 7)?;
    /// let after = Version::from_parts(1, Status::Completed, Progress::DONE, 7)?;
    /// assert!(before < after);
    /// assert!(Version::from_parts(0, Status::Running, Progress::ZERO, 0).is_err());
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub fn from_parts(
        attempt: u32,
        status: Status,
        progress: Progress,
        revision: u64,
    ) -> Result<Self, PartsError> {
        let word = StateWord::in_state(attempt, status, progress).ok_or(PartsError(()))?;
        Ok(Self {
            step: word.step_number(),
            revision,
        })
    }

    /// Returns the state word of generation 0, and the revision that counts from 0.
    pub(crate) fn into_parts(self) -> (StateWord, u64) {
        (StateWord::from_step_number(self.step), self.revision)
    }
}

/// Prints two hexadecimal numbers, joined by a hyphen.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written by hand, because every poll prints one: a fifth of the instructions of `write!`.
        let mut text = [b'-'; 33];
        let mut start = text.len();
        for (place, mut number) in [self.revision, self.step].into_iter().enumerate() {
            start -= place;
            loop {
                start -= 1;
                text[start] = b"0123456789abcdef"[(number % 16) as usize];
                number /= 16;
                if number == 0 {
                    break;
                }
            }
        }
        f.write_str(std::str::from_utf8(&text[start..]).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    /// Parses what `Display` prints, and nothing else.
    ///
    /// # Errors
    ///
    /// Returns [`ParseVersionError`] for every other text.
    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let parse = || {
            let (step, revision) = text.split_once('-')?;
            let step = u64::from_str_radix(step, 16).ok()?;
            let revision = u64::from_str_radix(revision, 16).ok()?;
            let version = Self { step, revision };
            // One version has one text. A step that no job can have is not a version.
            (StateWord::has_step_number(step) && version.to_string() == text).then_some(version)
        };
        parse().ok_or(ParseVersionError(()))
    }
}

parse_error! {
    /// Error of parts that no job has; see [`Version::from_parts`], [`Times::from_parts`] and
    /// [`Details::from_parts`].
    ///
    /// [`Times::from_parts`]: crate::Times::from_parts
    /// [`Details::from_parts`]: crate::Details::from_parts
    #[derive(Copy)]
    PartsError => NotAJob = "not_a_job" => "the parts are not those of a job"
}

impl PartsError {
    /// Returns an error unless the parts are consistent.
    pub(crate) fn unless(consistent: bool) -> Result<(), Self> {
        consistent.then_some(()).ok_or(Self(()))
    }
}

parse_error! {
    /// Error of a text that is not a [`Version`].
    #[derive(Copy)]
    ParseVersionError => NotAVersion = "not_a_version" => "not a version of a job"
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::types::state_word::Ending;
    use proptest::prelude::*;

    fn word(attempt: u16, progress: u32, steps: u8) -> StateWord {
        let mut word = StateWord::vacant(3).register().unwrap();
        for _ in 1..attempt {
            word = word.end(Ending::Failed).and_then(StateWord::retry).unwrap();
        }
        if steps == 0 {
            return word;
        }
        word = word.start().unwrap();
        word = word
            .advance(Progress::from_ppm(progress).unwrap())
            .unwrap_or(word);
        match steps {
            1 => word,
            2 => word.stop().unwrap(),
            3 => word.end(Ending::Completed).unwrap(),
            _ => word.end(Ending::Cancelled).unwrap(),
        }
    }

    proptest! {
        /// A version's text leads back to it, and versions are ordered as the changes are.
        #[test]
        fn texts_lead_back_and_order_follows_the_changes(
            attempt in 1u16..40,
            progress in 0u32..=1_000_000,
            steps in 0u8..5,
            revision in any::<u64>(),
        ) {
            let revision = first_revision(3) + (revision >> 1);
            let version = Version::new(word(attempt, progress, steps), revision);
            prop_assert_eq!(version.to_string().parse(), Ok(version));
            prop_assert!(version < Version::new(word(attempt, progress, steps), revision + 1));
            prop_assert!(version < Version::new(word(attempt + 1, 0, 0), revision));
        }

        /// The parts of a job make the version that the registry shows.
        #[test]
        fn parts_make_the_version_that_they_come_from(
            attempt in 1u16..40,
            progress in 0u32..=1_000_000,
            steps in 0u8..5,
            revision in any::<u32>(),
        ) {
            let word = word(attempt, progress, steps);
            let seen = Version::new(word, first_revision(3) + u64::from(revision));
            let status = word.status().unwrap();
            let made = Version::from_parts(attempt.into(), status, word.progress(), revision.into());
            prop_assert_eq!(made, Ok(seen));
            prop_assert_eq!(seen.to_string().parse::<Version>(), Ok(made.unwrap()));
        }

        /// No other text is a version, whatever its characters.
        #[test]
        fn other_texts_are_refused(text in "[0-9a-fA-F+-]{0,24}|.*") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.to_string(), text);
            }
        }
    }

    #[test]
    fn parts_that_no_job_can_have_are_refused() {
        use Status::{Completed, Failed, Pending, Running};
        let part = Progress::from_ppm(1).unwrap();
        let made = |attempt, status, progress| Version::from_parts(attempt, status, progress, 0);
        assert!(made(65_535, Failed, part).is_ok());
        assert_eq!(made(0, Running, part), Err(PartsError(())));
        assert_eq!(made(65_536, Running, part), Err(PartsError(())));
        assert_eq!(made(1, Pending, part), Err(PartsError(())));
        assert_eq!(made(1, Completed, part), Err(PartsError(())));
        assert_eq!(PartsError(()).name(), "not_a_job");
    }

    #[test]
    fn texts_that_no_job_can_have_are_refused() {
        let known = Version::new(word(1, 0, 1), first_revision(3) + 7).to_string();
        assert!(known.parse::<Version>().is_ok());
        let near = [
            "",
            "-",
            "0-0",
            "1-",
            "-1",
            "1-1",
            "ffffffffff-1",
            "+1-1",
            "1200000-7 ",
            " 1200000-7",
            "1200000-07",
            "01200000-7",
            "1200000-7-7",
            "1200000",
            "1200000-10000000000000000",
        ];
        for text in near {
            assert_eq!(
                text.parse::<Version>(),
                Err(ParseVersionError(())),
                "{text:?}"
            );
        }
        assert_eq!(ParseVersionError(()).name(), "not_a_version");
    }
}
