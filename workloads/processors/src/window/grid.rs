//! Aligned windows and the panes they are made of.
//!
//! A pane is as long as windows are apart and has a number; a window is named by its last pane.
//! Event times lie in the years 1 to 9999; state that is damaged may name others, so that nothing
//! here overflows.

use millrace_plan::model::WindowSpan;

/// Where panes and windows begin and end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    size: i64,
    every: i64,
    offset: i64,
}

impl Grid {
    /// The grid of aligned windows. Sessions have none of their own: that of windows as long as
    /// the longest session.
    pub(super) fn of(span: WindowSpan) -> Self {
        match span {
            WindowSpan::Aligned { size, every, offset } => {
                Self { size, every: every.max(1), offset }
            }
            WindowSpan::Session { longest, .. } => {
                let size = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX).max(1);
                Self { size, every: size, offset: 0 }
            }
        }
    }

    /// The grid whose windows are the panes of this one.
    pub(super) fn of_panes(self) -> Self {
        Self { size: self.every, ..self }
    }

    /// Panes of a window.
    pub(super) fn panes(self) -> i64 {
        (self.size / self.every).max(1)
    }

    /// The pane of an event time.
    pub(super) fn pane(self, time: i64) -> i64 {
        time.saturating_sub(self.offset).div_euclid(self.every)
    }

    /// When a pane ends, and the window whose last one it is.
    pub(super) fn end(self, pane: i64) -> i64 {
        pane.saturating_add(1).saturating_mul(self.every).saturating_add(self.offset)
    }

    /// When the window begins whose last pane this is.
    pub(super) fn start(self, pane: i64) -> i64 {
        self.end(pane).saturating_sub(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_aligned_also_before_1970() {
        let span = WindowSpan::Aligned { size: 10_000, every: 10_000, offset: 3000 };
        let grid = Grid::of(span);
        let window = |time| (grid.start(grid.pane(time)), grid.end(grid.pane(time)));
        assert_eq!(window(3000), (3000, 13_000));
        assert_eq!(window(12_999), (3000, 13_000));
        assert_eq!(window(2999), (-7000, 3000));
        assert_eq!(window(-7001), (-17_000, -7000));
    }
}
