//! Which declared route a request's path belongs to.
//!
//! Declared paths are not put into the server's own table of routes: two of them may have
//! parameters of different names at the same place, and a parameter at the end of a path takes an
//! empty segment as well.

use std::cmp::Reverse;

use percent_encoding::percent_decode_str;

/// Paths, each with what it leads to.
#[derive(Debug)]
pub(super) struct PathTable<T> {
    /// The most particular first.
    entries: Vec<(Vec<Segment>, T)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

/// A path that matched, with the values of its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match<'a, T> {
    /// What the path leads to.
    pub(super) target: &'a T,
    /// Names and values of the parameters, in order; values are percent-decoded.
    pub(super) parameters: Vec<(&'a str, String)>,
}

impl<T> PathTable<T> {
    /// A table of these paths. Of two that take the same request, the one whose first different
    /// segment is not a parameter counts; of two alike, the first.
    pub(super) fn new<'a>(paths: impl IntoIterator<Item = (&'a str, T)>) -> Self {
        let mut entries: Vec<_> =
            paths.into_iter().map(|(path, target)| (segments(path), target)).collect();
        entries.sort_by_key(|(segments, _)| {
            Reverse(
                segments
                    .iter()
                    .map(|segment| matches!(segment, Segment::Literal(_)))
                    .collect::<Vec<_>>(),
            )
        });
        Self { entries }
    }

    /// All entries that take this path, the most particular first; none where a segment is not
    /// UTF-8.
    pub(super) fn find<'a>(&'a self, path: &str) -> impl Iterator<Item = Match<'a, T>> {
        let decoded: Option<Vec<String>> = path
            .strip_prefix('/')
            .unwrap_or(path)
            .split('/')
            .map(|part| percent_decode_str(part).decode_utf8().ok().map(String::from))
            .collect();
        self.entries.iter().filter_map(move |(segments, target)| {
            let parts = decoded.as_ref()?;
            if parts.len() != segments.len() {
                return None;
            }
            let last = segments.len() - 1;
            let mut parameters = Vec::new();
            for (index, (segment, part)) in segments.iter().zip(parts).enumerate() {
                match segment {
                    Segment::Literal(literal) if literal == part => {}
                    Segment::Parameter(name) if !part.is_empty() || index == last => {
                        parameters.push((name.as_str(), part.clone()));
                    }
                    _ => return None,
                }
            }
            Some(Match { target, parameters })
        })
    }
}

fn segments(path: &str) -> Vec<Segment> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let segment = |part: &str| match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        Some(name) => Segment::Parameter(name.to_owned()),
        None => Segment::Literal(part.to_owned()),
    };
    path.split('/').map(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(paths: &[&'static str], path: &str) -> Option<(&'static str, Vec<String>)> {
        let table = PathTable::new(paths.iter().map(|path| (*path, *path)));
        let mut matches = table.find(path);
        matches.next().map(|found| {
            (*found.target, found.parameters.into_iter().map(|(_, value)| value).collect())
        })
    }

    #[test]
    fn a_parameter_takes_one_segment_and_at_the_end_an_empty_one() {
        let paths = ["/cars/{car}/laps/{lap}"];
        assert_eq!(
            found(&paths, "/cars/a%2Fb%20c/laps/"),
            Some((paths[0], vec!["a/b c".into(), String::new()]))
        );
        assert_eq!(found(&paths, "/cars//laps/1"), None);
        assert_eq!(found(&paths, "/cars/1/laps"), None);
        assert_eq!(found(&paths, "/cars/1/laps/1/2"), None);
        assert_eq!(found(&paths, "/cars/%ff/laps/1"), None);
    }

    #[test]
    fn the_most_particular_path_counts() {
        let paths = ["/{x}/b", "/a/{x}", "/a/b", "/"];
        assert_eq!(found(&paths, "/a/b"), Some(("/a/b", vec![])));
        assert_eq!(found(&paths, "/a/c"), Some(("/a/{x}", vec!["c".into()])));
        assert_eq!(found(&paths, "/c/b"), Some(("/{x}/b", vec!["c".into()])));
        assert_eq!(found(&paths, "/"), Some(("/", vec![])));
        assert_eq!(found(&paths, "/c"), None);
    }
}
