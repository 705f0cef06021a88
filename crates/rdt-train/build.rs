//! Lets the tests find libtorch where it was found at build time.
//!
//! torch-sys sets no search path. `LD_LIBRARY_PATH` goes before the one set here, so a
//! program also runs where libtorch lies elsewhere.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Set by torch-sys, for the packages that depend on it.
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
        // The new form of the entry, which LD_LIBRARY_PATH goes before.
        println!("cargo::rustc-link-arg=-Wl,--enable-new-dtags");
    }
}
