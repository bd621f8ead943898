//! The ids of a namespace, and the random numbers of its calls.

use job_registry::JobId;
use siphasher::sip::SipHasher24;
use siphasher::sip128;

/// Secret of a namespace, which marks its ids.
///
/// An id has 96 random bits and a tag of 32: SipHash-2-4 of the random bits under the secret. An id
/// with the right tag was issued, and an absent one is therefore gone. A made-up id has the right
/// tag once in 4 billion times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secret([u8; 16]);

impl Secret {
    pub(crate) fn random() -> Self {
        Self(random())
    }

    /// Parses 32 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
        Some(Self(number.to_be_bytes()))
    }

    pub(crate) fn to_text(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    pub(crate) fn mint(self) -> JobId {
        let bits = u128::from_be_bytes(random()) >> 32;
        JobId::from_bits(bits << 32 | u128::from(self.tag(bits)))
    }

    pub(crate) fn has_issued(self, id: JobId) -> bool {
        let bits = id.to_bits();
        u128::from(self.tag(bits >> 32)) == bits & u128::from(u32::MAX)
    }

    /// Returns 32 hexadecimal digits that stand for bytes of any length.
    pub(crate) fn digest(self, bytes: &[u8]) -> String {
        let digest = sip128::SipHasher24::new_with_key(&self.0).hash(bytes);
        format!("{:032x}", digest.as_u128())
    }

    #[allow(clippy::cast_possible_truncation)] // a part of the hash is enough
    fn tag(self, bits: u128) -> u32 {
        SipHasher24::new_with_key(&self.0).hash(&bits.to_le_bytes()) as u32
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Returns bytes from the operating system's random generator.
///
/// # Panics
///
/// If the generator fails.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[cfg(test)]
    if crate::tests::sim::network::fill(&mut bytes) {
        return bytes;
    }
    getrandom::fill(&mut bytes).expect("the operating system's random generator failed");
    bytes
}

/// 96 random bits that name an attempt or a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce(pub(crate) [u8; 12]);

impl Nonce {
    pub(crate) fn random() -> Self {
        Self(random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_to_its_own_namespace_only() {
        let (secret, other) = (Secret::random(), Secret::random());
        for _ in 0..100 {
            let id = secret.mint();
            assert!(secret.has_issued(id) && !other.has_issued(id));
            for bit in 0..128 {
                assert!(!secret.has_issued(JobId::from_bits(id.to_bits() ^ 1 << bit)));
            }
        }
    }

    #[test]
    fn a_secret_has_one_text() {
        let secret = Secret([7; 16]);
        assert_eq!(Secret::parse(&secret.to_text()), Some(secret));
        assert_eq!(Secret::parse("7"), None);
        assert_eq!(Secret::parse(&"+".repeat(32)), None);
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
