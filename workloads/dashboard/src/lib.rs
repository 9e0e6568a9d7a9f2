//! The dashboard's page, as files that the HTTP port serves.
//!
//! The files are made from TypeScript by the build script and are part of the program; nothing is
//! read from disk or fetched. Which addresses they have and which headers go with them is up to
//! the server, except for what an [`Asset`] says.

use std::borrow::Cow;

/// Paths and contents, sorted by path.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Files in this folder carry a hash of their content in their name.
const HASHED: &str = "assets/";

/// The `Content-Security-Policy` under which the page works; a server should send it with it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'";

/// A file of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The content.
    pub bytes: Cow<'static, [u8]>,
    /// The `Content-Type` to send.
    pub content_type: &'static str,
    /// Whether another content would have another path, so that it may be cached for ever.
    pub immutable: bool,
}

/// The file at `path`, without a leading slash, such as `assets/index-4f1c.js`.
#[must_use]
pub fn file(path: &str) -> Option<Asset> {
    let index = FILES.binary_search_by_key(&path, |(name, _)| name).ok()?;
    let (name, bytes) = FILES[index];
    Some(Asset {
        bytes: Cow::Borrowed(bytes),
        content_type: content_type(name),
        immutable: name.starts_with(HASHED),
    })
}

/// The page itself.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "there is an index in every build")]
pub fn index() -> Asset {
    file("index.html").expect("the build script always writes it")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "map") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_a_page_that_is_not_cached_for_ever() {
        let index = index();
        assert_eq!(index.content_type, "text/html; charset=utf-8");
        assert!(!index.immutable);
        assert!(String::from_utf8_lossy(&index.bytes).contains("<!doctype html>"));
    }

    #[test]
    fn an_unknown_path_is_no_file() {
        for path in ["", "/", "assets", "assets/", "../Cargo.toml", "index.html/", "/index.html"] {
            assert_eq!(file(path), None, "{path}");
        }
    }

    #[test]
    fn every_file_that_the_index_names_is_there() {
        let page = String::from_utf8_lossy(&index().bytes).into_owned();
        let names = page
            .split(['"', '\''])
            .filter_map(|text| text.strip_prefix("./"))
            // Names without an extension are other pages of the HTTP port.
            .filter(|name| name.contains('.'));
        for name in names {
            assert!(file(name).is_some(), "{name}");
        }
    }

    #[test]
    fn files_with_hashed_names_are_immutable_and_no_others() {
        for (name, _) in FILES {
            assert_eq!(file(name).map(|asset| asset.immutable), Some(name.starts_with("assets/")));
        }
    }

    #[test]
    fn content_types_follow_the_extension() {
        assert_eq!(content_type("assets/index-1a2b.js"), "text/javascript; charset=utf-8");
        assert_eq!(content_type("assets/index-1a2b.css"), "text/css; charset=utf-8");
        assert_eq!(content_type("favicon.svg"), "image/svg+xml");
        assert_eq!(content_type("no-extension"), "application/octet-stream");
    }

    #[test]
    fn no_file_has_a_type_that_browsers_would_not_load() {
        for (name, _) in FILES {
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
        }
    }
}
