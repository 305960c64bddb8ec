//! Log lines: text at a terminal, otherwise one JSON object a line.
//!
//! A JSON line has `timestamp` (RFC 3339) and `level`, which Lambda reads, `target` and `message`, and at the same level
//! every field of the event and of the spans around it: `correlation.id`, `job.id`, `trace.id`.

use std::{fmt, io::IsTerminal as _, panic::PanicHookInfo};

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{
        FmtContext, FormatEvent, FormatFields as _, FormattedFields,
        format::{JsonFields, Writer},
        layer,
        time::{FormatTime as _, SystemTime},
    },
    layer::SubscriberExt as _,
    registry::{LookupSpan, Scope},
    util::SubscriberInitExt as _,
};

/// Targets, by their beginning, that log whole requests and answers at `trace`: keys, tokens, data keys and prompts.
const TALKATIVE: [&str; 7] = ["aws_", "lambda_", "h2", "hyper", "redis", "reqwest", "rustls"];
/// A target that logs them at every other level.
const MOST_TALKATIVE: &str = "rmcp";

/// Starts logging to standard error. `filter` is a level, or levels by target, such as `info` or `info,engine=debug`; an
/// unreadable filter counts as `info`. Libraries that would log secrets stay at `debug` whatever it says.
pub fn init(filter: &str, json: bool) {
    let lines = filtered(filter);
    if json {
        lines.with(layer().fmt_fields(JsonFields::new()).event_format(FlatJson).with_writer(std::io::stderr)).init();
        std::panic::set_hook(Box::new(log_panic));
    } else {
        let ansi = std::io::stderr().is_terminal();
        lines.with(layer().with_writer(std::io::stderr).with_ansi(ansi).with_target(false).compact()).init();
    }
}

fn filtered(filter: &str) -> impl Subscriber + for<'s> LookupSpan<'s> + Send + Sync {
    let filter: Targets = filter.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let capped = TALKATIVE.map(|target| (target, LevelFilter::DEBUG));
    let cap = Targets::new().with_default(LevelFilter::TRACE).with_targets(capped);
    let cap = cap.with_target(MOST_TALKATIVE, LevelFilter::ERROR);
    tracing_subscriber::registry().with(filter).with(cap)
}

/// Logs a panic. Only a message that is a literal of the program is logged: any other may contain user data.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(panic.message = message, panic.location = location, "a panic");
}

/// Writes an event with its fields and those of its spans as one flat object. tracing-subscriber's own JSON format nests
/// the fields of spans.
struct FlatJson;

impl<S: Subscriber + for<'s> LookupSpan<'s>> FormatEvent<S, JsonFields> for FlatJson {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let mut add = |fields: &str| line.extend(serde_json::from_str::<Map<_, _>>(fields).unwrap_or_default());
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                add(fields);
            }
        }
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        add(&fields);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        let standard = [("timestamp", &*time), ("level", metadata.level().as_str()), ("target", metadata.target())];
        line.extend(standard.map(|(name, value)| (name.to_owned(), value.into())));
        writeln!(writer, "{}", Value::Object(line))
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
    fn no_filter_makes_a_library_log_whole_requests() {
        for filter in [
            "trace",
            "info,aws_smithy_runtime=trace",
            "aws_smithy_runtime::client::orchestrator=trace",
            "debug,hyper=trace,hyper_util=trace,redis=trace,rustls=trace,reqwest=trace,lambda_runtime=trace",
            "aws=trace,lambda=trace,h2::codec=trace",
        ] {
            let lines = Lines::default();
            let writer = lines.clone();
            let layer = layer().with_ansi(false).with_writer(move || writer.clone());
            tracing::subscriber::with_default(filtered(filter).with(layer), || {
                tracing::trace!(target: "aws_smithy_runtime::client::orchestrator", "secret");
                tracing::trace!(target: "aws_sdk_kms::operation", "secret");
                tracing::trace!(target: "lambda_runtime::layers", "secret");
                tracing::trace!(target: "h2::codec::framed_read", "secret");
                tracing::trace!(target: "hyper::proto::h1", "secret");
                tracing::trace!(target: "hyper_util::client", "secret");
                tracing::trace!(target: "rustls::client", "secret");
                tracing::trace!(target: "redis::aio", "secret");
                tracing::trace!(target: "reqwest::connect", "secret");
                tracing::warn!(target: "rmcp::service", "secret");
                tracing::trace!(target: "engine::work", "ours");
                tracing::debug!(target: "aws_smithy_runtime::client::orchestrator", "kept");
            });
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert!(!text.contains("secret"), "{filter}: {text}");
            assert_eq!(text.contains("ours"), filter == "trace", "{filter}: {text}");
            assert!(text.contains("kept"), "{filter}: {text}");
        }
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_fields_of_the_event_and_its_spans() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = layer().fmt_fields(JsonFields::new()).event_format(FlatJson).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
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
