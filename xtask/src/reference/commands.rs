//! The page of commands: what each says of itself.

use std::error::Error;
use std::fmt::Write as _;
use std::process::Command;

use crate::command;
use crate::workspace;

/// The page; builds the program first.
pub(super) fn page() -> Result<String, Box<dyn Error>> {
    command::run(&workspace::root(), "cargo", &["build", "--package", "millrace"])?;
    let mut text =
        String::from("# Commands\n\nWhat `millrace help` and `millrace help COMMAND` say.\n");
    describe(&[], &mut text)?;
    Ok(text)
}

/// A command, then those below it.
fn describe(path: &[&str], text: &mut String) -> Result<(), Box<dyn Error>> {
    let output = Command::new(workspace::program(false)).args(path).arg("--help").output()?;
    let help = String::from_utf8(output.stdout)?;
    let name = [&["millrace"], path].concat().join(" ");
    let _ = write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", trimmed(&help));
    for below in commands(&help) {
        describe(&[path, &[below]].concat(), text)?;
    }
    Ok(())
}

/// Without blanks at the ends of lines.
fn trimmed(help: &str) -> String {
    help.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Names of the commands that a help lists.
fn commands(help: &str) -> Vec<&str> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let named = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    named.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_lists_its_commands() {
        let help = "A.\n\nCommands:\n  run   Run.\n        More.\n  test  Test.\n  help  Help.\n\nOptions:\n  -h\n";
        assert_eq!(commands(help), ["run", "test"]);
        assert_eq!(commands("A.\n"), Vec::<&str>::new());
    }
}
