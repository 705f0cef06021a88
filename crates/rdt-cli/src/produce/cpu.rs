//! CPU time of this process, so that a report can say what a sample costs.

/// Clock ticks a second in `/proc`: fixed at 100 for user space on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system seconds of all threads so far; `None` where the system does not tell.
pub(super) fn seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name, may hold spaces; it ends at the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_what_this_process_burns() {
        let start = super::seconds().expect("Linux tells");
        let began = std::time::Instant::now();
        while began.elapsed().as_millis() < 150 {
            std::hint::black_box(start);
        }
        let burnt = super::seconds().expect("Linux tells") - start;
        assert!((0.05..10.0).contains(&burnt), "{burnt}");
    }
}
