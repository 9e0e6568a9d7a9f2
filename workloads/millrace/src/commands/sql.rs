//! `millrace sql`: a person's queries on the tables of a local pipeline.

use std::io::BufRead as _;
use std::io::IsTerminal as _;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use millrace_tables::OpenStoreError;
use millrace_tables::sqlite::QueryAnswer;
use millrace_tables::sqlite::QueryError;
use millrace_tables::sqlite::SqliteReader;
use millrace_tables::sqlite::is_complete;
use serde_json::Value;

use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;

/// Folder of the data folders of pipelines for which --data names none.
const DATA_FOLDER: &str = ".millrace";
/// File of the tables within a data folder.
const TABLES_FILE: &str = "tables.sqlite";

/// Ask the tables of a local pipeline by SQL, whether it runs or not. Nothing can be written.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace sql --tables
  millrace sql \"SELECT * FROM standings ORDER BY position LIMIT 10\"
  millrace sql --data /var/lib/race --output json \"SELECT count(*) AS n FROM laps\"
  millrace sql --csv \"SELECT * FROM laps\" > laps.csv
  millrace sql < report.sql
  millrace sql                       Statements one by one, each up to a semicolon")]
pub(crate) struct SqlArguments {
    /// One statement that reads: SELECT, WITH, VALUES or EXPLAIN.
    ///
    /// Without it: what standard input says; at a terminal, statements one by one.
    statement: Option<String>,

    /// Data folder of the pipeline, or the file of its tables.
    ///
    /// Without it the only one below `.millrace/`, in the current folder.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,

    /// List the tables with their columns and numbers of rows.
    #[arg(long, conflicts_with = "statement")]
    tables: bool,

    /// Write rows as CSV, with a heading.
    #[arg(long, conflicts_with = "tables")]
    csv: bool,

    /// Most rows that are shown.
    #[arg(long, value_name = "ROWS", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,

    /// Longest time that a statement may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

/// Why nothing can be asked.
#[derive(Debug, thiserror::Error)]
enum SqlError {
    #[error("there are no tables in {0}: name the pipeline's data folder with --data")]
    NoTables(PathBuf),
    #[error(
        "there are several pipelines below {DATA_FOLDER}: name one with --data, such as --data {0}"
    )]
    Several(String),
    #[error("cannot read the statement from standard input")]
    Input(#[source] std::io::Error),
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    JsonLines,
    Csv,
}

/// Runs the command.
pub(crate) async fn run(arguments: SqlArguments, output: OutputFormat) -> Outcome {
    let file = tables_file(arguments.data.as_deref())?;
    let mut reader = SqliteReader::open(&file).await.map_err(|error| match error {
        error @ OpenStoreError::Version { .. } => Exit::Data.because(error),
        error => Exit::Io.because(error),
    })?;
    let form = match output {
        _ if arguments.csv => Form::Csv,
        OutputFormat::Json => Form::JsonLines,
        OutputFormat::Text => Form::Table,
    };
    let outcome = if arguments.tables {
        list(&mut reader, form).await
    } else if let Some(statement) = &arguments.statement {
        ask(&mut reader, statement, &arguments, form).await
    } else if std::io::stdin().is_terminal() {
        converse(&mut reader, &arguments, form).await
    } else {
        let mut statement = String::new();
        std::io::stdin()
            .read_to_string(&mut statement)
            .map_err(|error| Exit::NoInput.because(SqlError::Input(error)))?;
        ask(&mut reader, &statement, &arguments, form).await
    };
    reader.close().await;
    outcome
}

fn tables_file(data: Option<&Path>) -> Result<PathBuf, Failure> {
    let missing = |path: &Path| Exit::NoInput.because(SqlError::NoTables(path.to_owned()));
    if let Some(path) = data {
        let file = if path.is_dir() { path.join(TABLES_FILE) } else { path.to_owned() };
        return if file.is_file() { Ok(file) } else { Err(missing(path)) };
    }
    let folder = Path::new(DATA_FOLDER);
    let entries = std::fs::read_dir(folder).map_err(|_| missing(folder))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path().join(TABLES_FILE)))
        .filter(|file| file.is_file())
        .collect();
    found.sort();
    match found.as_slice() {
        [] => Err(missing(folder)),
        [file] => Ok(file.clone()),
        [first, ..] => {
            let folder = first.parent().unwrap_or(first).display().to_string();
            Err(Exit::Usage.because(SqlError::Several(folder)))
        }
    }
}

