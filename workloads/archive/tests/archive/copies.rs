//! Copies of files in a store that speaks S3.

use std::path::Path;
use std::path::PathBuf;

use millrace_archive::CopyFileError;
use millrace_archive::FileCopies;
use millrace_archive::FileCopy;
use millrace_archive::Folders;
use millrace_archive::UseStoreError;
use millrace_plan::model::StoreAddress;

use crate::s3;

/// More than is sent at once.
const LARGE: usize = (20 << 20) + 3;

/// A server of S3 with the bucket `lake`, and who has this key there.
async fn opened(folder: &Path, key: &str) -> Result<FileCopies, UseStoreError> {
    let root = folder.join("s3");
    std::fs::create_dir_all(root.join("lake")).unwrap();
    let secret = folder.join("secrets/store");
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::write(secret.join("access_key_id"), s3::USER.0).unwrap();
    std::fs::write(secret.join("secret_access_key"), key).unwrap();
    let address = StoreAddress {
        url: "s3://lake/dumps".into(),
        endpoint: Some(format!("http://{}", s3::serve(&root).await)),
        region: None,
        credentials: Some("store".into()),
    };
    let folders = Folders { data: PathBuf::new(), secrets: Some(folder.join("secrets")) };
    FileCopies::open(address, &folders).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_copied_is_listed_fetched_as_it_was_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let copies = opened(folder.path(), s3::USER.1).await.unwrap();
    let large: Vec<u8> = (0..LARGE).map(|n| u8::try_from(n % 251).unwrap()).collect();
    for (name, bytes) in [("b.dump", &large[..]), ("a.dump", b"small")] {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(copies.put(&file, name).await.unwrap(), bytes.len() as u64);
    }
    let copy = |name: &str, bytes| FileCopy { name: name.into(), bytes };
    assert_eq!(copies.list().await.unwrap(), [copy("a.dump", 5), copy("b.dump", LARGE as u64)]);
    let file = folder.path().join("fetched");
    assert_eq!(copies.fetch("b.dump", &file).await.unwrap(), LARGE as u64);
    assert!(std::fs::read(&file).unwrap() == large, "what was fetched is not what was copied");
    copies.remove("a.dump").await.unwrap();
    assert_eq!(copies.list().await.unwrap(), [copy("b.dump", LARGE as u64)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let copies = opened(folder.path(), s3::USER.1).await.unwrap();
    let file = folder.path().join("fetched");
    let error = copies.fetch("c.dump", &file).await.unwrap_err();
    assert!(matches!(error, CopyFileError::Store(_)), "{error}");
    assert!(!file.exists());
    let error = copies.put(&file, "c.dump").await.unwrap_err();
    assert!(matches!(error, CopyFileError::Read { .. }), "{error}");
    assert_eq!(copies.list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let Err(error) = opened(folder.path(), "wrong").await else { panic!("it lets everyone in") };
    let words = "s3://lake/dumps refuses the Secret `store`: check its keys";
    assert!(error.to_string().starts_with(words), "{error}");
}
