//! A file whose content is read again when it changes.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::with_causes;
use parking_lot::Mutex;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What a file holds, read again when it changes.
pub(super) struct Watched<T, E> {
    path: PathBuf,
    parse: fn(&Path, &[u8]) -> Result<T, E>,
    current: RwLock<Arc<T>>,
    seen: Mutex<blake3::Hash>,
}

impl<T, E> Watched<T, E> {
    /// A file with this content.
    pub(super) fn new(
        path: &Path,
        bytes: &[u8],
        parse: fn(&Path, &[u8]) -> Result<T, E>,
    ) -> Result<Self, E> {
        let current = RwLock::new(Arc::new(parse(path, bytes)?));
        let seen = Mutex::new(blake3::hash(bytes));
        Ok(Self { path: path.to_owned(), parse, current, seen })
    }

    /// What the file held when it was last read with success.
    pub(super) fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read())
    }

    /// Takes the file's present content; whether it is another. One that cannot be used is told
    /// once, and what was before stays.
    pub(super) fn update(&self, bytes: &[u8]) -> Result<bool, E> {
        let hash = blake3::hash(bytes);
        let mut seen = self.seen.lock();
        if *seen == hash {
            return Ok(false);
        }
        *seen = hash;
        *self.current.write() = Arc::new((self.parse)(&self.path, bytes)?);
        Ok(true)
    }
}

impl<T, E: std::error::Error + 'static> Watched<T, E> {
    /// Looks at the file, and takes what it holds now.
    pub(super) async fn refresh(&self) {
        let file = &self.path;
        // A file that is gone for a moment is being replaced.
        let Ok(bytes) = tokio::fs::read(file).await else { return };
        match self.update(&bytes) {
            Ok(true) => info!(message = "Credentials have changed.", file = %file.display()),
            Ok(false) => {}
            Err(failure) => error!(
                message = "Changed credentials cannot be used; those before stay.",
                file = %file.display(),
                error = with_causes(&failure)
            ),
        }
    }
}

/// Looks at files now and then, until told to stop.
pub(super) async fn watch<F: Future<Output = ()>>(stop: &CancellationToken, look: impl Fn() -> F) {
    let looking = async {
        loop {
            look().await;
            tokio::time::sleep(LOOK).await;
        }
    };
    stop.run_until_cancelled(looking).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(_: &Path, bytes: &[u8]) -> Result<u32, &'static str> {
        std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or("not a number")
    }

    #[test]
    fn what_was_before_stays_when_the_new_content_cannot_be_used() {
        let watched = Watched::new(Path::new("n"), b"1", number).unwrap();
        assert_eq!(watched.update(b"1"), Ok(false));
        assert_eq!(watched.update(b"x"), Err("not a number"));
        assert_eq!((watched.update(b"x"), *watched.get()), (Ok(false), 1));
        assert_eq!((watched.update(b"2"), *watched.get()), (Ok(true), 2));
    }
}
