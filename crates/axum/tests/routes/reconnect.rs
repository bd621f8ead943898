//! A client that reconnects anywhere: its ids strictly grow, and it sees one end.

use crate::common::{Service, Stream};
use axum::http::{Method, StatusCode};
use job_registry::{Job, Progress, Version};
use proptest::prelude::*;
use std::time::Duration;

/// One thing that happens between two reads of the client.
#[derive(Debug, Clone)]
enum Step {
    Start,
    Advance(u64),
    Note,
    Update,
    Heartbeat,
    RequestStop,
    Complete,
    Fail,
    Cancel,
    Retry,
    /// The client reads an event, if there is one.
    Read,
    /// The connection breaks, with or without the event that was under way.
    Break {
        loses: bool,
    },
    /// The client forgets what it has seen, like a page that is loaded again.
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Start),
        3 => (0..=10u64).prop_map(Step::Advance),
        1 => Just(Step::Note),
        1 => Just(Step::Update),
        1 => Just(Step::Heartbeat),
        1 => Just(Step::RequestStop),
        1 => Just(Step::Complete),
        1 => Just(Step::Fail),
        1 => Just(Step::Cancel),
        2 => Just(Step::Retry),
        8 => Just(Step::Read),
        4 => any::<bool>().prop_map(|loses| Step::Break { loses }),
        1 => Just(Step::Reload),
    ]
}

/// The client, as an `EventSource` behaves.
struct Client {
    last: Option<String>,
    stream: Option<Stream>,
    /// Whether the service has told it not to reconnect.
    told: bool,
}

impl Client {
    async fn connect(&mut self, service: &Service, job: &Job<String>) {
        let path = format!("{}/events", service.routes.path(job.id()));
        let last = self.last.clone().unwrap_or_default();
        let headers = [("last-event-id", &*last)];
        let headers = if self.last.is_some() {
            &headers[..]
        } else {
            &[]
        };
        let answer = service.call(Method::GET, &path, headers).await;
        if answer.status() == StatusCode::NO_CONTENT {
            let seen = job.snapshot().unwrap_or_else(|_| panic!("the job is kept"));
            assert!(seen.status().is_ended());
            assert_eq!(self.last, Some(seen.version().to_string()));
            self.told = true;
        } else {
            self.stream = Some(Stream::of(answer));
        }
    }

    /// Reads what has happened, up to `limit` events. Returns whether the stream has ended.
    async fn read(&mut self, limit: usize, job: &Job<String>) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        for _ in 0..limit {
            let next = tokio::time::timeout(Duration::from_millis(1), stream.next()).await;
            let Ok(next) = next else { return false };
            let Some(event) = next else {
                self.stream = None;
                return true;
            };
            if event.name == "heartbeat" {
                assert_eq!(event.id, None);
                continue;
            }
            assert_eq!(event.name, "state");
            let id = event.id.clone().expect("a state has an id");
            let version: Version = id.parse().unwrap();
            let before = self
                .last
                .as_deref()
                .map(|last| last.parse::<Version>().unwrap());
            assert!(
                before.is_none_or(|before| version > before),
                "{before:?} then {version}"
            );
            assert_eq!(event.json()["version"], *id);
            assert!(version <= job.snapshot().unwrap().version());
            self.last = Some(id);
        }
        false
    }
}

proptest! {
    /// P1, P2, P9: whatever breaks, the versions that a client sees strictly grow, and finally it
    /// has the last state and is told not to reconnect.
    #[test]
    fn a_client_that_reconnects_anywhere_sees_growing_versions_and_one_end(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let service = Service::new();
            let mut job = service.register("");
            let mut client = Client { last: None, stream: None, told: false };
            for step in steps {
                match step {
                    // A step that the job's status does not permit is refused, and changes nothing.
                    Step::Start => _ = job.start(),
                    Step::Advance(tenths) => _ = job.advance(Progress::of(tenths, 10)),
                    Step::Note => _ = job.note("a note"),
                    Step::Update => _ = job.update(|payload| payload.push('x')),
                    Step::Heartbeat => {
                        service.clock.advance(Duration::from_secs(1));
                        let _ = job.heartbeat();
                    }
                    Step::RequestStop => _ = job.request_stop("enough"),
                    Step::Complete => _ = job.complete(),
                    Step::Fail => _ = job.fail("no fonts"),
                    Step::Cancel => _ = job.cancel(),
                    Step::Retry => {
                        if let Ok(next) = job.retry() {
                            job = next;
                            // An `EventSource` that was told to stop is opened again by its page.
                            client.told = false;
                        }
                    }
                    Step::Read => {
                        if client.stream.is_none() && !client.told {
                            client.connect(&service, &job).await;
                        }
                        client.read(1, &job).await;
                    }
                    Step::Break { loses } => {
                        if loses {
                            let last = client.last.clone();
                            client.read(1, &job).await;
                            client.last = last;
                        }
                        client.stream = None;
                    }
                    Step::Reload => client = Client { last: None, stream: None, told: false },
                }
            }
            if !job.snapshot().unwrap().status().is_ended() {
                job.fail("the end").unwrap();
            }
            client.told = false;
            for _ in 0..3 {
                if client.stream.is_none() && !client.told {
                    client.connect(&service, &job).await;
                }
                client.read(100, &job).await;
            }
            assert!(client.told, "the client reconnects for ever");
            assert_eq!(client.last, Some(job.snapshot().unwrap().version().to_string()));
        });
    }
}
