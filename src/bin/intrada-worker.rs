//! The program that performs one job; see the crate `intrada-worker`.

fn main() -> std::process::ExitCode {
    intrada_worker::main()
}
