//! Bundles the page with Node where that is possible, and writes the table of files that the
//! crate embeds.
//!
//! Everything happens below Cargo's output folder, which Cargo locks: the source tree is only
//! read, and builds with different target folders do not meet. Without Node or the packages, a
//! small page that says so takes the place of the dashboard, unless
//! `MILLRACE_DASHBOARD=required` is set, as builds for others should.

#![expect(clippy::print_stdout, reason = "cargo takes what a build script says from its output")]

mod bundle;
mod embed;

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

/// What the bundle is made from; a change of anything else does not bundle again.
const SOURCES: [&str; 5] =
    ["page", "package.json", "package-lock.json", ".npmrc", "vite.config.ts"];

/// Environment variable that turns the fallback into a build error when it is `required`.
const REQUIRE: &str = "MILLRACE_DASHBOARD";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed={REQUIRE}");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));

    let site = match bundle::bundle(&manifest, &out, &SOURCES) {
        Ok(site) => site,
        Err(reason) if env::var_os(REQUIRE).is_some_and(|value| value == "required") => {
            println!("cargo::error=the dashboard could not be built: {reason}");
            return ExitCode::FAILURE;
        }
        Err(reason) => {
            println!(
                "cargo::warning=The dashboard is left out of this build: {reason}. Everything else \
                 works. To include it: have Node {} or later, and npm with access to its registry; \
                 then `touch workloads/dashboard/package.json` and build again.",
                bundle::NODE_AT_LEAST
            );
            fallback(&manifest, &out)
        }
    };
    embed::write_table(&site, &out.join("files.rs")).expect("cargo's output folder is writable");
    ExitCode::SUCCESS
}

/// The folder with the page that stands in for the dashboard.
fn fallback(manifest: &Path, out: &Path) -> PathBuf {
    let site = out.join("fallback");
    fs::create_dir_all(&site).expect("cargo's output folder is writable");
    fs::copy(manifest.join("build/fallback.html"), site.join("index.html"))
        .expect("the page is part of the sources");
    site
}
