//! `docs/reference/`: pages made from the resource's types, the programs' rules and the commands' own
//! help.

mod commands;
mod programs;
mod resource;

use std::error::Error;

/// Folder of the pages.
pub(crate) const FOLDER: &str = "docs/reference";

/// A page: the name of its file and its text.
pub(crate) type Page = (String, String);

/// All pages.
pub(crate) fn pages() -> Result<Vec<Page>, Box<dyn Error>> {
    let mut pages = resource::pages();
    pages.push(("programs.md".to_owned(), programs::page()));
    pages.extend(commands::pages()?);
    let index = index(&pages);
    pages.push(("README.md".to_owned(), index));
    Ok(pages)
}

fn index(pages: &[Page]) -> String {
    let mut text = String::from(
        "# Reference\n\nMade from the types and the program by `cargo xtask generate reference`.\n\n\
         | page | what it is about |\n|---|---|\n",
    );
    for (file, page) in pages {
        let mut lines = page.lines().filter(|line| !line.is_empty());
        let title = lines.next().unwrap_or_default().trim_start_matches("# ");
        let about = lines.next().unwrap_or_default();
        text += &format!("| [{title}]({file}) | {} |\n", first_sentence(about));
    }
    text += "| [Metrics](metrics.md) | What `/metrics` says; written by hand. |\n";
    text
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| &text[..=end])
}
