//! What the documents show is true: complete resources are valid, test cases beside them pass,
//! parts of the race's resource are in it, and links lead to files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use millrace_log::kafka::KafkaSettings;
use millrace_tables::postgres::PostgresSettings;
use serde_yaml_ng::Value;
use support::process::Pipeline;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every document with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path);
            }
        }
    }
    documents
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// The YAML blocks of a document.
fn blocks(text: &str) -> Vec<&str> {
    blocks_of(text, "```yaml\n")
}

fn blocks_of<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    let parts = text.split(begin).skip(1);
    parts.map(|part| part.split_once("```").unwrap().0).collect()
}

/// What a shell prints for a block of commands, the pipeline being at another address than it says.
fn shell(folder: &Path, commands: &str, http: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_millrace")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-eu", "-c", &commands.replace("127.0.0.1:8080", http)])
        .env("PATH", path)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{commands}\n{text}");
    text
}

fn millrace(command: &str, file: &Path) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_millrace")).arg(command).arg(file).output().unwrap();
    assert!(
        output.status.success(),
        "millrace {command} {}: {}{}",
        file.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn resources_in_the_documents_are_valid_and_their_test_cases_pass() {
    let mut seen = (0, 0);
    for (path, text) in documents() {
        // That guide's resource grows from block to block; a test of its own follows it.
        let grows = path.ends_with("greenhouse.md");
        let folder = tempfile::tempdir().unwrap();
        // Cases without a resource before them are the race's.
        let resource = folder.path().join("it.yaml");
        std::fs::copy(root().join("examples/race.yaml"), &resource).unwrap();
        for block in blocks(&text) {
            if block.starts_with("apiVersion:") {
                std::fs::write(&resource, block).unwrap();
                millrace("validate", &resource);
                seen.0 += 1;
            } else if block.starts_with("cases:") && !grows {
                std::fs::write(folder.path().join("it.test.yaml"), block).unwrap();
                millrace("test", &resource);
                seen.1 += 1;
            }
        }
    }
    assert_eq!(seen, (9, 3));
}

#[test]
fn connection_files_in_the_documents_say_what_is_read() {
    let text = std::fs::read_to_string(root().join("docs/operations/distributed.md")).unwrap();
    let blocks = blocks(&text);
    let kafka: KafkaSettings = serde_yaml_ng::from_str(blocks[0]).unwrap();
    assert_eq!((kafka.prefix.as_deref(), kafka.replication_factor), (Some("factory.race."), 3));
    let postgres: PostgresSettings = serde_yaml_ng::from_str(blocks[1]).unwrap();
    assert_eq!((&*postgres.host, postgres.schema.as_deref()), ("postgres", Some("race")));
    // The third one is a table's.
    assert_eq!(blocks.len(), 3);
}

#[test]
fn ways_in_and_out_that_replace_those_of_a_resource_are_valid() {
    let text = std::fs::read_to_string(root().join("docs/guide/own.md")).unwrap();
    let blocks = blocks(&text);
    let mut resource: Value = serde_yaml_ng::from_str(blocks[0]).unwrap();
    let parts: Value = serde_yaml_ng::from_str(blocks[2]).unwrap();
    for (field, part) in parts.as_mapping().unwrap() {
        resource["spec"][field] = part.clone();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cellar.yaml");
    std::fs::write(&file, serde_yaml_ng::to_string(&resource).unwrap()).unwrap();
    millrace("validate", &file);
}

#[test]
fn the_guide_from_nothing_to_a_pipeline_can_be_followed() {
    let text = std::fs::read_to_string(root().join("docs/guide/greenhouse.md")).unwrap();
    let (yaml, commands) = (blocks(&text), blocks_of(&text, "```sh\n"));
    assert_eq!((yaml.len(), commands.len()), (5, 5));
    let folder = tempfile::tempdir().unwrap();
    let resource = folder.path().join("greenhouse.yaml");

    // Take events.
    std::fs::write(&resource, yaml[0]).unwrap();
    assert!(commands[1].starts_with("millrace validate greenhouse.yaml\nmillrace run"));
    millrace("validate", &resource);
    let mut pipeline = Pipeline::start(&resource, folder.path(), &[]);
    let answers = shell(folder.path(), commands[2], &pipeline.http());
    assert!(answers.contains("202 Accepted"), "{answers}");
    assert!(answers.contains("\"pointer\":\"/house\""), "{answers}");
    assert!(answers.contains("\"pointer\":\"/celsius\""), "{answers}");
    assert!(answers.ends_with("{\"accepted\":2}"), "{answers}");
    pipeline.kill();

    // Compute; keep, tell and ask.
    let mut grown: Value = serde_yaml_ng::from_str(yaml[0]).unwrap();
    for fragment in &yaml[1..4] {
        let fragment: Value = serde_yaml_ng::from_str(fragment).unwrap();
        for (section, parts) in fragment.as_mapping().unwrap() {
            match (grown["spec"].get_mut(section), parts) {
                (Some(Value::Sequence(there)), Value::Sequence(more)) => {
                    there.extend(more.iter().cloned());
                }
                _ => grown["spec"][section] = parts.clone(),
            }
        }
    }
    std::fs::write(&resource, serde_yaml_ng::to_string(&grown).unwrap()).unwrap();
    millrace("validate", &resource);
    let mut pipeline = Pipeline::start(&resource, folder.path(), &[]);
    let answers = shell(folder.path(), commands[3], &pipeline.http());
    assert_eq!(answers, "[]", "ten minutes are not over");
    pipeline.kill();

    // Test it.
    std::fs::write(folder.path().join("greenhouse.test.yaml"), yaml[4]).unwrap();
    let told = shell(folder.path(), commands[4], "");
    assert!(told.contains("the climate of ten minutes"), "{told}");
}

#[test]
fn the_race_explained_shows_what_the_resource_says() {
    let text = std::fs::read_to_string(root().join("examples/race.yaml")).unwrap();
    let race: Value = serde_yaml_ng::from_str(&text).unwrap();
    let text = std::fs::read_to_string(root().join("docs/guide/race.md")).unwrap();
    let blocks = blocks(&text);
    assert_eq!(blocks.len(), 2);
    for (block, section) in blocks.iter().zip(["streams", "ingest"]) {
        let shown: Value = serde_yaml_ng::from_str(block).unwrap();
        for (field, value) in shown[0].as_mapping().unwrap() {
            assert_eq!(race["spec"][section][0][field], *value, "{section}: {field:?}");
        }
    }
}

#[test]
fn the_reference_shows_what_each_command_says_of_itself() {
    let page = std::fs::read_to_string(root().join("docs/reference/commands.md")).unwrap();
    let mut open = vec![Vec::<String>::new()];
    while let Some(path) = open.pop() {
        let mut program = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let output = program.args(&path).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let shown = help.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert!(page.contains(&shown), "run `cargo xtask generate reference`: {path:?}");
        let commands = help.split_once("\nCommands:\n").map_or("", |(_, list)| list);
        for line in commands.lines().take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().unwrap();
            if line.starts_with("  ") && !line.starts_with("   ") && name != "help" {
                open.push([path.clone(), vec![name.to_owned()]].concat());
            }
        }
    }
}

#[test]
fn links_in_the_documents_lead_to_files() {
    for (path, text) in documents() {
        for part in text.split("](").skip(1) {
            let target = part.split_once(')').unwrap().0;
            if !target.contains("://") && !target.starts_with('#') {
                let file = path.with_file_name(target.split('#').next().unwrap());
                assert!(file.exists(), "{}: {target} is not there", path.display());
            }
        }
    }
}
