//! P4: texts of ids. Each id has one text, and a text that differs from it in anything names no job.

use crate::near_texts::near;
use job_registry::{JobId, JobRegistry, LookupError};

/// P4: one changed, swapped, missing or additional character makes another id or none at all, and the registry answers that
/// it never issued that id.
#[test]
fn text_near_the_text_of_an_id_names_no_job() {
    let jobs = JobRegistry::builder().capacity(40).build();
    // Jobs that are gone: an id near one of theirs would be `Gone`.
    for n in 0..200 {
        let id = jobs.register(n).unwrap().detach();
        jobs.cancel(id).unwrap();
        jobs.remove(id).unwrap();
    }
    let ids: Vec<_> = (0..20)
        .map(|n| jobs.register(n).unwrap().detach())
        .collect();
    for id in ids {
        let text = id.to_string();
        let (mut refused, mut others) = (0, 0);
        for other in near(&text) {
            match other.parse::<JobId>() {
                Err(_) => refused += 1,
                Ok(parsed) => {
                    others += 1;
                    assert_ne!(parsed, id, "{other:?} for {text}");
                    assert_eq!(parsed.to_string(), other, "a second text");
                    assert_eq!(jobs.snapshot(parsed), Err(LookupError::NotFound), "{other}");
                }
            }
        }
        assert!(refused > 1_000 && others > 1_000, "{refused} and {others}");
        assert_eq!(text.parse(), Ok(id));
    }
}

/// P4: whatever width and fill an id is printed with, without them it is the text that parses.
#[test]
fn padded_id_is_its_text_and_blanks() {
    let id = JobRegistry::new().register(()).unwrap().id();
    let text = id.to_string();
    let padded = format!("{id:>30}|{id:<30}|{id:22}|{id:1}");
    assert!(
        padded.split('|').all(|part| part.trim() == text),
        "{padded}"
    );
    assert!(format!("{id:>30}").parse::<JobId>().is_err());
}
