fn main() -> std::process::ExitCode {
    coattail_cli::run(std::env::args_os())
}
