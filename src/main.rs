//! The `silverstream` program: parses its arguments and calls the subcommand.

fn main() -> std::process::ExitCode {
    silverstream::cli::main()
}
