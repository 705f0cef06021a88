//! The memory of a fill does not grow with the number of episodes.

use std::process::Stdio;
use std::time::Duration;

use crate::made::{Episode, Place};
use crate::support::produce_command;

/// Largest resident memory of a fill from `files` links to one small file, in MiB.
fn peak_mib(place: &Place, files: usize) -> u64 {
    let data = place.path(&format!("data{files}"));
    std::fs::create_dir(&data).expect("a folder");
    for index in 0..files {
        let link = data.join(format!("{index:05}.hdf5"));
        std::os::unix::fs::symlink(place.path("data/a.hdf5"), link).expect("a link");
    }
    let dataset = format!("robot:{}={}", place.path("card.yaml").display(), data.display());
    let buffer = place.path(&format!("buffer{files}")).display().to_string();
    let mut child =
        produce_command(["--fill-up", "--dataset", &dataset, "--buffer", &buffer, "--n-workers", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rdt-produce starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        // The kernel keeps the highest mark: the last one read is the peak but for the very end.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(ended) = child.try_wait().expect("the child's state") {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(ended.code(), Some(0));
    assert!(peak > 0, "/proc tells nothing");
    peak / 1024
}

#[test]
fn the_memory_of_a_fill_is_flat_in_the_number_of_episodes() {
    let place = Place::new();
    place.file("a.hdf5", &vec![Episode::of(6); 20]);
    let few = peak_mib(&place, 10);
    let many = peak_mib(&place, 150);
    eprintln!("200 episodes: {few} MiB; 3000 episodes: {many} MiB");
    assert!(many < 512, "{many} MiB");
    // A plan takes some 40 bytes an episode; the rest is allocators' noise.
    assert!(many < few + 48, "{few} MiB with 200 episodes, {many} MiB with 3000");
}
