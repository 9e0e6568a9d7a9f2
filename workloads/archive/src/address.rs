//! Where an archive's files go, taken apart.

use std::path::Path as FilePath;
use std::path::PathBuf;

use object_store::path::Path;

/// Where an archive's files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket or container, and a prefix within it.
    Bucket { provider: Provider, bucket: String, prefix: Path },
}

/// Who has a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    S3,
    Google,
    Azure,
}

/// An address that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{url}` is no address of a store: write `s3://bucket/prefix`, `gs://…`, `az://…` or a path"
)]
pub struct ParseAddressError {
    url: String,
    #[source]
    source: Option<object_store::path::Error>,
}

impl Address {
    /// Takes an address apart; relative folders start from `data`.
    pub(crate) fn parse(url: &str, data: &FilePath) -> Result<Self, ParseAddressError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Ok(Self::Folder(data.join(url)));
        };
        let error = |source| ParseAddressError { url: url.to_owned(), source };
        let provider = match scheme {
            "s3" => Provider::S3,
            "gs" => Provider::Google,
            "az" => Provider::Azure,
            _ => return Err(error(None)),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = Path::parse(prefix).map_err(|source| error(Some(source)))?;
        Ok(Self::Bucket { provider, bucket: bucket.to_owned(), prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_with_a_prefix_or_a_folder() {
        let parse = |url| Address::parse(url, FilePath::new("/data")).unwrap();
        assert_eq!(parse("archive"), Address::Folder("/data/archive".into()));
        assert_eq!(parse("/lake"), Address::Folder("/lake".into()));
        let bucket = |provider, prefix: &str| Address::Bucket {
            provider,
            bucket: "fleet".into(),
            prefix: Path::from(prefix),
        };
        assert_eq!(parse("s3://fleet"), bucket(Provider::S3, ""));
        assert_eq!(parse("gs://fleet/raw/v1/"), bucket(Provider::Google, "raw/v1"));
        assert_eq!(parse("az://fleet/raw"), bucket(Provider::Azure, "raw"));
        assert_eq!(
            Address::parse("ftp://fleet", FilePath::new("/")).unwrap_err().to_string(),
            "`ftp://fleet` is no address of a store: write `s3://bucket/prefix`, `gs://…`, `az://…` or a path"
        );
    }
}
