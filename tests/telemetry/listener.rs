//! A subscriber that records the events of one thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::{Mutex, Once};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Fields as text, by name.
pub(crate) type Fields = BTreeMap<String, String>;

#[derive(Default)]
struct Visitor(Fields);

impl Visit for Visitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

/// Recorded events: the level, the fields, and the fields of the span.
pub(crate) type Emitted = Vec<(String, Fields, Fields)>;

/// The recorder of this thread. All tests share one subscriber, because several at a time disturb
/// each other's caches.
struct Sink {
    emitted: Emitted,
    call_back: Rc<dyn Fn()>,
}

/// The hangs of removals that any thread has reported.
pub(crate) static HANGS: Mutex<Vec<Fields>> = Mutex::new(Vec::new());

thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

struct Listener;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut visitor = Visitor::default();
        attributes.record(&mut visitor);
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(visitor.0);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "job_registry" {
            return;
        }
        let mut visitor = Visitor::default();
        event.record(&mut visitor);
        if visitor.0["message"] == "removal hangs" {
            HANGS.lock().unwrap().push(visitor.0.clone());
        }
        let span = context.event_span(event);
        let span = span.and_then(|span| span.extensions().get::<Fields>().cloned());
        let level = event.metadata().level().to_string();
        let call_back = SINK.with_borrow_mut(|sink| {
            let sink = sink.as_mut()?;
            sink.emitted
                .push((level, visitor.0, span.unwrap_or_default()));
            Some(sink.call_back.clone())
        });
        if let Some(call_back) = call_back {
            call_back();
        }
    }
}

/// Returns the events that this thread emits while `f` runs. Each of them calls `call_back`.
pub(crate) fn emitted(call_back: impl Fn() + 'static, f: impl FnOnce()) -> Emitted {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Listener);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    let call_back = Rc::new(call_back);
    let emitted = Vec::new();
    SINK.set(Some(Sink { emitted, call_back }));
    f();
    SINK.take().unwrap().emitted
}
