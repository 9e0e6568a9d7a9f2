//! Opens the stores that files go to, with the credentials of their Secrets, and says in words
//! what a store's refusal means.
//!
//! TLS is rustls with ring, and the machine's own root certificates.

use std::io::Error as IoError;
use std::path::Path as FilePath;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::SystemTime;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use millrace_core::with_causes;
use millrace_plan::model::StoreAddress;
use object_store::BackoffConfig;
use object_store::ClientOptions;
use object_store::Error;
use object_store::ObjectStore;
use object_store::RetryConfig;
use object_store::aws::AmazonS3Builder;
use object_store::aws::resolve_bucket_region;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use crate::address::Address;
use crate::address::ParseAddressError;
use crate::address::Provider;
use crate::folders::Folders;
use crate::folders::ReadSecretError;

/// Longest time of one request: a file of the largest size over a slow line.
const REQUEST_PATIENCE: Duration = Duration::from_mins(5);

/// Longest time until a connection stands.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Repetitions within one attempt, for what passes by itself. Longer failures are told, and tried
/// again by the sink.
const RETRY: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(2),
        base: 2.0,
    },
    max_retries: 3,
    retry_timeout: Duration::from_mins(1),
};

/// A store, and where in it files go.
#[derive(Clone)]
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) prefix: Path,
    /// The folder, where it is one of this machine.
    pub(crate) folder: Option<PathBuf>,
    /// When this process began to archive: unfinished files that are older nobody writes any more.
    pub(crate) began: SystemTime,
}

/// Opens a store.
#[async_trait]
pub(crate) trait OpenStores: Send + Sync {
    /// Opens it and asks it for its first file, to know that it is there and lets us in.
    async fn open(&self) -> Result<OpenStore, UseStoreError>;
}

/// The store that the resource declares.
pub(crate) struct DeclaredStore {
    address: StoreAddress,
    folders: Arc<Folders>,
}

impl DeclaredStore {
    pub(crate) const fn new(address: StoreAddress, folders: Arc<Folders>) -> Self {
        Self { address, folders }
    }
}

#[async_trait]
impl OpenStores for DeclaredStore {
    async fn open(&self) -> Result<OpenStore, UseStoreError> {
        let open = open(&self.address, &self.folders).await?;
        let mut files = open.store.list(Some(&open.prefix));
        files.try_next().await.map_err(|error| refused(&self.address, &error))?;
        Ok(open)
    }
}

/// A store that cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum UseStoreError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] ParseAddressError),
    /// Its credentials cannot be read.
    #[error(transparent)]
    Secret(#[from] ReadSecretError),
    /// The folder cannot be made.
    #[error("cannot make the folder {}: change `url`, or the permissions above it", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: IoError,
    },
    /// The folder that is to be read is not there.
    #[error("there is no folder {}: check the address", .0.display())]
    NoFolder(PathBuf),
    /// The store refuses, or does not answer.
    #[error("{0}")]
    Refused(String),
}

