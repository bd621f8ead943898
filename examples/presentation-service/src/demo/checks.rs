//! The check list at the end of a demo.

use std::time::Duration;

/// One line of the list.
pub(super) struct Check {
    passed: bool,
    claim: String,
    numbers: String,
}

/// Returns a line of the list.
pub(super) fn check(passed: bool, claim: &str, numbers: String) -> Check {
    let claim = claim.to_owned();
    Check {
        passed,
        claim,
        numbers,
    }
}

/// Prints the list, and sentences about violations. Returns whether every check passed.
pub(super) fn print(
    checks: &[Check],
    sentences: impl IntoIterator<Item = String>,
    took: Duration,
) -> bool {
    println!("\nchecks from outside:");
    for check in checks {
        let mark = if check.passed { "ok  " } else { "FAIL" };
        println!("  {mark}  {:<58} {}", check.claim, check.numbers);
    }
    for sentence in sentences {
        println!("        {sentence}");
    }
    let failed = checks.iter().filter(|check| !check.passed).count();
    let seconds = took.as_secs_f64();
    match failed {
        0 => println!("\nall {} checks passed in {seconds:.1} s", checks.len()),
        _ => println!(
            "\n{failed} of {} checks FAILED ({seconds:.1} s)",
            checks.len()
        ),
    }
    failed == 0
}
