//! Compiles the shim over ATen, and lets the tests find libtorch where it was found at build
//! time: torch-sys sets no search path. The programs of other packages do the same for themselves.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shim/shim.cpp");
    // Set by torch-sys, for the packages that depend on it.
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let Ok(libraries) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
    // The new form of the entry, which LD_LIBRARY_PATH goes before.
    println!("cargo::rustc-link-arg=-Wl,--enable-new-dtags");

    // As torch-sys finds them: `include` beside the libraries' folder, or below LIBTORCH_INCLUDE.
    let beside = PathBuf::from(&libraries).join("..");
    let root = std::env::var("LIBTORCH_INCLUDE").map_or(beside, PathBuf::from);
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(root.join("include"))
        .include(root.join("include/torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .file("shim/shim.cpp")
        .compile("rdt_shim");
}
