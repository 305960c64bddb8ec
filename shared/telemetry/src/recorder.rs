use std::{
    collections::HashSet,
    fmt::Write as _,
    sync::{Arc, OnceLock},
};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::{
    names::{self, Kind},
    record,
};

/// The process's metrics, which `/metrics` prints.
#[derive(Clone)]
pub struct Metrics {
    handle: Arc<PrometheusHandle>,
}

impl Metrics {
    /// Installs the recorder for this process, once; later calls give the same one.
    ///
    /// # Panics
    /// When something else has installed a recorder.
    pub fn install() -> Self {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        INSTALLED
            .get_or_init(|| {
                let handle = PrometheusBuilder::new()
                    .set_buckets(names::BUCKETS)
                    .expect("the list of buckets is not empty")
                    .install_recorder()
                    .expect("this is the only recorder of the process");
                for metric in names::ALL {
                    match metric.kind {
                        Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
                        Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
                        Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
                    }
                }
                record::touch_all();
                Self { handle: Arc::new(handle) }
            })
            .clone()
    }

    /// Everything in Prometheus text format, every metric with its HELP and TYPE.
    pub fn render(&self) -> String {
        self.handle.run_upkeep();
        let mut text = self.handle.render();
        let told: HashSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let mut untold = String::new();
        for metric in names::ALL.iter().filter(|metric| !told.contains(metric.name)) {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            writeln!(untold, "# HELP {0} {1}\n# TYPE {0} {kind}\n", metric.name, metric.help)
                .expect("writing to a String does not fail");
        }
        text.push_str(&untold);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_told_from_the_start() {
        let text = Metrics::install().render();
        for metric in names::ALL {
            assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{}", metric.name);
            assert!(text.contains(&format!("# TYPE {} ", metric.name)), "{}", metric.name);
        }
        assert!(text.contains("ai_planner_requests_total{status=\"budget\"} 0"), "{text}");
    }
}
