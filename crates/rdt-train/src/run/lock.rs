//! One run an output folder: a lock that the system drops when the process ends, however it does.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use rdt_schema::Setting;

use crate::error::TrainError;

const FILE_NAME: &str = ".lock";

/// The lock, held as long as this lives. The file stays: removing it would let two runs lock
/// two files of one name.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Locks `folder` and writes the process id into the lock file.
    ///
    /// # Errors
    /// Another run holds it, named by its process id; or the file cannot be written.
    pub(crate) fn take(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join(FILE_NAME);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(TrainError::file(&path, "open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message; without it the process is not named.
                let _ = file.read_to_string(&mut holder);
                return Err(TrainError::setting(
                    Setting::OUTPUT_DIR,
                    format!("{}, in use by process {}", folder.display(), holder.trim()),
                    "a folder of its own for each run; or wait until that one has ended",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(TrainError::file(&path, "lock")(error)),
        }
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(TrainError::file(&path, "write"))?;
        Ok(Self { _file: file })
    }
}
