//! What the operating system knows of this process and of cached files.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

/// CPU time of all threads of this process since its start.
pub(super) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory this process has had resident, where the system says so.
pub(super) fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Puts the files into the page cache, or takes them out of it.
pub(super) fn prepare_cache(files: impl Iterator<Item = PathBuf>, cold: bool) -> anyhow::Result<()> {
    let mut scratch = vec![0; 1 << 20];
    for path in files {
        let at_path = || format!("cannot prepare the page cache for {}", path.display());
        let mut file = File::open(&path).with_context(at_path)?;
        if cold {
            // Only pages that are on the medium can be dropped.
            file.sync_all().with_context(at_path)?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).with_context(at_path)?;
        } else {
            while file.read(&mut scratch).with_context(at_path)? > 0 {}
        }
    }
    Ok(())
}
