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
///
/// # Errors
/// A file cannot be read.
pub(super) fn prepare_cache(files: impl Iterator<Item = PathBuf>, cold: bool) -> anyhow::Result<()> {
    let mut scratch = vec![0; 1 << 20];
    let (mut kept, mut looked_at) = (0u64, 0u64);
    for path in files {
        let at_path = || format!("cannot prepare the page cache for {}", path.display());
        let mut file = File::open(&path).with_context(at_path)?;
        if cold {
            // Only pages that are on the medium can be dropped.
            file.sync_all().with_context(at_path)?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).with_context(at_path)?;
            let (of_file, places) = still_cached(&file).with_context(at_path)?;
            (kept, looked_at) = (kept + of_file, looked_at + places);
        } else {
            while file.read(&mut scratch).with_context(at_path)? > 0 {}
        }
    }
    if kept * 20 > looked_at {
        eprintln!(
            "warning: {kept} of {looked_at} places looked at are still in the page cache: the file system keeps \
             them (or another program maps them), so this is no measurement of a cold cache"
        );
    }
    Ok(())
}

/// How many places of a file, a MiB apart, can be read without waiting for the device, and how many
/// were tried. Where the system cannot say, none.
fn still_cached(file: &File) -> std::io::Result<(u64, u64)> {
    const APART: u64 = 1 << 20;
    let places = file.metadata()?.len().div_ceil(APART);
    let mut kept = 0;
    for place in 0..places {
        let mut byte = [0];
        let buffers = &mut [std::io::IoSliceMut::new(&mut byte)];
        let flags = rustix::io::ReadWriteFlags::NOWAIT;
        match rustix::io::preadv2(file, buffers, place * APART, flags) {
            Ok(read) => kept += u64::from(read > 0),
            Err(rustix::io::Errno::AGAIN) => {}
            Err(_) => return Ok((0, 0)),
        }
    }
    Ok((kept, places))
}
