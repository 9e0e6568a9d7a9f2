//! Paths as the router knows them.

use millrace_plan::model::HttpPath;

/// The paths by which the router finds a declared one: parameters are numbered, and one at the end
/// takes an empty segment as well.
pub(super) fn router_paths(path: &HttpPath) -> Vec<String> {
    let is_parameter = |segment: &str| segment.starts_with('{');
    let mut number = 0;
    let mut numbered = |segment: &str| {
        if !is_parameter(segment) {
            return segment.to_owned();
        }
        number += 1;
        format!("{{p{}}}", number - 1)
    };
    let segments: Vec<String> = path.text.split('/').map(&mut numbered).collect();
    let mut paths = vec![segments.join("/")];
    if let Some((last, before)) = segments.split_last()
        && is_parameter(last)
    {
        paths.push(format!("{}/", before.join("/")));
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        router_paths(&HttpPath { text: text.to_owned(), parameters: Vec::new() })
    }

    #[test]
    fn a_parameter_at_the_end_takes_an_empty_segment_as_well() {
        assert_eq!(paths("/a/{id}"), ["/a/{p0}", "/a/"]);
        assert_eq!(paths("/{id}"), ["/{p0}", "/"]);
        assert_eq!(paths("/a/{x}/b/{y}"), ["/a/{p0}/b/{p1}", "/a/{p0}/b/"]);
        assert_eq!(paths("/a/{x}/b"), ["/a/{p0}/b"]);
        assert_eq!(paths("/"), ["/"]);
    }
}
