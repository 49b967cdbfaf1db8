//! The command `intrada-run`; see the crate `intrada-runner`. A process of it also performs jobs that need no tensor: `intrada-work`.

fn main() -> std::process::ExitCode {
    intrada_runner::cli::main(intrada_work::main)
}
