fn main() {
    #[cfg(feature = "js")]
    napi_build::setup();
}
