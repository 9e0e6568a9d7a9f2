//! Looks at a person's SQL before the database does: one statement, and one that reads.

/// Statements that read.
const QUERIES: [&str; 4] = ["SELECT", "WITH", "VALUES", "EXPLAIN"];

/// A text that is not one statement that reads.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RefusedStatement {
    /// There is nothing but blanks and comments.
    #[error("there is no statement: write one such as `SELECT * FROM standings LIMIT 10`")]
    Empty,
    /// There are several statements.
    #[error("there is more than one statement: run them one by one")]
    Several,
    /// It does something else than read.
    #[error(
        "`{0}` is refused: the tables can be read here (SELECT, WITH, VALUES, EXPLAIN), and the pipeline alone writes them"
    )]
    NotAQuery(String),
}

/// The one statement of a text, without the semicolon at its end.
pub(super) fn single_query(text: &str) -> Result<&str, RefusedStatement> {
    let mut start = None;
    let mut end = None;
    for (at, token) in tokens(text) {
        match token {
            Token::Blank => {}
            Token::Semicolon if start.is_none() => {}
            Token::Semicolon => end = end.or(Some(at)),
            Token::Text if end.is_some() => return Err(RefusedStatement::Several),
            Token::Text => start = start.or(Some(at)),
        }
    }
    let statement = text[start.ok_or(RefusedStatement::Empty)?..end.unwrap_or(text.len())].trim();
    let word: String = statement.chars().take_while(char::is_ascii_alphabetic).take(32).collect();
    if QUERIES.iter().any(|query| query.eq_ignore_ascii_case(&word)) {
        Ok(statement)
    } else {
        let shown = if word.is_empty() { statement.chars().take(32).collect() } else { word };
        Err(RefusedStatement::NotAQuery(shown))
    }
}

/// Whether a text ends a statement, so that a person need not write more.
#[must_use]
pub fn is_complete(text: &str) -> bool {
    tokens(text)
        .filter(|(_, token)| *token != Token::Blank)
        .last()
        .is_some_and(|(_, token)| token == Token::Semicolon)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Blanks and comments.
    Blank,
    /// Between statements.
    Semicolon,
    /// Anything else: a quoted text or name as a whole, or one character.
    Text,
}

/// Cuts SQL as far as semicolons and comments need it.
fn tokens(text: &str) -> impl Iterator<Item = (usize, Token)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        let (length, token) = match first {
            ';' => (1, Token::Semicolon),
            '\'' | '"' | '`' => (quoted(rest, first), Token::Text),
            '[' => (rest.find(']').map_or(rest.len(), |end| end + 1), Token::Text),
            '-' if rest.starts_with("--") => {
                (rest.find('\n').map_or(rest.len(), |end| end + 1), Token::Blank)
            }
            '/' if rest.starts_with("/*") => {
                (rest[2..].find("*/").map_or(rest.len(), |end| end + 4), Token::Blank)
            }
            blank if blank.is_whitespace() => (blank.len_utf8(), Token::Blank),
            other => (other.len_utf8(), Token::Text),
        };
        let start = at;
        at += length;
        Some((start, token))
    })
}

/// Bytes of a text in quotation marks; a mark within stands twice, and so is the end of one text
/// and the beginning of the next.
fn quoted(text: &str, mark: char) -> usize {
    text[1..].find(mark).map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_that_reads_is_taken_without_its_semicolon() {
        for (text, statement) in [
            ("select 1", "select 1"),
            (" ;-- a comment\nSELECT ';' ; /* ; */ -- ;", "SELECT ';'"),
            (
                "WITH a AS (VALUES (1)) SELECT \"x;\"\"y\" FROM a;;",
                "WITH a AS (VALUES (1)) SELECT \"x;\"\"y\" FROM a",
            ),
            ("explain query plan select [a;b] from c", "explain query plan select [a;b] from c"),
        ] {
            assert_eq!(single_query(text), Ok(statement), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (text, word) in [
            ("insert into a values (1)", "insert"),
            ("/* select */ DROP TABLE a", "DROP"),
            ("PRAGMA query_only = false", "PRAGMA"),
            ("ATTACH 'x' AS y", "ATTACH"),
            ("VACUUM INTO 'x'", "VACUUM"),
            ("(select 1)", "(select 1)"),
        ] {
            assert_eq!(single_query(text), Err(RefusedStatement::NotAQuery(word.into())), "{text}");
        }
        assert_eq!(single_query(" -- nothing"), Err(RefusedStatement::Empty));
        assert_eq!(single_query("select 1; select 2"), Err(RefusedStatement::Several));
        assert_eq!(single_query("select 1; drop table a"), Err(RefusedStatement::Several));
    }

    #[test]
    fn a_statement_is_complete_at_a_semicolon_outside_of_texts() {
        assert!(is_complete("select 1; -- yes"));
        for text in ["select 1", "select ';", "select 1 -- ;", ""] {
            assert!(!is_complete(text), "{text}");
        }
    }
}
