//! `cargo verify page`: the service's page in a headless Chromium, by Playwright. Chromium, Node and npm have to be
//! there.

use std::path::Path;
use std::process::Command;

pub fn run(root: &Path) -> bool {
    let tests = root.join("examples/presentation-service/page-tests");
    let mut build = Command::new(env!("CARGO"));
    build
        .current_dir(root)
        .args(["build", "-p", "presentation-service"]);
    let mut install = Command::new("npm");
    install.current_dir(&tests).arg("ci");
    let mut test = Command::new("npm");
    test.current_dir(&tests).arg("test");
    [build, install, test].iter_mut().all(succeeds)
}

fn succeeds(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("{}: {error}", command.get_program().display());
            false
        }
    }
}