async fn list(reader: &mut SqliteReader, form: Form) -> Outcome {
    let tables = reader.tables().await.map_err(Exit::Data.of())?;
    if form == Form::JsonLines {
        for table in &tables {
            let columns: Vec<Value> = table
                .columns
                .iter()
                .map(|(name, kind)| serde_json::json!({"name": name, "type": kind}))
                .collect();
            output::json_line(&serde_json::json!({
                "name": table.name, "columns": columns, "rows": table.rows,
            }))?;
        }
        return Ok(());
    }
    let mut rows = vec![["TABLE", "ROWS", "COLUMNS"].map(str::to_owned).to_vec()];
    for table in tables {
        let columns: Vec<String> =
            table.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        rows.push(vec![table.name, table.rows.to_string(), columns.join(", ")]);
    }
    for line in output::columns(&rows) {
        output::line(&line)?;
    }
    Ok(())
}

async fn ask(
    reader: &mut SqliteReader,
    statement: &str,
    arguments: &SqlArguments,
    form: Form,
) -> Outcome {
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let timeout = Duration::from_secs(arguments.timeout);
    let answer = reader.query(statement, limit, timeout).await.map_err(|error| match error {
        QueryError::Refused(_) | QueryError::Writes => Exit::Usage.because(error),
        QueryError::Timeout(_) => Exit::TemporaryFailure.because(error),
        QueryError::Database(_) => Exit::Data.because(error),
    })?;
    for line in render(&answer, form) {
        output::line(&line)?;
    }
    if answer.is_cut {
        output::note(&format!("only the first {limit} rows are shown: --limit shows more"));
    }
    Ok(())
}

/// Statements of a person at a terminal, one by one. What is wrong with one does not end it.
async fn converse(reader: &mut SqliteReader, arguments: &SqlArguments, form: Form) -> Outcome {
    output::note("Write a statement and a semicolon; `.tables` lists tables, `.quit` ends.");
    let mut statement = String::new();
    output::rewrite("sql> ");
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Exit::NoInput.because(SqlError::Input(error)))?;
        let outcome = match line.trim() {
            ".quit" | ".exit" if statement.is_empty() => return Ok(()),
            ".tables" if statement.is_empty() => list(reader, form).await,
            "" if statement.is_empty() => Ok(()),
            _ => {
                statement.push_str(&line);
                statement.push('\n');
                if is_complete(&statement) {
                    let whole = std::mem::take(&mut statement);
                    ask(reader, &whole, arguments, form).await
                } else {
                    Ok(())
                }
            }
        };
        // It has been told, and the next statement may be better.
        let _ = crate::exit::report(outcome);
        output::rewrite(if statement.is_empty() { "sql> " } else { "...> " });
    }
    output::note("");
    Ok(())
}

fn render(answer: &QueryAnswer, form: Form) -> Vec<String> {
    match form {
        Form::Table if answer.rows.is_empty() => vec!["There are no rows.".to_owned()],
        Form::Table => {
            let mut rows = vec![answer.columns.clone()];
            rows.extend(answer.rows.iter().map(|row| row.iter().map(shown).collect()));
            output::columns(&rows)
        }
        Form::JsonLines => answer
            .rows
            .iter()
            .map(|row| {
                let fields: Vec<String> = answer
                    .columns
                    .iter()
                    .zip(row)
                    .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
                    .collect();
                format!("{{{}}}", fields.join(","))
            })
            .collect(),
        Form::Csv => {
            let heading = answer.columns.iter().map(|name| quoted(name));
            let mut lines = vec![heading.collect::<Vec<_>>().join(",")];
            for row in &answer.rows {
                let cells = row.iter().map(|value| match value {
                    Value::Null => String::new(),
                    value => quoted(&text(value)),
                });
                lines.push(cells.collect::<Vec<_>>().join(","));
            }
            if answer.columns.is_empty() { Vec::new() } else { lines }
        }
    }
}

/// A value on one line of a terminal.
fn shown(value: &Value) -> String {
    text(value).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// A field as RFC 4180 has it.
fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> QueryAnswer {
        QueryAnswer {
            columns: vec!["car".into(), "said".into()],
            rows: vec![
                vec![json!(1), json!("a \"b\",\nc")],
                vec![json!(20), json!(null)],
                vec![json!(3), json!({"x": ""})],
            ],
            is_cut: false,
        }
    }

    #[test]
    fn rows_are_a_table_or_lines_of_json_or_csv() {
        assert_eq!(
            render(&answer(), Form::Table),
            ["car  said", "1    a \"b\", c", "20   NULL", "3    {\"x\":\"\"}"]
        );
        assert_eq!(
            render(&answer(), Form::JsonLines),
            [
                r#"{"car":1,"said":"a \"b\",\nc"}"#,
                r#"{"car":20,"said":null}"#,
                r#"{"car":3,"said":{"x":""}}"#,
            ]
        );
        assert_eq!(
            render(&answer(), Form::Csv),
            ["car,said", "1,\"a \"\"b\"\",\nc\"", "20,", "3,\"{\"\"x\"\":\"\"\"\"}\""]
        );
    }
}
