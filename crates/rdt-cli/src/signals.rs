//! Ctrl-C and SIGTERM: asked once, a program ends at its next safe point; asked twice, it
//! ends at once (what it had published stays whole).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Starts a thread that sets the returned flag at the first SIGINT or SIGTERM.
///
/// `what_happens` is printed to standard error then, e.g. `"saving a checkpoint"`.
///
/// # Errors
/// The signal handlers or their thread cannot be set up.
pub fn stop_flag(what_happens: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the signal handler")?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (
            signal(SignalKind::interrupt()).context("cannot handle SIGINT")?,
            signal(SignalKind::terminate()).context("cannot handle SIGTERM")?,
        )
    };
    let wait = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if seen.swap(true, Ordering::SeqCst) {
                    end_at_once();
                }
                eprintln!("stopping: {what_happens}; interrupt again to end at once");
            }
        });
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)
        .context("cannot start the signal handler")?;
    Ok(flag)
}

/// Ends the process as `kill -9` would. Leaving in order would run libtorch's destructors
/// while its threads compute, which crashes.
fn end_at_once() {
    use rustix::process::{Signal, getpid, kill_process};
    if kill_process(getpid(), Signal::KILL).is_err() {
        std::process::abort();
    }
}
