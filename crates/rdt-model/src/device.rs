//! Where to compute, and why there.
//!
//! Linkers drop `libtorch_cuda.so` from a program, since it calls nothing in it by name;
//! libtorch then says that there is no CUDA. So the library is loaded at start-up, where the
//! machine has a GPU driver. A libtorch without its CUDA part works too, on the CPU.

pub(crate) mod host_memory;
pub mod late;
pub mod memory;
pub mod resize;
pub mod shim;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use rdt_schema::Setting;
use serde::{Deserialize, Serialize};
use tch::{Cuda, Device};

use crate::error::ModelError;

/// RDT's machines have CUDA; ours may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// CUDA where it works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first CUDA device, or an error.
    Cuda,
}

/// The device, and the reason for the log. Where it is the CPU, the process keeps the memory that it
/// frees from then on.
///
/// # Errors
/// CUDA was asked for and does not work; the error says what is missing.
pub fn choose(choice: DeviceChoice) -> Result<(Device, String), ModelError> {
    let chosen = find(choice)?;
    if chosen.0 == Device::Cpu {
        // A step frees and allocates the same large tensors again. Given back to the system in between,
        // their pages are cleared and mapped anew each time: measured at 15 % of a step's CPU time.
        shim::keep_memory();
    }
    Ok(chosen)
}

fn find(choice: DeviceChoice) -> Result<(Device, String), ModelError> {
    if choice == DeviceChoice::Cpu {
        return Ok((Device::Cpu, format!("asked for with {} cpu", Setting::DEVICE)));
    }
    match find_cuda() {
        Ok(count) => Ok((Device::Cuda(0), format!("CUDA works, the first of {count} devices"))),
        Err(reason) if choice == DeviceChoice::Auto => Ok((Device::Cpu, reason)),
        Err(reason) => Err(ModelError::Setting {
            what: Setting::DEVICE.to_string(),
            found: "cuda".into(),
            expected: format!("cpu or auto, since CUDA does not work here: {reason}"),
        }),
    }
}

/// More threads than this are a slip of the finger, and end in a crash of the OpenMP library.
const MOST_CPU_THREADS: i32 = 1024;

/// Sets the threads of operations on the CPU: those given, else `OMP_NUM_THREADS`, else all
/// cores but one. Its threads wait for each other by spinning, so one that shares its core
/// with a loader thread makes all of them burn their cores: with both cores of two taken, a
/// step was measured to take 4 times as long.
///
/// # Errors
/// Less than one thread, or more than any machine has.
pub fn set_cpu_threads(threads: Option<i32>) -> Result<(), ModelError> {
    let threads = match threads {
        Some(threads) if !(1..=MOST_CPU_THREADS).contains(&threads) => {
            return Err(ModelError::Setting {
                what: Setting::CPU_THREADS.to_string(),
                found: threads.to_string(),
                expected: format!("at least 1 and at most {MOST_CPU_THREADS}"),
            });
        }
        Some(threads) => threads,
        None if std::env::var_os("OMP_NUM_THREADS").is_some() => return Ok(()),
        None => std::thread::available_parallelism().map_or(1, |cores| (cores.get() as i32 - 1).max(1)),
    };
    tch::set_num_threads(threads);
    Ok(())
}

/// Lets f32 matrix products on CUDA round their inputs to TF32's 10 bits, or keeps them from it; RDT's
/// `--allow_tf32`. Nothing on the CPU.
pub fn allow_tf32(device: Device, allowed: bool) {
    if device.is_cuda() {
        shim::allow_tf32(allowed);
    }
}

fn find_cuda() -> Result<i64, String> {
    load("libcuda.so.1").map_err(|_| "no GPU driver here (libcuda.so.1 not found)".to_owned())?;
    load("libtorch_cuda.so").map_err(|error| {
        format!("there is a GPU driver, but this libtorch has no CUDA part that loads ({error})")
    })?;
    if !Cuda::is_available() {
        return Err("there is a GPU driver and libtorch has CUDA, but it finds no usable device".into());
    }
    Ok(Cuda::device_count())
}

/// Loads a library for the rest of the process, its symbols visible to the ones already there.
#[expect(unsafe_code, reason = "the only way to load a library at run time")]
fn load(name: &str) -> Result<(), libloading::Error> {
    // SAFETY: the initialisers that run are those of the GPU driver and of libtorch itself,
    // the same that run where the linker keeps the libraries; it happens before any other
    // use of CUDA in the process.
    let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) }?;
    // Never unloaded: libtorch keeps pointers into it.
    std::mem::forget(library);
    Ok(())
}
