//! The `silverstream` program: parses its arguments and calls the subcommand.

fn main() -> std::process::ExitCode {
    silverstream::system::heap::keep_small();
    silverstream::cli::main()
}
