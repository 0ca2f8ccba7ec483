//! Prometheus' text format, of what open tunnels report.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::Write as _;

use super::Report;

/// A metric: its name, type and help, and its value of a tunnel.
type Metric = (&'static str, &'static str, &'static str, fn(&Report) -> u64);

const METRICS: [Metric; 7] = [
    (
        "bsql_tunnel_connections_total",
        "counter",
        "Connections of local programs.",
        |report| report.traffic.connections,
    ),
    (
        "bsql_tunnel_connections_open",
        "gauge",
        "Connections that are open.",
        |report| report.traffic.open,
    ),
    (
        "bsql_tunnel_connections_refused_total",
        "counter",
        "Connections of other users, turned away.",
        |report| report.traffic.refused,
    ),
    (
        "bsql_tunnel_connections_failed_total",
        "counter",
        "Connections that the database never answered.",
        |report| report.traffic.failed,
    ),
    (
        "bsql_tunnel_sent_bytes_total",
        "counter",
        "Bytes to the database.",
        |report| report.traffic.bytes_up,
    ),
    (
        "bsql_tunnel_received_bytes_total",
        "counter",
        "Bytes from the database.",
        |report| report.traffic.bytes_down,
    ),
    (
        "bsql_tunnel_start_time_seconds",
        "gauge",
        "When the tunnel was opened, in seconds since 1970.",
        |report| u64::try_from(report.since.as_second()).unwrap_or(0),
    ),
];

/// All metrics of all tunnels.
pub(super) fn text(reports: &[Report]) -> String {
    let mut text = String::new();
    for (name, kind, help, value) in METRICS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for report in reports {
            let labels = [
                ("database", report.name.as_str()),
                ("instance", &report.instance),
                ("environment", report.environment.as_deref().unwrap_or("")),
            ];
            let labels = labels.map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
            let _ = writeln!(text, "{name}{{{}}} {}", labels.join(","), value(report));
        }
    }
    text
}

/// Names come from the catalog.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn one_line_a_tunnel_and_metric() {
        let mut other = report();
        other.name = "or\"ders\\\n".to_owned();
        other.environment = None;
        other.traffic.refused = 3;
        let text = text(&[report(), other]);
        assert!(text.starts_with(
            "# HELP bsql_tunnel_connections_total Connections of local programs.\n\
             # TYPE bsql_tunnel_connections_total counter\n\
             bsql_tunnel_connections_total{database=\"payments-staging\",instance=\"acme:europe-west1:payments\",environment=\"staging\"} 0\n"
        ), "{text}");
        assert!(text.contains(
            "bsql_tunnel_connections_refused_total{database=\"or\\\"ders\\\\\\n\",instance=\"acme:europe-west1:payments\",environment=\"\"} 3\n"
        ), "{text}");
        assert_eq!(text.lines().count(), METRICS.len() * 4);
    }
}
