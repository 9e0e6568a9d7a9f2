//! What `psql` reaches: rows by `COPY` into a staging table, from there into the table.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

use crate::bench::kafka::bed::Bed;
use crate::bench::kafka::table::Row;
use crate::bench::process;
use crate::bench::report::Measurement;
use crate::bench::report::ProcessUse;
use crate::bench::usage::Meter;

/// Rows of a transaction.
const BATCH: u64 = 10_000;

const TABLE: &str = r#"CREATE TABLE copied (id bigint PRIMARY KEY, at timestamp with time zone,
    device text COLLATE "C", value double precision, message text COLLATE "C")"#;
/// It is not written ahead: nothing is cheaper.
const STAGING: &str = "CREATE TEMPORARY TABLE staging (LIKE copied) ON COMMIT DELETE ROWS;";
const UPSERT: &str = "INSERT INTO copied SELECT * FROM staging ON CONFLICT (id) DO UPDATE SET \
    at = excluded.at, device = excluded.device, value = excluded.value, message = excluded.message;";

#[derive(Debug, thiserror::Error)]
#[error("psql failed")]
struct PsqlError;

/// Measures `psql` on so many connections at once, each with the ids that are its own.
pub(super) fn measure(
    bed: &Bed,
    connections: u64,
    rows: u64,
    row: impl Fn(u64) -> Row,
) -> Result<Measurement, Box<dyn Error>> {
    bed.postgres.sql("DROP TABLE IF EXISTS copied")?;
    bed.postgres.sql(TABLE)?;
    let scripts: Vec<PathBuf> =
        (0..connections).map(|number| bed.file(&format!("copy-{number}.sql"))).collect();
    for (script, number) in scripts.iter().zip(0..) {
        let own = (0..rows).map(&row).filter(|row| row.id % connections == number);
        write(script, own)?;
    }
    bed.postgres.sql("CHECKPOINT")?;
    let (cpu, meter) = (process::children_cpu_seconds(), Meter::start(bed.watched()));
    let begun = Instant::now();
    let running: Vec<Child> =
        scripts.iter().map(|script| psql(bed, script)).collect::<Result<_, _>>()?;
    for mut psql in running {
        if !psql.wait()?.success() {
            return Err(PsqlError.into());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = process::children_cpu_seconds() - cpu;
    let mut processes = meter.read()?;
    processes.insert(
        0,
        ProcessUse { name: "psql".to_owned(), cpu_seconds: cpu, resident_kib: 0, peak_kib: None },
    );
    for script in scripts {
        std::fs::remove_file(script)?;
    }
    bed.postgres.sql("DROP TABLE copied")?;
    Ok(Measurement {
        what: format!("`psql`, COPY and upsert of the same rows, connections: {connections}"),
        batch: Some(BATCH),
        bytes: Some(row(rows - 1).line().len() as u64),
        acknowledged: Some("committed rows".to_owned()),
        per_second: Some(rows as f64 / seconds),
        cpu_seconds: Some(cpu),
        events: Some(rows),
        processes,
        ..Measurement::default()
    })
}

fn write(script: &Path, rows: impl Iterator<Item = Row>) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(script)?);
    writeln!(out, "{STAGING}")?;
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        writeln!(out, "BEGIN;\nCOPY staging FROM STDIN;")?;
        for row in rows.by_ref().take(usize::try_from(BATCH)?) {
            writeln!(out, "{}", row.line())?;
        }
        writeln!(out, "\\.\n{UPSERT}\nCOMMIT;")?;
    }
    out.flush()?;
    Ok(())
}

fn psql(bed: &Bed, script: &Path) -> std::io::Result<Child> {
    Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"])
        .arg(script)
        .arg(bed.postgres.url())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
}
