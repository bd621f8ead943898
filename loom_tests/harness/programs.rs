//! Small programs for the harness's own tests.

/// Returns all programs in which each thread has one of these sequences. Programs that differ only
/// in the order of their threads occur once.
pub(super) fn programs<O: Clone + PartialOrd>(
    threads: usize,
    sequences: &[Vec<O>],
) -> Vec<Vec<Vec<O>>> {
    let mut programs = vec![Vec::<Vec<O>>::new()];
    for _ in 0..threads {
        let longer = |program: &Vec<Vec<O>>| {
            let program = program.clone();
            let after = program.last().cloned().unwrap_or_default();
            let next = sequences.iter().filter(move |next| **next >= after);
            next.map(move |next| [program.as_slice(), std::slice::from_ref(next)].concat())
                .collect::<Vec<_>>()
        };
        programs = programs.iter().flat_map(longer).collect();
    }
    programs
}
