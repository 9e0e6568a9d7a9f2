//! What differs from path to path: the size of bodies, and how long an answer may take.

use std::collections::BTreeMap;

use crate::build::edge::nginx::paths;
use crate::build::edge::nginx::routing;
use crate::build::edge::nginx::text::Text;
use crate::pipeline::HttpWayIn;
use crate::pipeline::Pipeline;

/// Largest body of a request that no way in takes, in bytes.
const OTHER_BODIES: i64 = 64 * 1024;

/// How long a connection that lasts may be silent: longer than anything behind is.
const LASTING: &str = "24h";

/// Writes them, for a server.
pub(super) fn write(text: &mut Text, pipeline: &Pipeline) {
    let ways = &pipeline.ways_in.http;
    routing::write_passing(text);
    text.line("if ($kept_back) { return 404; }");
    text.block(format_args!("location ~ \"{}\"", paths::kept_back_location()), |text| {
        text.line("return 404;");
    });
    text.block(format_args!("location ~ \"{}\"", paths::live_location()), |text| {
        text.line("proxy_buffering off;");
        text.line(format_args!("proxy_read_timeout {LASTING};"));
        text.line("proxy_pass http://$pods;");
    });
    for way in by_path(ways).values() {
        text.block(format_args!("location ~ \"{}\"", way.pattern), |text| {
            text.line(format_args!("client_max_body_size {};", way.largest_body));
            if way.has_put {
                // For nginx a PUT may be repeated; with us each is an event. So it goes to one pod.
                text.line("proxy_next_upstream off;");
            }
            if way.lasts {
                text.line(format_args!("proxy_read_timeout {LASTING};"));
            }
            text.line("proxy_pass http://$pods;");
        });
    }
    text.block("location /", |text| {
        // A path that reads otherwise once it is tidied up comes here as well, whoever takes it.
        let largest = ways.iter().map(|way| way.max_body_bytes).chain([OTHER_BODIES]).max();
        text.line(format_args!("client_max_body_size {};", largest.unwrap_or(OTHER_BODIES)));
        if ways.iter().any(|way| way.method == "PUT") {
            text.line("proxy_next_upstream off;");
        }
        text.line("proxy_pass http://$pods;");
    });
}

/// What all ways in at a path need.
#[derive(Debug, Default)]
struct AtPath {
    pattern: String,
    largest_body: i64,
    has_put: bool,
    lasts: bool,
}

/// By paths in the order in which they are tried: a segment before a parameter. Paths that differ in
/// names of parameters alone are one.
fn by_path(ways: &[HttpWayIn]) -> BTreeMap<Vec<Segment<'_>>, AtPath> {
    let mut paths = BTreeMap::new();
    for way in ways {
        let at: &mut AtPath = paths.entry(segments(&way.path)).or_default();
        at.pattern = paths::location(&way.path);
        at.largest_body = at.largest_body.max(way.max_body_bytes);
        at.has_put |= way.method == "PUT";
        at.lasts |= way.websocket;
    }
    paths
}

/// A part of a path.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    Text(&'a str),
    Parameter,
}

fn segments(path: &str) -> Vec<Segment<'_>> {
    let segments = path.split('/').map(|segment| {
        if segment.starts_with('{') { Segment::Parameter } else { Segment::Text(segment) }
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::way_in;

    #[test]
    fn a_segment_is_tried_before_a_parameter_and_their_names_do_not_matter() {
        let mut put = way_in("/a/{other}", "PUT");
        put.max_body_bytes = 2 << 20;
        let ways = [way_in("/a/{id}", "POST"), way_in("/a/~new", "POST"), put];
        let paths: Vec<AtPath> = by_path(&ways).into_values().collect();
        let patterns: Vec<&str> = paths.iter().map(|path| path.pattern.as_str()).collect();
        assert_eq!(patterns, [r"^/a/\x7Enew$", "^/a/[^/]*$"]);
        assert_eq!((paths[1].largest_body, paths[1].has_put), (2 << 20, true));
    }
}
