//! How much memory is taken, measured.

use std::fmt;

use tch::Device;

use crate::device::shim;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.0 as f64 / f64::from(1 << 20);
        if mib < 1024.0 { write!(f, "{mib:.1} MiB") } else { write!(f, "{:.2} GiB", mib / 1024.0) }
    }
}

/// Most memory taken at once so far: of the device, the tensors'; on the CPU, the process's.
/// None where the system does not tell.
pub fn peak(device: Device) -> Option<Bytes> {
    match device {
        Device::Cpu => status("VmHWM:"),
        device => shim::peak_bytes(device).map(Bytes),
    }
}

/// Memory taken now, as of [`peak`]; none on a device.
pub(crate) fn resident(device: Device) -> Option<Bytes> {
    if device == Device::Cpu { status("VmRSS:") } else { None }
}

/// A line of what Linux says of this process.
fn status(key: &str) -> Option<Bytes> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(Bytes(kib << 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_words() {
        assert_eq!(Bytes(3 << 19).to_string(), "1.5 MiB");
        assert_eq!(Bytes(5 << 29).to_string(), "2.50 GiB");
    }

    #[test]
    fn the_process_has_a_peak_that_is_no_less_than_what_it_takes() {
        let (now, peak) = (resident(Device::Cpu), peak(Device::Cpu));
        assert!(now.is_some_and(|now| peak.is_some_and(|peak| peak.0 >= now.0 && now.0 > 1 << 20)));
    }
}
