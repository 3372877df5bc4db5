//! Build script: lets the linker leave Node-API symbols to the host process.

fn main() {
    #[cfg(feature = "js")]
    napi_build::setup();
}
