//! What processes of this machine use, as the kernel tells it: each with all that it has started.

use std::error::Error;
use std::fs;

use crate::bench::process::own_ticks;
use crate::bench::process::ticks;
use crate::bench::report::ProcessUse;

/// A process that is watched: its name in figures, and its id.
pub(super) type Watched = (String, u32);

/// The CPU time of some processes at one moment.
pub(super) struct Meter {
    watched: Vec<Watched>,
    cpu: Vec<f64>,
}

impl Meter {
    /// Begins to count. The most memory at once is counted anew where the kernel allows it.
    pub(super) fn start(watched: Vec<Watched>) -> Self {
        for (_, id) in &watched {
            // Without the right to do so the figure is that since the process's start.
            let _ = fs::write(format!("/proc/{id}/clear_refs"), "5");
        }
        let cpu = watched.iter().map(|(_, id)| cpu_seconds(*id)).collect();
        Self { watched, cpu }
    }

    /// What each has used since the start.
    pub(super) fn read(&self) -> Result<Vec<ProcessUse>, Box<dyn Error>> {
        let each = self.watched.iter().zip(&self.cpu);
        each.map(|((name, id), before)| {
            let (resident_kib, peak_kib) = memory_kib(*id)?;
            Ok(ProcessUse {
                name: name.clone(),
                cpu_seconds: cpu_seconds(*id) - before,
                resident_kib,
                peak_kib,
            })
        })
        .collect()
    }
}

/// CPU time of a process and of its descendants, those that have ended included.
fn cpu_seconds(id: u32) -> f64 {
    let with_ended = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        own_ticks(&stat) + ticks(&stat, 13) + ticks(&stat, 14)
    };
    family(id).iter().map(with_ended).sum::<f64>() / 100.0
}

/// Resident memory now, and the most at once. Processes that share memory count a share of it each;
/// then nobody knows the most.
fn memory_kib(id: u32) -> Result<(u64, Option<u64>), Box<dyn Error>> {
    let family = family(id);
    if family.len() == 1 {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let resident = field(&status, "VmRSS").ok_or("the process has ended")?;
        return Ok((resident, field(&status, "VmHWM")));
    }
    let share = |id: &u32| {
        let memory = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
        field(&memory, "Pss").unwrap_or_default()
    };
    Ok((family.iter().map(share).sum(), None))
}

/// A figure in KiB of a file in `/proc`.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// A process and all of its descendants that run.
fn family(id: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The fourth field of proc(5).
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut family = vec![id];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_by_its_name() {
        let text = "Rss:    300 kB\nPss:        12 kB\nPss_Dirty: 4 kB\n";
        assert_eq!(field(text, "Pss"), Some(12));
        assert_eq!(field(text, "VmRSS"), None);
    }

    #[test]
    fn a_process_counts_with_its_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = family(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&child.id()));
    }
}
