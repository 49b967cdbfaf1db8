//! The program that people call; see the crate `intrada-runner`.

fn main() -> std::process::ExitCode {
    intrada_runner::cli::main()
}
