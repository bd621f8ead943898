//! [`JobId`]: an address that cannot be guessed, and the key that issues it.

use crate::types::error::parse_error;
use siphasher::sip::SipHasher24;
use std::fmt;
use std::str::FromStr;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Number of digits of an id: 62²² is just above 2¹²⁸.
const LENGTH: usize = 22;

/// Identifier of one job of one registry. An id is never issued twice.
///
/// It is `Copy`, prints as 22 letters and digits (safe in a URL, a file name or a label), and
/// parses back. Every id has exactly one such text.
///
/// An id holds the job's slot and generation, and a nonce of 64 bits. The nonce is SipHash-2-4 of
/// the other two, under a key from the operating system's random generator. Without that key, a
/// nonce is indistinguishable from random bits. An id can therefore be given to the client that
/// owns the job, and no other client can guess it. A registry recognizes its own ids without
/// storing them, including those of removed jobs.
///
/// ```
/// use job_registry::{JobId, JobRegistry};
///
/// let jobs = JobRegistry::new();
/// let id = jobs.register("deck")?.detach();
/// let text = id.to_string();
/// assert_eq!(text.len(), 22);
/// assert_eq!(text.parse::<JobId>()?, id);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    // The nonce comes first, so that the texts of consecutive ids differ from the first letter on.
    pub(crate) nonce: u64,
    pub(crate) generation: u32,
    pub(crate) slot: u32,
}

impl JobId {
    /// Returns the id without its nonce, for logs. It names the job within its registry, and does
    /// not give access to it.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let id = jobs.register("deck")?.detach();
    /// assert_eq!(id.short().to_string(), "0-1");
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    #[must_use]
    pub const fn short(self) -> ShortId {
        ShortId {
            generation: self.generation,
            slot: self.slot,
        }
    }

    /// Returns the id with these 128 bits, for a registry that is not in this process's memory and
    /// issues ids of its own. Every number is an id. An id with 64 or more random bits above its
    /// lower 64 bits cannot be guessed from its [`short`](Self::short) form.
    ///
    /// ```
    /// use job_registry::JobId;
    ///
    /// let id = JobId::from_bits(62);
    /// assert_eq!(id.to_string(), "0000000000000000000010");
    /// assert_eq!(id.to_bits(), 62);
    /// assert_eq!("0000000000000000000010".parse::<JobId>()?, id);
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        // Each cast keeps its own part of the 128 bits.
        #[allow(clippy::cast_possible_truncation)]
        Self {
            nonce: (bits >> 64) as u64,
            generation: (bits >> 32) as u32,
            slot: bits as u32,
        }
    }

    /// Returns the id's 128 bits; see [`from_bits`](Self::from_bits).
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        (self.nonce as u128) << 64 | (self.generation as u128) << 32 | self.slot as u128
    }
}

/// The part of a [`JobId`] that can be guessed: slot and generation. Returned by
/// [`JobId::short`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId {
    generation: u32,
    slot: u32,
}

/// Prints slot and generation, joined by a hyphen.
impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.slot, self.generation)
    }
}

/// Number of texts of ten digits, which fits 64 bits. A division of 128 bits is a call, and is done
/// once for each ten digits.
const TEN_DIGITS: u128 = 62_u128.pow(10);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.to_bits();
        let mut text = [0; LENGTH];
        for digits in text.rchunks_mut(10) {
            let mut ten = u64::try_from(rest % TEN_DIGITS).expect("62^10 is less than 2^64");
            rest /= TEN_DIGITS;
            for digit in digits.iter_mut().rev() {
                *digit = DIGITS[(ten % 62) as usize];
                ten /= 62;
            }
        }
        f.pad(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl FromStr for JobId {
    type Err = ParseIdError;

    /// Parses the text of `to_string`.
    ///
    /// # Errors
    ///
    /// Returns [`ParseIdError`] for every other text.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text.len() != LENGTH {
            return Err(ParseIdError(()));
        }
        let mut value = 0_u128;
        for digits in text.as_bytes().rchunks(10).rev() {
            let ten = digits.iter().try_fold(0_u64, |ten, byte| {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    b'A'..=b'Z' => byte - b'A' + 10,
                    b'a'..=b'z' => byte - b'a' + 36,
                    _ => return None,
                };
                Some(ten * 62 + u64::from(digit))
            });
            let ten = ten.ok_or(ParseIdError(()))?;
            let larger = value.checked_mul(TEN_DIGITS);
            let larger = larger.and_then(|value| value.checked_add(ten.into()));
            value = larger.ok_or(ParseIdError(()))?;
        }
        Ok(Self::from_bits(value))
    }
}

