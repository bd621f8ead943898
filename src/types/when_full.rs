//! [`WhenFull`]: what a registration does at capacity.

/// What a registration does when the registry is at capacity; see
/// [`Builder::when_full`](crate::Builder::when_full).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Refuses the registration with [`RegisterError::Full`](crate::RegisterError::Full). The
    /// default.
    #[default]
    Refuse,
    /// Removes the ended job with the earliest end, whatever its retention, and registers.
    RemoveOldestEnded,
}
