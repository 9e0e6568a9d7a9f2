//! The pages of commands: what each says of itself.

use std::error::Error;
use std::fmt::Write as _;
use std::process::Command;

use super::Page;
use crate::command;
use crate::workspace;

/// A program whose commands are described.
struct Program {
    /// The package, whose program has its name.
    package: &'static str,
    /// What people write to run it.
    name: &'static str,
    /// What the page begins with.
    heading: &'static str,
}

/// The program itself.
const MILLRACE: Program = Program {
    package: "millrace",
    name: "millrace",
    heading: "# Commands\n\nWhat `millrace help` and `millrace help COMMAND` say.\n",
};

/// The plugin of kubectl.
const KUBECTL: Program = Program {
    package: "kubectl-millrace",
    name: "kubectl millrace",
    heading: "# kubectl millrace\n\nWhat `kubectl millrace` and `kubectl millrace COMMAND --help` say.\n",
};

/// The pages of all programs, each with its file's name; builds them first.
pub(super) fn pages() -> Result<[Page; 2], Box<dyn Error>> {
    command::build()?;
    Ok([("commands.md".to_owned(), page(&MILLRACE)?), ("kubectl.md".to_owned(), page(&KUBECTL)?)])
}

fn page(program: &Program) -> Result<String, Box<dyn Error>> {
    let mut text = String::from(program.heading);
    describe(program, &[], &mut text)?;
    Ok(text)
}

/// A command, then those below it.
fn describe(program: &Program, path: &[&str], text: &mut String) -> Result<(), Box<dyn Error>> {
    let file = workspace::program(false).with_file_name(program.package);
    let output = Command::new(file).args(path).arg("--help").output()?;
    let help = String::from_utf8(output.stdout)?;
    let name = [&[program.name], path].concat().join(" ");
    let _ = write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", trimmed(&help));
    for below in commands(&help) {
        describe(program, &[path, &[below]].concat(), text)?;
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
