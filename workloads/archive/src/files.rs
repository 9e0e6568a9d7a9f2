//! Writes the files of a range, one for each hour of event time.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use futures::StreamExt as _;
use futures::stream;
use millrace_plan::model::ArchiveFormat;
use millrace_plan::model::StoreAddress;
use object_store::Error;
use object_store::ObjectStoreExt as _;
use object_store::PutPayload;
use object_store::path::Path;

use crate::error::ArchiveError;
use crate::layout::FileNames;
use crate::layout::by_hour;
use crate::ndjson;
use crate::parquet::Shape;
use crate::row::Row;
use crate::store::OpenStore;
use crate::store::refused;

/// Files that are made and written at once.
const AT_ONCE: usize = 4;

/// Unfinished files of one name that are looked for: each death of the process leaves one at most.
const MAX_UNFINISHED: u32 = 64;

/// What is known of files of these names before they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// There are none.
    Nothing,
    /// An earlier attempt may have written some, or parts.
    Attempted,
    /// Likewise, and the log has no longer all of what they had: those that are there stay.
    AttemptedFromMore,
}

/// The files of a range.
pub(crate) struct Files<'a> {
    pub(crate) address: &'a StoreAddress,
    pub(crate) store: &'a OpenStore,
    pub(crate) names: &'a FileNames,
    pub(crate) shape: &'a Arc<Shape>,
    pub(crate) range: u64,
    pub(crate) format: ArchiveFormat,
    pub(crate) before: Before,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Files<'_> {
    /// Writes the files of these rows; each appears whole, and is durable on return.
    pub(crate) async fn write(&self, rows: Vec<Row>) -> Result<Written, ArchiveError> {
        // An error does not leave others at work: a put that is dropped goes on writing.
        let failed = AtomicBool::new(false);
        let written: Vec<_> = stream::iter(by_hour(rows))
            .map(async |(hour, rows)| {
                if failed.load(Relaxed) {
                    return Ok(Written::default());
                }
                let written = self.write_one(hour, rows).await;
                failed.fetch_or(written.is_err(), Relaxed);
                written.map(|bytes| Written { files: 1, bytes })
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        written.into_iter().try_fold(Written::default(), |sum, written| {
            let written: Written = written?;
            Ok(Written { files: sum.files + written.files, bytes: sum.bytes + written.bytes })
        })
    }

    async fn write_one(&self, hour: i64, rows: Vec<Row>) -> Result<u64, ArchiveError> {
        let path = self.names.path(hour, self.range, self.format);
        if self.before == Before::AttemptedFromMore {
            match self.store.store.head(&path).await {
                Ok(there) => return Ok(there.size),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(refused(self.address, &error).into()),
            }
        }
        if self.before != Before::Nothing
            && let Some(folder) = &self.store.folder
        {
            remove_unfinished(folder, &path, self.store.began);
        }
        let (format, shape) = (self.format, Arc::clone(self.shape));
        let file = tokio::task::spawn_blocking(move || match format {
            ArchiveFormat::Parquet => shape.file(&rows).map_err(ArchiveError::from),
            ArchiveFormat::Ndjson => ndjson::file(&rows).map_err(ArchiveError::from),
        })
        .await??;
        let bytes = file.len() as u64;
        let put = self.store.store.put(&path, PutPayload::from(file)).await;
        put.map_err(|error| refused(self.address, &error))?;
        Ok(bytes)
    }
}

/// Removes what an earlier process left that died while it wrote a file into a folder: the store
/// writes to `<name>#<number>` first, and takes the next number where one is taken. What is younger
/// may be written still, by an attempt that this process gave up.
fn remove_unfinished(folder: &FilePath, path: &Path, began: SystemTime) {
    let file = folder.join(path.as_ref());
    for number in 1..=MAX_UNFINISHED {
        let mut name = file.as_os_str().to_owned();
        name.push(format!("#{number}"));
        let Ok(modified) = std::fs::metadata(&name).and_then(|found| found.modified()) else {
            return;
        };
        if modified < began && std::fs::remove_file(&name).is_err() {
            return;
        }
    }
}
