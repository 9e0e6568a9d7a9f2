//! How large a program may be: the compiler and the runtime walk expressions recursively, and the
//! compiler's time doubles with each nested call, so that neither may be left to the author.

use std::iter::Peekable;
use std::str::Chars;

use super::ProgramError;

/// Largest program, in bytes.
pub const MAX_PROGRAM_BYTES: usize = 16 * 1024;

/// Deepest nesting of brackets.
pub const MAX_NESTING: usize = 16;

/// Most operators in one expression, those around it included.
pub const MAX_OPERATORS: usize = 100;

/// Refuses what could exhaust the stack or the compiler's time.
pub(super) fn check(source: &str) -> Result<(), ProgramError> {
    if source.trim().is_empty() {
        return Err(ProgramError::Empty);
    }
    if source.len() > MAX_PROGRAM_BYTES {
        return Err(ProgramError::TooLarge(source.len()));
    }
    // The operators of the expression that is open at each level of brackets.
    let mut levels = vec![0_usize];
    let mut last = ' ';
    let mut line_ended = false;
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\n' {
            line_ended = true;
            continue;
        }
        if c == '#' {
            while chars.next_if(|c| *c != '\n').is_some() {}
            continue;
        }
        if c.is_whitespace() {
            continue;
        }
        // An expression goes on over a line's end only where an operator joins the lines.
        let joined = is_operator(c) || is_operator(last);
        if (line_ended && !joined) || c == ';' || c == ',' {
            set_top(&mut levels, 0);
        }
        line_ended = false;
        match c {
            '"' | '\'' => skip_string(&mut chars, c),
            '(' | '[' | '{' => levels.push(0),
            ')' | ']' | '}' if levels.len() > 1 => {
                levels.pop();
            }
            '!' => add_to_top(&mut levels),
            _ if is_operator(c) && c != last => add_to_top(&mut levels),
            _ => {}
        }
        last = c;
        if levels.len() > MAX_NESTING + 1 {
            return Err(ProgramError::TooDeep);
        }
        if levels.iter().sum::<usize>() > MAX_OPERATORS {
            return Err(ProgramError::TooManyOperators);
        }
    }
    if source.split(|c: char| !c.is_alphanumeric()).filter(|word| *word == "else").count()
        > MAX_OPERATORS
    {
        return Err(ProgramError::TooManyOperators);
    }
    Ok(())
}

fn is_operator(c: char) -> bool {
    matches!(c, '+' | '-' | '*' | '/' | '%' | '|' | '&' | '=' | '!' | '<' | '>' | '?')
}

fn set_top(levels: &mut [usize], operators: usize) {
    if let Some(top) = levels.last_mut() {
        *top = operators;
    }
}

fn add_to_top(levels: &mut [usize]) {
    if let Some(top) = levels.last_mut() {
        *top += 1;
    }
}

fn skip_string(chars: &mut Peekable<Chars<'_>>, quote: char) {
    while let Some(c) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return;
        }
    }
}
