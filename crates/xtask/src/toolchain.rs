//! What the build needs beside Rust: libtorch and cmake, which Python packages carry, and
//! nasm, which is the system's to install.
//!
//! The Python packages go into one environment in the user's cache folder, named after the
//! version, so that every checkout of the project finds it again. A file written last marks
//! it complete: an interrupted installation is started afresh.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::steps::{is_installed, root, run, say};

/// The libtorch that tch 0.24.0 binds; its PyPI wheel has both the CPU and the CUDA parts.
const TORCH: &str = "2.11.0";
/// Written when the environment is whole.
const COMPLETE: &str = "complete";

/// The folders of an installed toolchain.
pub(crate) struct Toolchain {
    libtorch: PathBuf,
    /// Holds cmake; `None` where the user brought a libtorch and the system has cmake.
    bin: Option<PathBuf>,
}

/// Installs what is missing, saying what it does.
///
/// # Errors
/// A system package is missing and may not be installed, or an installation fails.
pub(crate) fn set_up() -> Result<Toolchain> {
    need_compiler()?;
    need_nasm()?;
    if let Some(libtorch) = std::env::var_os("LIBTORCH").map(PathBuf::from)
        && is_installed("cmake")
    {
        say(&format!(
            "using your libtorch, {} (LIBTORCH is set; it must be version {TORCH})",
            libtorch.display()
        ));
        return Ok(Toolchain { libtorch, bin: None });
    }
    let folder = cache_folder()?.join(format!("torch-{TORCH}"));
    // Two tasks at once must not install into each other's feet.
    let lock_path = folder.with_extension("lock");
    let lock = File::create(&lock_path).with_context(|| format!("cannot write {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", lock_path.display()))?;
    if !folder.join(COMPLETE).exists() {
        install(&folder)?;
    }
    let libtorch = find_libtorch(&folder)?;
    Ok(Toolchain { libtorch, bin: Some(folder.join("bin")) })
}

impl Toolchain {
    /// The variables that cargo and the built programs need.
    fn variables(&self) -> Vec<Variable> {
        let set = |name, value: &Path| Variable { name, value: value.display().to_string(), is_list: false };
        let prepend =
            |name, value: &Path| Variable { name, value: value.display().to_string(), is_list: true };
        let mut variables =
            vec![set("LIBTORCH", &self.libtorch), prepend("LD_LIBRARY_PATH", &self.libtorch.join("lib"))];
        if let Some(bin) = &self.bin {
            variables.push(set("CMAKE", &bin.join("cmake")));
        }
        variables
    }

    /// A cargo command that builds against this toolchain, in the root of the checkout.
    pub(crate) fn cargo(&self) -> Command {
        self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// Any command in the environment of the build.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(root());
        for Variable { name, value, is_list } in self.variables() {
            let rest = std::env::var(name).ok().filter(|rest| is_list && !rest.is_empty());
            command.env(name, rest.map_or(value.clone(), |rest| format!("{value}:{rest}")));
        }
        command
    }

    /// Prints the variables as shell commands, to standard output.
    pub(crate) fn print_exports(&self) {
        for Variable { name, value, is_list } in self.variables() {
            let rest = if is_list { format!("\"${{{name}:+:${name}}}\"") } else { String::new() };
            println!("export {name}='{value}'{rest}");
        }
    }
}

struct Variable {
    name: &'static str,
    value: String,
    /// A list of folders, to be put before what the variable already holds.
    is_list: bool,
}

fn need_compiler() -> Result<()> {
    if ["c++", "g++", "clang++"].iter().any(|name| is_installed(name)) {
        return Ok(());
    }
    bail!("no C++ compiler found (looked for c++, g++, clang++); install one, e.g. `apt-get install g++`")
}

/// libjpeg-turbo's SIMD code is written for nasm; without it JPEG decoding is 3 times slower.
fn need_nasm() -> Result<()> {
    if cfg!(not(any(target_arch = "x86_64", target_arch = "x86"))) || is_installed("nasm") {
        return Ok(());
    }
    install_system_package("nasm", "libjpeg-turbo's SIMD code is built with it")
}

fn install_system_package(package: &str, why: &str) -> Result<()> {
    let managers: [(&str, &[&str]); 5] = [
        ("apt-get", &["install", "-y"]),
        ("dnf", &["install", "-y"]),
        ("pacman", &["-S", "--noconfirm"]),
        ("apk", &["add"]),
        ("zypper", &["install", "-y"]),
    ];
    let Some((manager, arguments)) = managers.iter().find(|(name, _)| is_installed(name)) else {
        bail!(
            "{package} is missing ({why}), and no package manager that this knows; install it and run this again"
        );
    };
    let as_root = if is_root() {
        vec![]
    } else if Command::new("sudo").args(["-n", "true"]).output().is_ok_and(|output| output.status.success()) {
        vec!["sudo", "-n"]
    } else {
        bail!(
            "{package} is missing ({why}); install it (`sudo {manager} {} {package}`) and run this again",
            arguments.join(" ")
        );
    };
    say(&format!("installing {package} with {manager}: {why}"));
    let manage = |rest: &[&str]| {
        let words: Vec<&str> = as_root.iter().chain([manager]).chain(rest).copied().collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command
    };
    if *manager == "apt-get" {
        run(&mut manage(&["update"]))?;
    }
    run(&mut manage(&[*arguments, &[package]].concat()))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn cache_folder() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()
            .context("no home folder; set XDG_CACHE_HOME to a folder with 6 GB of room")?
            .join(".cache"),
    };
    let folder = cache.join("rdt-buffer");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

fn install(folder: &Path) -> Result<()> {
    say(&format!(
        "installing libtorch {TORCH} and cmake (PyPI packages torch and cmake) into {}: once, about 0.6 GB to download with its \
         CUDA parts coming on top, 5 GB on disk, two minutes or more",
        folder.display()
    ));
    if !is_installed("python3") {
        bail!(
            "python3 is not installed; it brings libtorch. Install Python 3.10 or newer, or set LIBTORCH to a libtorch {TORCH}"
        );
    }
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove the unfinished {}", folder.display()))?;
    }
    let venv = |folder: &Path| Command::new("python3").args(["-m", "venv"]).arg(folder).output();
    if !venv(folder).context("cannot start python3")?.status.success() {
        // Debian keeps the module's pip apart.
        install_system_package("python3-venv", "python3 -m venv needs it")?;
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    }
    let pip = folder.join("bin/python");
    run(Command::new(pip).args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet"]).args([
        format!("torch=={TORCH}"),
        "numpy".into(),
        "cmake".into(),
    ]))?;
    let mark = folder.join(COMPLETE);
    fs::write(&mark, b"").with_context(|| format!("cannot write {}", mark.display()))
}

fn find_libtorch(folder: &Path) -> Result<PathBuf> {
    let lib = folder.join("lib");
    let entries = fs::read_dir(&lib).with_context(|| format!("cannot read {}", lib.display()))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/torch")))
        .find(|candidate| candidate.join("lib/libtorch.so").exists())
        .with_context(|| {
            format!("{} has no libtorch in it; remove the folder and run this again", folder.display())
        })
}
