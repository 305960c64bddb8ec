//! Log lines: text for a person at a terminal, one JSON object a line for everyone else.
//!
//! A JSON line has `timestamp` (RFC 3339) and `level` as Lambda wants them, `target`, `message`, and beside them
//! every field of the event and of the spans around it: `correlation.id`, `job.id`, `trace.id`.

use std::{
    fmt::Debug,
    io::{IsTerminal as _, Write as _},
    panic::PanicHookInfo,
};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::{
        self, MakeWriter,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    layer::{Context, SubscriberExt as _},
    registry::{LookupSpan, Scope},
    util::SubscriberInitExt as _,
};

/// Begins to write logs to standard error. `filter` is a level, or levels by target, such as `info` or
/// `info,engine=debug`; one that cannot be read counts as `info`.
pub fn init(filter: &str, json: bool) {
    let filter = filter.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::registry().with(filter);
    if json {
        lines.with(JsonLines(std::io::stderr)).init();
        std::panic::set_hook(Box::new(panicked));
    } else {
        let ansi = std::io::stderr().is_terminal();
        lines.with(fmt::layer().with_writer(std::io::stderr).with_ansi(ansi).with_target(false).compact()).init();
    }
}

/// A panic as a line. What it says is told only where it was written down in the program: the rest may hold anything.
fn panicked(panic: &PanicHookInfo<'_>) {
    let says = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(panic.message = says, panic.location = at, "a panic");
}

/// Writes each event as a line of JSON.
struct JsonLines<W>(W);

/// The fields of a span.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(Fields(fields)) = span.extensions().get() {
                line.0.extend(fields.clone());
            }
        }
        event.record(&mut line);
        let mut time = String::new();
        // A clock that cannot be read leaves the time out.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let about = event.metadata();
        for (name, value) in
            [("timestamp", time.as_str()), ("level", about.level().as_str()), ("target", about.target())]
        {
            line.0.insert(name.to_owned(), value.into());
        }
        let line = format!("{}\n", Value::Object(line.0));
        // There is nobody to tell that a line could not be written.
        let _ = self.0.make_writer_for(about).write_all(line.as_bytes());
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_with_what_the_spans_around_it_say() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(JsonLines(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::error_span!("request", request.id = "r", trace.id = tracing::field::Empty).entered();
            request.record("trace.id", "begun");
            request.record("trace.id", "joined");
            let _job = tracing::error_span!("job", job.id = %"j").entered();
            tracing::warn!(level = "mine", jobs.count = 2, done = false, "two\nlines");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        for (name, value) in [
            ("level", Value::from("WARN")),
            ("message", "two\nlines".into()),
            ("request.id", "r".into()),
            ("trace.id", "joined".into()),
            ("job.id", "j".into()),
            ("jobs.count", 2.into()),
            ("done", false.into()),
        ] {
            assert_eq!(line[name], value, "{text}");
        }
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "RFC 3339: {time}");
    }
}
