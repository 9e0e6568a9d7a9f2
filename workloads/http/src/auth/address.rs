//! Which rule a request's path falls under.
//!
//! Routers match paths as they are written, handlers see parameters decoded, and other programs
//! in front of this one may tidy paths up. So a path is read in every way in which it may be
//! understood; if the rule depends on the reading, or the path climbs up by dots, the request is
//! refused rather than guessed at.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Paths that are open to read whatever the rules say.
pub(super) const ALWAYS_OPEN: [&str; 4] = ["/livez", "/readyz", "/metrics", "/openapi.json"];

/// A path that no rule can be decided for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnclearPath {
    /// It is not UTF-8 once it is decoded.
    #[error("the path is not UTF-8")]
    Encoding,
    /// It has a segment `.` or `..`.
    #[error("the path has a segment `.` or `..`: write it without")]
    Dots,
    /// It has empty segments or encoded slashes, and who may reach it depends on them.
    #[error("the path has empty segments, backslashes or encoded slashes: write it without")]
    Slashes,
}

/// The segments of a rule's path.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

/// The rule of the longest path that begins the request's. `rules` are ordered by the number of
/// their segments, the most first.
pub(super) fn choose<'a, R>(
    path: &str,
    rules: &'a [R],
    of: impl Fn(&R) -> &[String],
) -> Result<Option<&'a R>, UnclearPath> {
    let written: Vec<Cow<'_, str>> = path
        .strip_prefix('/')
        .unwrap_or(path)
        .split('/')
        .map(|segment| percent_decode_str(segment).decode_utf8())
        .collect::<Result<_, _>>()
        .map_err(|_| UnclearPath::Encoding)?;
    // Every slash cuts, and what is empty is left out.
    let tidy: Vec<&str> = written
        .iter()
        .flat_map(|segment| segment.split(['/', '\\']))
        .filter(|segment| !segment.is_empty())
        .collect();
    if tidy.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(UnclearPath::Dots);
    }
    let written: Vec<&str> = written.iter().map(AsRef::as_ref).collect();
    let find = |path: &[&str]| {
        rules.iter().position(|rule| {
            let rule = of(rule);
            path.len() >= rule.len() && rule.iter().zip(path).all(|(a, b)| a == b)
        })
    };
    let found = find(&tidy);
    if found != find(&written) {
        return Err(UnclearPath::Slashes);
    }
    Ok(found.map(|index| &rules[index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(path: &str) -> Result<Option<String>, UnclearPath> {
        let rules: Vec<Vec<String>> =
            ["/multivac/open", "/multivac", "/a/b"].into_iter().map(segments).collect();
        choose(path, &rules, |rule| rule).map(|rule| rule.map(|rule| rule.join("/")))
    }

    #[test]
    fn the_longest_path_counts_segment_by_segment() {
        let is = |path, rule: Option<&str>| {
            assert_eq!(chosen(path), Ok(rule.map(str::to_owned)), "{path}");
        };
        is("/multivac", Some("multivac"));
        is("/multivac/", Some("multivac"));
        is("/multivac/x/y", Some("multivac"));
        is("/multivac/open/x", Some("multivac/open"));
        is("/multivac/opener", Some("multivac"));
        is("/multivacuum", None);
        is("/Multivac", None);
        is("/", None);
        is("*", None);
        is("/a", None);
        is("/a/b", Some("a/b"));
    }

    #[test]
    fn an_encoded_path_is_the_same_path() {
        assert_eq!(chosen("/%6dultivac"), Ok(Some("multivac".into())));
        assert_eq!(chosen("/%6D%75ltivac/x"), Ok(Some("multivac".into())));
        assert_eq!(chosen("/multivac/%6Fpen"), Ok(Some("multivac/open".into())));
        // Encoded twice it is another one for everybody.
        assert_eq!(chosen("/%256dultivac"), Ok(None));
    }

    #[test]
    fn what_may_be_understood_in_two_ways_is_refused() {
        for path in ["//multivac", "/%2fmultivac", "/%5Cmultivac", "/multivac%2Fopen", "/a%2Fb"] {
            assert_eq!(chosen(path), Err(UnclearPath::Slashes), "{path}");
        }
        for path in
            ["/multivac/../x", "/./multivac", "/x/%2e%2e/multivac", "/x/..%2fmultivac", "/x/.."]
        {
            assert_eq!(chosen(path), Err(UnclearPath::Dots), "{path}");
        }
        assert_eq!(chosen("/%ff"), Err(UnclearPath::Encoding));
    }

    #[test]
    fn where_the_rule_is_the_same_in_both_ways_it_holds() {
        assert_eq!(chosen("/multivac/x%2Fy"), Ok(Some("multivac".into())));
        assert_eq!(chosen("/devices/a%2Fb"), Ok(None));
        assert_eq!(chosen("/devices//state"), Ok(None));
        assert_eq!(chosen("/multivac//x"), Ok(Some("multivac".into())));
    }
}