parse_error! {
    /// Error for a text that is not a [`JobId`]: not 22 letters and digits, or out of range.
    ParseIdError => NotAnId = "not_an_id" => "not a job id: expected 22 letters and digits"
}

/// A registry's secret key, from which the nonces of its ids are derived.
pub(crate) struct IdKey {
    /// The hasher after the key.
    keyed: SipHasher24,
}

impl IdKey {
    /// # Panics
    ///
    /// If the operating system's random generator fails.
    pub(crate) fn new() -> Self {
        Self {
            keyed: SipHasher24::new_with_key(&secret_key()),
        }
    }

    /// Returns whether the id is one of this registry's, now or at any time.
    pub(crate) fn has_issued(&self, id: JobId) -> bool {
        self.id(id.slot, id.generation) == id
    }

    /// Returns the id of a slot's job of a generation.
    pub(crate) fn id(&self, slot: u32, generation: u32) -> JobId {
        let address = u64::from(slot) << 32 | u64::from(generation);
        JobId {
            nonce: self.keyed.hash(&address.to_le_bytes()),
            generation,
            slot,
        }
    }
}

/// Returns a key from the operating system's random generator.
///
/// # Panics
///
/// If the generator fails.
pub(crate) fn secret_key() -> [u8; 16] {
    let mut key = [0; 16];
    // In a model, all executions must be the same, so the key is constant.
    if !cfg!(all(test, any(loom, shuttle, environment))) {
        getrandom::fill(&mut key).expect("the operating system's random generator failed");
    }
    key
}

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(secret)")
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips(nonce in any::<u64>(), generation in any::<u32>(), slot in any::<u32>()) {
            let id = JobId { nonce, generation, slot };
            let text = id.to_string();
            prop_assert!(text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            prop_assert_eq!(text.parse::<JobId>(), Ok(id));
            prop_assert_eq!(JobId::from_bits(id.to_bits()), id);
        }

        #[test]
        fn every_number_is_the_bits_of_an_id(bits in any::<u128>()) {
            prop_assert_eq!(JobId::from_bits(bits).to_bits(), bits);
        }

        /// A text that parses is the text of its id: no id has two texts.
        #[test]
        fn parsing_never_panics_and_is_canonical(text in "\\PC*|[0-9A-Za-z]{22}|[0-9A-Za-z]{0,40}") {
            if let Ok(id) = text.parse::<JobId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn the_largest_id_fits_and_one_more_does_not() {
        let largest = JobId {
            nonce: u64::MAX,
            generation: u32::MAX,
            slot: u32::MAX,
        };
        let text = largest.to_string();
        assert_eq!(text.parse(), Ok(largest));
        assert_eq!(
            "zzzzzzzzzzzzzzzzzzzzzz".parse::<JobId>(),
            Err(ParseIdError(()))
        );
    }

    /// P4: two registries have no id in common, and the key is not a constant.
    #[test]
    fn registries_issue_different_ids() {
        assert_ne!(IdKey::new().id(0, 0), IdKey::new().id(0, 0));
    }

    /// P4: each slot and each generation has a nonce of its own, so that one id reveals no other.
    #[test]
    fn no_two_ids_share_a_nonce() {
        let id_key = IdKey::new();
        let addresses = (0..20).flat_map(|slot| (0..20).map(move |generation| (slot, generation)));
        let nonces: std::collections::HashSet<_> = addresses
            .map(|(slot, generation)| id_key.id(slot, generation).nonce)
            .collect();
        assert_eq!(nonces.len(), 400);
    }

    /// P4: keys are not printed: with a key from a log, ids could be guessed.
    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", IdKey::new()), "IdKey(secret)");
    }
}
