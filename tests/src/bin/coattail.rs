//! The twin of `coattail`, for the tests of this package.

fn main() -> std::process::ExitCode {
    coattail_cli::run(std::env::args_os())
}
