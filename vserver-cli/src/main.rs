//! See the library: this file only begins.

use std::process::ExitCode;

fn main() -> ExitCode {
    vserver_cli::main()
}
