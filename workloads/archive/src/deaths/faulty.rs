//! A folder in which something happens at one put.

#![allow(clippy::unwrap_used, reason = "helpers fail as tests do")]

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::CopyOptions;
use object_store::Error;
use object_store::GetOptions;
use object_store::GetResult;
use object_store::ListResult;
use object_store::MultipartUpload;
use object_store::ObjectMeta;
use object_store::ObjectStore;
use object_store::PutMultipartOptions;
use object_store::PutOptions;
use object_store::PutPayload;
use object_store::PutResult;
use object_store::Result;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use tokio::sync::watch;

/// What happens at one put of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process dies with half of the file written.
    DiesBefore,
    /// The process dies with the file written.
    DiesAfter,
    /// The store refuses.
    Refuses,
    /// The store takes the file, and its answer is lost.
    AnswerIsLost,
}

/// A folder where something happens at one put; a process that dies is one that does nothing more.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) folder: PathBuf,
    pub(super) inner: LocalFileSystem,
    pub(super) fault: Fault,
    pub(super) puts_before: AtomicUsize,
    pub(super) died: watch::Sender<bool>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty folder")
    }
}

impl Faulty {
    async fn die(&self) -> ! {
        self.died.send_replace(true);
        std::future::pending().await
    }
}

fn broken() -> Error {
    Error::Generic { store: "faulty", source: "no answer".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let less = |puts: usize| Some(puts.wrapping_sub(1));
        let is_now =
            self.puts_before.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) == Ok(0);
        match self.fault {
            Fault::DiesBefore if is_now => {
                let file = self.folder.join(format!("{location}#1"));
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, "half").unwrap();
                self.die().await;
            }
            Fault::Refuses if is_now => return Err(broken()),
            _ => {}
        }
        let result = self.inner.put_opts(location, payload, options).await;
        match self.fault {
            Fault::DiesAfter if is_now => self.die().await,
            Fault::AnswerIsLost if is_now => Err(broken()),
            _ => result,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
