//! Arrays that are never on the stack.
//!
//! A registry is moved a few times before it has its place in an `Arc`. Its large arrays are boxed,
//! so that it also fits the stack of a checker's thread, which has 48 KiB.

/// Builds a boxed array.
pub(crate) fn boxed<U, const N: usize>(new: impl FnMut() -> U) -> Box<[U; N]> {
    let all: Box<[U]> = std::iter::repeat_with(new).take(N).collect();
    let Ok(all) = all.try_into() else {
        unreachable!("the iterator yields N values")
    };
    all
}
