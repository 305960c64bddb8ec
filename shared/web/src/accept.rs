//! The headers `Accept` and `Accept-Encoding` (RFC 9110, sections 12.5.1 and 12.5.3).

use axum::http::{HeaderMap, HeaderName, header};

/// The highest weight that a header of the request gives to one of these by name; 0 if it names none of them.
/// Wildcards do not count: a caller that takes anything gets the default.
fn weight(headers: &HeaderMap, header: HeaderName, names: &[&str]) -> f32 {
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    let weights = values.flat_map(|value| value.split(',')).filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        names.iter().any(|known| name.eq_ignore_ascii_case(known)).then_some(weight)
    });
    weights.fold(0.0, f32::max)
}

/// JSON is named, with more weight than HTML.
pub(crate) fn prefers_json(headers: &HeaderMap) -> bool {
    let weight = |types| weight(headers, header::ACCEPT, types);
    weight(&["application/json", "application/problem+json"]) > weight(&["text/html"])
}

/// The answer may be compressed by gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    weight(headers, header::ACCEPT_ENCODING, &["gzip"]) > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, value.parse().unwrap())])
    }

    #[test]
    fn json_must_be_preferred_to_html() {
        for json in ["application/json", "application/json, text/html;q=0.9", "text/html;q=0.1, Application/JSON"] {
            assert!(prefers_json(&accept(json)), "{json}");
        }
        for html in ["*/*", "", "text/html", "text/html,application/json;q=0.9", "application/json;q=x", "image/png"] {
            assert!(!prefers_json(&accept(html)), "{html}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }

    #[test]
    fn gzip_must_be_named_and_not_forbidden() {
        let takes =
            |value: &str| takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]));
        assert!(["gzip", "GZIP", "deflate, gzip;q=0.5", "br;q=1.0, gzip"].into_iter().all(takes));
        assert!(!["", "*", "identity", "gzip;q=0", "gzip;q=0.0", "br", "gzipped"].into_iter().any(takes));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn repeated_headers_and_ranges_count_by_their_highest_weight() {
        let mut headers = accept("text/plain;q=0.2, text/html;level=1;q=0.5");
        headers.append(header::ACCEPT, "text/plain; q=0.7".parse().unwrap());
        for (name, expected) in [("text/plain", 0.7), ("text/html", 0.5), ("application/json", 0.0)] {
            assert!((weight(&headers, header::ACCEPT, &[name]) - expected).abs() < 1e-6, "{name}");
        }
    }
}
