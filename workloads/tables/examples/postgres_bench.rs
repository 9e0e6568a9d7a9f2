//! Measures commits of 200 B rows to Postgres and prints the figures as one line of JSON per case.
//!
//! Beside each case, in turn with it, `psql` writes the same rows by COPY into a temporary table
//! and one upsert per batch, with the position in the same transaction. Every case first fills a
//! table and then updates every row of it. The server's address is in `MILLRACE_POSTGRES`, such as
//! `postgres://user:password@host:port/database`. CPU time is of this process, or of `psql` alone.

#[path = "../../log/examples/process/mod.rs"]
mod process;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use millrace_core::EventId;
use millrace_core::Partition;
use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnSource;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::Cell;
use millrace_tables::Row;
use millrace_tables::SinkPartition;
use millrace_tables::TableSpec;
use millrace_tables::TableStore;
use millrace_tables::postgres::PostgresSettings;
use millrace_tables::postgres::PostgresStore;
use process::peak_resident_kib;
use process::process_cpu;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What one case writes.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    writers: usize,
    batch: usize,
    batches: usize,
}

const CASES: [Case; 4] = [
    Case { name: "batches of 1000", writers: 1, batch: 1000, batches: 100 },
    Case { name: "batches of 8000", writers: 1, batch: 8000, batches: 25 },
    Case { name: "two writers", writers: 2, batch: 4000, batches: 25 },
    Case { name: "single rows", writers: 1, batch: 1, batches: 1000 },
];