/// Makes ring the provider of this process's TLS where none is chosen yet.
pub(crate) fn choose_tls() {
    // Where one has been chosen before, that one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// When this process began to archive.
pub(crate) fn began() -> SystemTime {
    static BEGAN: OnceLock<SystemTime> = OnceLock::new();
    *BEGAN.get_or_init(SystemTime::now)
}

/// Opens a store; asks it only for the region of a bucket where none is declared.
async fn open(address: &StoreAddress, folders: &Folders) -> Result<OpenStore, UseStoreError> {
    let (provider, bucket, prefix) = match Address::parse(&address.url, &folders.data)? {
        Address::Folder(folder) => {
            make_folder(&folder)?;
            let store = LocalFileSystem::new_with_prefix(&folder)
                .map_err(|error| refused(address, &error))?
                .with_fsync(true);
            let (store, prefix) = (Arc::new(store), Path::default());
            return Ok(OpenStore { store, prefix, folder: Some(folder), began: began() });
        }
        Address::Bucket { provider, bucket, prefix } => (provider, bucket, prefix),
    };
    let store: Arc<dyn ObjectStore> = match provider {
        Provider::S3 => {
            let region = match (&address.region, &address.endpoint) {
                (None, None) => Some(
                    resolve_bucket_region(&bucket, &client(address))
                        .await
                        .map_err(|error| refused(address, &error))?,
                ),
                (region, _) => region.clone(),
            };
            let builder = s3(address, folders, region)?.with_bucket_name(bucket);
            Arc::new(builder.build().map_err(|error| refused(address, &error))?)
        }
        Provider::Google => {
            let builder = google(address, folders)?.with_bucket_name(bucket);
            Arc::new(builder.build().map_err(|error| refused(address, &error))?)
        }
        Provider::Azure => {
            let builder = azure(address, folders)?.with_container_name(bucket);
            Arc::new(builder.build().map_err(|error| refused(address, &error))?)
        }
    };
    Ok(OpenStore { store, prefix, folder: None, began: began() })
}

fn client(address: &StoreAddress) -> ClientOptions {
    let is_plain = address.endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
    ClientOptions::new()
        .with_timeout(REQUEST_PATIENCE)
        .with_connect_timeout(CONNECT_PATIENCE)
        .with_allow_http(is_plain)
}

fn s3(
    address: &StoreAddress,
    folders: &Folders,
    region: Option<String>,
) -> Result<AmazonS3Builder, ReadSecretError> {
    let mut builder = match &address.credentials {
        Some(name) => {
            let mut builder = AmazonS3Builder::new()
                .with_access_key_id(folders.secret(name, "access_key_id")?)
                .with_secret_access_key(folders.secret(name, "secret_access_key")?);
            if let Some(token) = folders.optional_secret(name, "session_token")? {
                builder = builder.with_token(token);
            }
            builder
        }
        None => AmazonS3Builder::from_env(),
    };
    if let Some(region) = region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &address.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(builder.with_client_options(client(address)).with_retry(RETRY))
}

fn google(
    address: &StoreAddress,
    folders: &Folders,
) -> Result<GoogleCloudStorageBuilder, ReadSecretError> {
    let mut builder = match &address.credentials {
        Some(name) => GoogleCloudStorageBuilder::new()
            .with_service_account_key(folders.secret(name, "service_account.json")?),
        None => GoogleCloudStorageBuilder::from_env(),
    };
    if let Some(endpoint) = &address.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    Ok(builder.with_client_options(client(address)).with_retry(RETRY))
}

fn azure(
    address: &StoreAddress,
    folders: &Folders,
) -> Result<MicrosoftAzureBuilder, ReadSecretError> {
    let mut builder = match &address.credentials {
        Some(name) => MicrosoftAzureBuilder::new()
            .with_account(folders.secret(name, "account_name")?)
            .with_access_key(folders.secret(name, "access_key")?),
        None => MicrosoftAzureBuilder::from_env(),
    };
    if let Some(endpoint) = &address.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    Ok(builder.with_client_options(client(address)).with_retry(RETRY))
}

/// Checks what can be checked without asking the store: the address, the Secret, the folder.
pub(crate) fn check_declared(
    address: &StoreAddress,
    folders: &Folders,
) -> Result<(), UseStoreError> {
    match Address::parse(&address.url, &folders.data)? {
        Address::Folder(folder) => make_folder(&folder)?,
        Address::Bucket { provider: Provider::S3, .. } => drop(s3(address, folders, None)?),
        Address::Bucket { provider: Provider::Google, .. } => drop(google(address, folders)?),
        Address::Bucket { provider: Provider::Azure, .. } => drop(azure(address, folders)?),
    }
    Ok(())
}

/// Checks that there is a folder, where the address is that of one: what is only read is not made.
pub(crate) fn check_there(address: &StoreAddress, folders: &Folders) -> Result<(), UseStoreError> {
    match Address::parse(&address.url, &folders.data)? {
        Address::Folder(folder) if !folder.is_dir() => Err(UseStoreError::NoFolder(folder)),
        _ => Ok(()),
    }
}

fn make_folder(folder: &FilePath) -> Result<(), UseStoreError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| UseStoreError::Folder { folder: folder.to_owned(), source })
}

/// What a store's error is about.
enum Reason {
    Missing,
    Refused,
    Other,
}

/// What a store's error means, and what to do.
pub(crate) fn refused(address: &StoreAddress, error: &Error) -> UseStoreError {
    let url = &address.url;
    let credentials = match &address.credentials {
        Some(name) => format!("the Secret `{name}`"),
        None => "the identity of this machine or pod".to_owned(),
    };
    let text = with_causes(error);
    // Lists are refused without a kind of their own, by the status alone.
    let says = |status| text.contains(status);
    let reason = match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Reason::Refused,
        Error::NotFound { .. } => Reason::Missing,
        _ if says("401 Unauthorized") || says("403 Forbidden") => Reason::Refused,
        _ if says("404 Not Found") => Reason::Missing,
        _ => Reason::Other,
    };
    let reason = match reason {
        Reason::Missing => {
            format!("{url} is not there: make the bucket, or change `url`: {text}")
        }
        Reason::Refused => format!(
            "{url} refuses {credentials}: check its keys, and that it may list and write there: {text}"
        ),
        Reason::Other => format!("{url} cannot be used: {text}"),
    };
    UseStoreError::Refused(reason)
}
