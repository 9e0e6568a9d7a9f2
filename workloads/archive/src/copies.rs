//! Copies of files in an object store or another folder, such as those of a database's dumps.
//!
//! A copy appears whole or not at all, in the store as in the folder that it is fetched to.

use std::io::Error as IoError;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt as _;
use millrace_plan::model::StoreAddress;
use object_store::Error;
use object_store::ObjectStore as _;
use object_store::ObjectStoreExt as _;
use object_store::PutPayload;
use object_store::WriteMultipart;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::folders::Folders;
use crate::store::DeclaredStore;
use crate::store::OpenStore;
use crate::store::OpenStores as _;
use crate::store::UseStoreError;
use crate::store::check_there;
use crate::store::choose_tls;
use crate::store::refused;

/// What is sent at once at least. Stores take 10,000 parts of a file at most.
const PART_BYTES: u64 = 8 << 20;

/// Parts of a file, with some to spare.
const PARTS: u64 = 9_000;

/// Parts on their way at once.
const AT_ONCE: usize = 2;

/// Copies of files, directly below one address.
pub struct FileCopies {
    address: StoreAddress,
    store: OpenStore,
}

/// A copy of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileCopy {
    /// Its name, without folders.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A file that cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyFileError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] UseStoreError),
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: IoError,
    },
    /// The file cannot be written.
    #[error("cannot write {}: free space, or write to another place", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: IoError,
    },
    /// What arrived is not what was sent.
    #[error("{name} has {there} bytes at {url}, not {here}: try again")]
    Differs {
        /// The file's name.
        name: String,
        /// Where its copy is.
        url: String,
        /// Size of the copy.
        there: u64,
        /// Size of the file.
        here: u64,
    },
}

impl FileCopies {
    /// Opens the store to write to it, and asks it whether it lets us in. A folder is made where it
    /// is not there.
    ///
    /// # Errors
    /// It is not there, or refuses us.
    pub async fn open(address: StoreAddress, folders: &Folders) -> Result<Self, UseStoreError> {
        choose_tls();
        let declared = DeclaredStore::new(address.clone(), Arc::new(folders.clone()));
        Ok(Self { store: declared.open().await?, address })
    }

    /// Opens the store to read what is there.
    ///
    /// # Errors
    /// It is not there, or refuses us.
    pub async fn open_existing(
        address: StoreAddress,
        folders: &Folders,
    ) -> Result<Self, UseStoreError> {
        check_there(&address, folders)?;
        Self::open(address, folders).await
    }

    /// The copies that are there, by name.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn list(&self) -> Result<Vec<FileCopy>, UseStoreError> {
        let found = self.store.store.list_with_delimiter(Some(&self.store.prefix)).await;
        let found = found.map_err(|error| self.refused(&error))?.objects.into_iter();
        let copy = |object: object_store::ObjectMeta| {
            let name = object.location.filename()?.to_owned();
            Some(FileCopy { name, bytes: object.size })
        };
        let mut copies: Vec<_> = found.filter_map(copy).collect();
        copies.sort_unstable();
        Ok(copies)
    }

    /// Copies a file under a name; returns its size in bytes.
    ///
    /// # Errors
    /// The file cannot be read, or the store does not take it. Then there is no copy.
    pub async fn put(&self, file: &Path, name: &str) -> Result<u64, CopyFileError> {
        let failed = |source| CopyFileError::Read { file: file.to_owned(), source };
        let mut open = File::open(file).await.map_err(failed)?;
        let here = open.metadata().await.map_err(failed)?.len();
        let path = self.store.prefix.clone().join(name);
        let part_bytes = PART_BYTES.max(here.div_ceil(PARTS));
        if here <= part_bytes {
            let mut whole = Vec::new();
            open.read_to_end(&mut whole).await.map_err(failed)?;
            let put = self.store.store.put(&path, PutPayload::from(whole)).await;
            put.map_err(|error| self.refused(&error))?;
        } else {
            let part_bytes = usize::try_from(part_bytes).unwrap_or(usize::MAX);
            let upload = self.store.store.put_multipart(&path).await;
            let upload = upload.map_err(|error| self.refused(&error))?;
            let mut parts = WriteMultipart::new_with_chunk_size(upload, part_bytes);
            if let Err(error) = self.send(&mut parts, &mut open, file).await {
                // The first error says why. What is left of the parts is the store's to remove.
                let _ = parts.abort().await;
                return Err(error);
            }
            parts.finish().await.map_err(|error| self.refused(&error))?;
        }
        let there = self.store.store.head(&path).await.map_err(|error| self.refused(&error))?.size;
        if there != here {
            let (name, url) = (name.to_owned(), self.address.url.clone());
            return Err(CopyFileError::Differs { name, url, there, here });
        }
        Ok(here)
    }

    async fn send(
        &self,
        parts: &mut WriteMultipart,
        open: &mut File,
        file: &Path,
    ) -> Result<(), CopyFileError> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = open.read(&mut buffer).await.map_err(|source| {
                let file = file.to_owned();
                CopyFileError::Read { file, source }
            })?;
            if count == 0 {
                return Ok(());
            }
            parts.wait_for_capacity(AT_ONCE).await.map_err(|error| self.refused(&error))?;
            parts.write(&buffer[..count]);
        }
    }

    /// Writes a copy into a file, which appears once it is whole and durable; returns its size in
    /// bytes.
    ///
    /// # Errors
    /// There is no such copy, the store does not give it, or the file cannot be written.
    pub async fn fetch(&self, name: &str, file: &Path) -> Result<u64, CopyFileError> {
        let mut partial = file.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |source| CopyFileError::Write { file: file.to_owned(), source };
        let path = self.store.prefix.clone().join(name);
        let found = self.store.store.get(&path).await.map_err(|error| self.refused(&error))?;
        let there = found.meta.size;
        let mut pieces = found.into_stream();
        let mut open = File::create(&partial).await.map_err(failed)?;
        let mut here = 0;
        while let Some(piece) = pieces.try_next().await.map_err(|error| self.refused(&error))? {
            open.write_all(&piece).await.map_err(failed)?;
            here += piece.len() as u64;
        }
        if there != here {
            let (name, url) = (name.to_owned(), self.address.url.clone());
            return Err(CopyFileError::Differs { name, url, there, here });
        }
        open.sync_all().await.map_err(failed)?;
        tokio::fs::rename(&partial, file).await.map_err(failed)?;
        Ok(here)
    }

    /// Removes a copy, if it is there.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn remove(&self, name: &str) -> Result<(), UseStoreError> {
        match self.store.store.delete(&self.store.prefix.clone().join(name)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.refused(&error)),
        }
    }

    fn refused(&self, error: &Error) -> UseStoreError {
        refused(&self.address, error)
    }
}
