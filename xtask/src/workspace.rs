//! Where things are in the workspace.

use std::path::Path;
use std::path::PathBuf;

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    // The package's folder is `<root>/xtask`.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// The folder into which cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The program, built with the release profile or the one for development.
pub(crate) fn program(release: bool) -> PathBuf {
    target().join(if release { "release" } else { "debug" }).join("millrace")
}

/// An example of a crate, built with the release profile.
pub(crate) fn example(name: &str) -> PathBuf {
    target().join("release").join("examples").join(name)
}