const ROUNDS: usize = 3;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let url = std::env::var("MILLRACE_POSTGRES")?;
    let folder = tempfile::tempdir()?;
    let settings = settings(&url, folder.path())?;
    let store = Arc::new(PostgresStore::connect(&settings, "bench").await?);
    let schema = store.schema().to_owned();
    for case in CASES {
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for round in 0..ROUNDS {
            // The names of both are as long.
            ours.push(run_store(&store, case, &format!("s{round}_{}", case.batch)).await?);
            theirs.push(run_psql(&url, &schema, case, &format!("p{round}_{}", case.batch))?);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let line = json!({
            "case": case.name,
            "writers": case.writers,
            "rows_a_commit": case.batch,
            "rows": 2 * case.writers * case.batch * case.batches,
            "rows_a_second": ours.rate.round(),
            "psql_rows_a_second": theirs.rate.round(),
            "of_psql": ours.rate / theirs.rate,
            "cpu_microseconds_a_row": ours.cpu,
            "psql_cpu_microseconds_a_row": theirs.cpu,
            "peak_resident_kib": peak_resident_kib()?,
        });
        print(&line);
    }
    run(&url, &format!("DROP SCHEMA {schema} CASCADE"))?;
    store.close().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn print(line: &serde_json::Value) {
    println!("{line}");
}

/// Rows a second, and microseconds of CPU a row.
struct Figures {
    rate: f64,
    cpu: f64,
}

fn median(mut figures: Vec<Figures>) -> Figures {
    figures.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    figures.swap_remove(ROUNDS / 2)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn figures(case: Case, seconds: f64, cpu: f64) -> Figures {
    let rows = (2 * case.writers * case.batch * case.batches) as f64;
    Figures { rate: rows / seconds, cpu: cpu * 1e6 / rows }
}

fn settings(url: &str, folder: &Path) -> Result<PostgresSettings, Failure> {
    let rest = url.split_once("://").ok_or("no address")?.1;
    let (user, place) = rest.rsplit_once('@').ok_or("no user")?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (server, database) = place.split_once('/').ok_or("no database")?;
    let (host, port) = server.split_once(':').unwrap_or((server, "5432"));
    fs::write(folder.join("username"), user)?;
    fs::write(folder.join("password"), password)?;
    Ok(serde_json::from_value(json!({
        "host": host,
        "port": port.parse::<u16>()?,
        "database": database,
        "schema": format!("bench_{}", Uuid::now_v7().simple()),
        "usernameFile": folder.join("username"),
        "passwordFile": folder.join("password"),
    }))?)
}

fn plan(name: &str) -> TablePlan {
    let column = |name: &str, kind| ColumnPlan {
        name: name.into(),
        kind,
        source: ColumnSource::Key,
        nullable: false,
    };
    TablePlan {
        name: name.into(),
        columns: vec![
            column("car", ColumnType::Integer),
            column("seen", ColumnType::Timestamp),
            column("speed", ColumnType::Double),
            column("latitude", ColumnType::Double),
            column("longitude", ColumnType::Double),
            column("note", ColumnType::Text),
        ],
        primary_key: vec!["car".into()],
        keep: Keep::Latest,
        partitions: None,
    }
}

/// The rows of a batch: 200 B each with the hidden columns. Keys come in no order.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn rows(case: Case, writer: usize, batch: usize, pass: i64) -> Vec<Row> {
    let count = case.batch * case.batches;
    (0..case.batch)
        .map(|i| {
            let position = batch * case.batch + i;
            // 48271 is a prime that divides no count of rows.
            let car = i64::try_from(writer * count + position * 48_271 % count).unwrap_or(0);
            let order = 1_700_000_000_000 + pass;
            Row {
                cells: vec![
                    Cell::Integer(car),
                    Cell::Timestamp(order * 1000),
                    Cell::Double(position as f64 * 0.37),
                    Cell::Double(51.349_937 + i as f64 * 1e-6),
                    Cell::Double(6.546_1 + i as f64 * 1e-6),
                    Cell::Text(format!("{car:0136}")),
                ],
                order,
                event_id: EventId::from_uuid(Uuid::from_u64_pair(car.unsigned_abs(), 7)),
            }
        })
        .collect()
}

async fn run_store(
    store: &Arc<PostgresStore>,
    case: Case,
    table: &str,
) -> Result<Figures, Failure> {
    let table = format!("{table}_{}", case.writers);
    store.ensure_tables(&[TableSpec { generation: 0, plan: plan(&table) }]).await?;
    let mut writers = Vec::new();
    for writer in 0..case.writers {
        let mut batches = Vec::new();
        for pass in 0..2 {
            batches.extend((0..case.batches).map(|batch| rows(case, writer, batch, pass)));
        }
        let partition = SinkPartition {
            sink: table.clone(),
            generation: 0,
            stream: "bench".parse()?,
            partition: Partition::try_from(writer)?,
        };
        writers.push((store.claim(&partition).await?.0, batches));
    }
    let (start, cpu) = (Instant::now(), process_cpu()?);
    let mut running = JoinSet::new();
    for (claim, batches) in writers {
        let (store, table) = (Arc::clone(store), table.clone());
        running.spawn(async move {
            for (next, batch) in (0..).zip(batches) {
                store.commit(&claim, &table, &batch, next, next + 1).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(figures(case, start.elapsed().as_secs_f64(), process_cpu()? - cpu))
}

/// Writes the same rows by `psql`.
fn run_psql(url: &str, schema: &str, case: Case, table: &str) -> Result<Figures, Failure> {
    let table = format!("{schema}.{table}");
    run(
        url,
        &format!(
            "CREATE TABLE {table} (car bigint NOT NULL, seen timestamptz, speed float8, \
             latitude float8, longitude float8, note text COLLATE \"C\", _event_time bigint NOT \
             NULL, _event_id uuid NOT NULL, PRIMARY KEY (car)); \
             CREATE TABLE {table}_positions (partition int PRIMARY KEY, next bigint)"
        ),
    )?;
    let folder = tempfile::tempdir()?;
    let mut scripts = Vec::new();
    for writer in 0..case.writers {
        let path = folder.path().join(writer.to_string());
        fs::write(&path, script(case, &table, writer))?;
        run(url, &format!("INSERT INTO {table}_positions VALUES ({writer}, 0)"))?;
        scripts.push(path);
    }
    let (start, cpu) = (Instant::now(), children_cpu()?);
    let mut running = Vec::new();
    for script in scripts {
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"]).arg(script);
        running.push(psql.arg(url).stdout(Stdio::null()).spawn()?);
    }
    for mut psql in running {
        if !psql.wait()?.success() {
            return Err("psql failed".into());
        }
    }
    Ok(figures(case, start.elapsed().as_secs_f64(), children_cpu()? - cpu))
}

fn script(case: Case, table: &str, writer: usize) -> String {
    let mut text = format!(
        "CREATE TEMPORARY TABLE staging (LIKE {table}) ON COMMIT DELETE ROWS;\n\
         SET synchronous_commit = on;\n"
    );
    for (next, (pass, batch)) in
        (0..2).flat_map(|pass| (0..case.batches).map(move |batch| (pass, batch))).enumerate()
    {
        let _ = write!(
            text,
            "BEGIN;\nUPDATE {table}_positions SET next = {next} + 1 WHERE partition = {writer} \
             AND next = {next};\nCOPY staging FROM STDIN;\n"
        );
        for row in rows(case, writer, batch, pass) {
            for cell in &row.cells {
                let _ = match cell {
                    Cell::Integer(number) => write!(text, "{number}\t"),
                    Cell::Double(number) => write!(text, "{number}\t"),
                    Cell::Text(note) => write!(text, "{note}\t"),
                    other => write!(
                        text,
                        "{}\t",
                        serde_json::to_string(other).unwrap_or_default().trim_matches('"')
                    ),
                };
            }
            let _ = writeln!(text, "{}\t{}", row.order, row.event_id);
        }
        let _ = write!(
            text,
            "\\.\nINSERT INTO {table} AS old SELECT * FROM staging ON CONFLICT (car) DO UPDATE SET \
             seen = excluded.seen, speed = excluded.speed, latitude = excluded.latitude, \
             longitude = excluded.longitude, note = excluded.note, _event_time = \
             excluded._event_time, _event_id = excluded._event_id WHERE (excluded._event_time, \
             excluded._event_id) > (old._event_time, old._event_id);\nCOMMIT;\n"
        );
    }
    text
}

fn run(url: &str, sql: &str) -> Result<(), Failure> {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", sql, url]);
    let done = psql.stderr(Stdio::null()).status()?;
    if done.success() { Ok(()) } else { Err("psql failed".into()) }
}

/// Seconds of CPU of processes that this one has waited for, by ticks of 10 ms.
fn children_cpu() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("no process name")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok((fields[13].parse::<f64>()? + fields[14].parse::<f64>()?) / 100.0)
}
