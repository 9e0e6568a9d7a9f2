//! `cargo xtask image`: the image of both programs, made without a container engine.
//!
//! The archive is what `docker save` writes, so that `docker load`, `ctr image import`, `minikube
//! image load` and `kind load image-archive` take it. Its one layer has the programs, the shared
//! libraries that they name, and the certificates of authorities; no shell. What is the same makes
//! the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use ring::digest::SHA256;
use ring::digest::digest;
use serde_json::json;

use crate::command;
use crate::command::Outcome;
use crate::workspace;

/// The profile that tests are built with.
const DEVELOPMENT: &str = "dev";
const PROGRAMS: [&str; 2] = ["millrace", "millrace-operator"];
/// Certificates of authorities, at the same place on the machine and in the image.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
const PASSWD: &[u8] = b"root:x:0:0::/:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n";
const USER: &str = "65532:65532";
/// The name that the chart looks for.
const NAME: &str = concat!("docker.io/library/millrace:", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Args)]
pub(crate) struct ImageArguments {
    /// The archive to write.
    #[arg(long, value_name = "FILE", default_value = "target/millrace-image.tar")]
    output: PathBuf,

    /// Name and tag of the image.
    #[arg(long, default_value = NAME)]
    name: String,

    /// Profile of cargo to build with: `dist` is what is shipped, `dev` is built fastest.
    #[arg(long, default_value = "dist")]
    profile: String,

    /// Take the programs that are built already.
    #[arg(long)]
    no_build: bool,
}

#[derive(Debug, thiserror::Error)]
enum MakeImageError {
    #[error("cannot read {path}; on Debian: apt-get install ca-certificates")]
    Certificates { path: PathBuf, source: io::Error },
    #[error("cannot read {path}; build it first, without --no-build")]
    Program { path: PathBuf, source: io::Error },
    #[error("cannot read the shared library {path}")]
    Library { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
}

/// Runs the command.
pub(crate) fn run(arguments: &ImageArguments) -> Outcome {
    let root = workspace::root();
    if !arguments.no_build {
        build(&arguments.profile)?;
    }
    let output = root.join(&arguments.output);
    pack(&output, &arguments.profile, &arguments.name)?;
    writeln!(io::stdout(), "{} is in {}", arguments.name, output.display())?;
    Ok(())
}

/// Builds both programs, those for development as tests do, and makes an archive of them; the image's
/// name.
pub(crate) fn make(output: &Path, profile: &str) -> Result<String, Box<dyn std::error::Error>> {
    let built = if profile == DEVELOPMENT { command::build() } else { build(profile) };
    built?;
    pack(output, profile, NAME)?;
    Ok(NAME.to_owned())
}

fn build(profile: &str) -> Result<(), command::RunProgramError> {
    let packages = PROGRAMS.iter().flat_map(|program| ["--package", program]);
    let arguments: Vec<_> = ["build", "--profile", profile].into_iter().chain(packages).collect();
    command::run(&workspace::root(), "cargo", &arguments)
}

fn pack(output: &Path, profile: &str, name: &str) -> Outcome {
    let folder = workspace::target().join(match profile {
        DEVELOPMENT => "debug",
        other => other,
    });
    let layer = layer(&files(&folder)?)?;
    Ok(write(output, &archive(name, &layer)?)?)
}

/// The files of the image by their paths within it.
fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Box<dyn std::error::Error>> {
    let mut files = BTreeMap::from([("etc/passwd".to_owned(), PASSWD.to_vec())]);
    let path = Path::new("/").join(CERTIFICATES);
    let certificates =
        fs::read(&path).map_err(|source| MakeImageError::Certificates { path, source })?;
    files.insert(CERTIFICATES.to_owned(), certificates);
    for program in PROGRAMS {
        let path = folder.join(program);
        let text = command::output(folder, "ldd", &[&path.display().to_string()])?;
        files.insert(format!("usr/local/bin/{program}"), stripped(&path)?);
        for path in libraries(&text) {
            let bytes = fs::read(path)
                .map_err(|source| MakeImageError::Library { path: path.into(), source })?;
            files.insert(path.trim_start_matches('/').to_owned(), bytes);
        }
    }
    Ok(files)
}

/// A program without what only debuggers read, which is most of it.
fn stripped(program: &Path) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let copy = tempfile::NamedTempFile::new()?;
    let to = format!("--output-file={}", copy.path().display());
    let from = program.display().to_string();
    command::output(Path::new("/"), "strip", &["--strip-debug", &to, &from])?;
    let read = fs::read(copy.path());
    Ok(read.map_err(|source| MakeImageError::Program { path: program.to_owned(), source })?)
}

/// The paths that `ldd` names: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`.
fn libraries(listing: &str) -> impl Iterator<Item = &str> {
    listing.split_whitespace().filter(|word| word.starts_with('/'))
}

fn layer(files: &BTreeMap<String, Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut folder = tar::Header::new_gnu();
    folder.set_entry_type(tar::EntryType::Directory);
    folder.set_mode(0o1777);
    folder.set_size(0);
    layer.append_data(&mut folder, "tmp/", io::empty())?;
    for (path, bytes) in files {
        let is_data = path.starts_with("etc/");
        append(&mut layer, path, bytes, if is_data { 0o644 } else { 0o755 })?;
    }
    layer.into_inner()
}

fn append(to: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    to.append_data(&mut header, path, bytes)
}

/// The archive of an image with one layer.
fn archive(name: &str, layer: &[u8]) -> io::Result<Vec<u8>> {
    let layer_digest = sha256(layer);
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": USER,
            "Env": ["PATH=/usr/local/bin"],
            "Entrypoint": ["/usr/local/bin/millrace"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        "history": [{}],
    });
    let config = config.to_string();
    let config_name = format!("{}.json", sha256(config.as_bytes()));
    let layer_name = format!("{layer_digest}.tar");
    let manifest =
        json!([{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, &layer_name, layer, 0o644)?;
    append(&mut archive, &config_name, config.as_bytes(), 0o644)?;
    append(&mut archive, "manifest.json", manifest.as_bytes(), 0o644)?;
    archive.into_inner()
}

/// The machine's architecture as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), MakeImageError> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    written
        .and_then(|()| fs::write(path, bytes))
        .map_err(|source| MakeImageError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_those_with_a_path() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            libraries(listing).collect::<Vec<_>>(),
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
    }

    #[test]
    fn the_same_files_make_the_same_archive_which_names_its_parts_by_their_digest() {
        let files = BTreeMap::from([("usr/local/bin/millrace".to_owned(), b"program".to_vec())]);
        let make = || archive("millrace:1", &layer(&files).unwrap()).unwrap();
        let bytes = make();
        assert_eq!(bytes, make());
        let mut archive = tar::Archive::new(&*bytes);
        let mut parts = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            io::Read::read_to_end(&mut entry, &mut content).unwrap();
            parts.insert(name, content);
        }
        let manifest: serde_json::Value = serde_json::from_slice(&parts["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "millrace:1");
        let layer = manifest[0]["Layers"][0].as_str().unwrap();
        assert_eq!(layer, format!("{}.tar", sha256(&parts[layer])));
        let config = manifest[0]["Config"].as_str().unwrap();
        let config: serde_json::Value = serde_json::from_slice(&parts[config]).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", &layer[..64]));
    }
}
