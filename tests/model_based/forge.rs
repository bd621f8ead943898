//! Forged ids: the text of an issued id with one bit flipped.

use super::api::JobId;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns the 128-bit number that an id's text spells in base 62.
fn number(id: JobId) -> u128 {
    id.to_string().bytes().fold(0u128, |number, byte| {
        let digit = DIGITS
            .iter()
            .position(|&known| known == byte)
            .expect("a digit of base 62");
        number * 62 + digit as u128
    })
}

/// Returns the job's slot. Two jobs may use a slot one after the other.
pub(crate) fn slot(id: JobId) -> u128 {
    number(id) & u128::from(u32::MAX)
}

/// Flips a bit of the id. The result always parses.
pub(crate) fn flip(id: JobId, bit: u32) -> JobId {
    let mut rest = number(id) ^ 1 << bit;
    let mut text = [0; 22];
    for place in text.iter_mut().rev() {
        *place = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    let text = std::str::from_utf8(&text).expect("digits are ASCII");
    text.parse().expect("128 bits are an id")
}
