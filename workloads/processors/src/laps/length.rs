//! Crossings by length: a line at every so many metres from where the entity was first seen.

use serde::Deserialize;
use serde::Serialize;

use super::runner::StepError;

/// Most lines that one step may cross; a longer step is no driving.
const MAX_LINES_PER_STEP: u16 = 1000;

/// Lines behind a runner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Lines {
    /// Total distance at the first line, where the first lap begins.
    first: f64,
    /// Lines crossed after it.
    pub(super) crossed: f64,
}

impl Lines {
    /// Lines from here.
    pub(super) fn from(total: f64) -> Self {
        Self { first: total, crossed: 0.0 }
    }

    /// Calls `cross` for each line on the way from one total distance to another, with its number
    /// and the part of the way at which it lies.
    pub(super) fn step(
        &mut self,
        metres: f64,
        from: f64,
        to: f64,
        mut cross: impl FnMut(f64, f64),
    ) -> Result<(), StepError> {
        let lines = (to - self.first) / metres - self.crossed;
        if lines > f64::from(MAX_LINES_PER_STEP) {
            return Err(StepError::TooLong { lines });
        }
        // The count bounds the loop also where a distance is so large that a line's length is lost
        // in it.
        for _ in 0..MAX_LINES_PER_STEP {
            // Multiplied rather than summed up, so that no error grows with the laps.
            let line = self.first + (self.crossed + 1.0) * metres;
            if line > to || line <= from {
                break;
            }
            self.crossed += 1.0;
            cross(self.crossed, (line - from) / (to - from));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossings(lines: &mut Lines, from: f64, to: f64) -> Vec<(f64, f64)> {
        let mut found = Vec::new();
        lines.step(100.0, from, to, |line, part| found.push((line, part))).unwrap();
        found
    }

    #[test]
    fn each_line_is_crossed_once_where_it_lies_in_the_step() {
        let mut lines = Lines::from(0.0);
        assert_eq!(crossings(&mut lines, 0.0, 99.0), []);
        assert_eq!(crossings(&mut lines, 99.0, 103.0), [(1.0, 0.25)]);
        assert_eq!(crossings(&mut lines, 103.0, 200.0), [(2.0, 1.0)]);
        assert_eq!(crossings(&mut lines, 200.0, 250.0), []);
        assert_eq!(crossings(&mut lines, 250.0, 450.0), [(3.0, 0.25), (4.0, 0.75)]);
    }

    #[test]
    fn a_step_over_more_than_a_thousand_lines_is_refused() {
        let mut lines = Lines::from(0.0);
        assert_eq!(
            lines.step(1.0, 0.0, 1e300, |_, _| {}),
            Err(StepError::TooLong { lines: 1e300 })
        );
    }
}
