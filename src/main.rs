//! The command `intrada-run`; see the crate `intrada-runner`.

fn main() -> std::process::ExitCode {
    intrada_runner::cli::main()
}
