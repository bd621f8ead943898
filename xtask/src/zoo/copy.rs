//! A copy of the sources, so that the bugs never touch the real ones.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Copy {
    pub path: PathBuf,
}

impl Copy {
    /// Makes `to` what `root` is. Files that are the same already stay as they are, times included, so that
    /// little has to be built again.
    pub fn of(root: &Path, to: &Path) -> io::Result<Self> {
        mirror(root, to, &["target", ".git"])?;
        Ok(Self {
            path: to.to_owned(),
        })
    }

    pub fn apply(&self, patch: &Path) -> Result<(), String> {
        self.git(patch, &[])
    }

    pub fn revert(&self, patch: &Path) -> Result<(), String> {
        self.git(patch, &["--reverse"])
    }

    fn git(&self, patch: &Path, more: &[&str]) -> Result<(), String> {
        let output = Command::new("git")
            .current_dir(&self.path)
            // Otherwise the repository that `target` lies in would be the one to patch.
            .env(
                "GIT_CEILING_DIRECTORIES",
                self.path.parent().unwrap_or(&self.path),
            )
            .args(["apply", "--whitespace=nowarn"])
            .args(more)
            .arg(patch)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }
}

fn mirror(from: &Path, to: &Path, except: &[&str]) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    let wanted = names(from, except)?;
    for stray in names(to, &[])?.iter().filter(|name| !wanted.contains(name)) {
        let stray = to.join(stray);
        if stray.is_dir() {
            std::fs::remove_dir_all(stray)?;
        } else {
            std::fs::remove_file(stray)?;
        }
    }
    for name in wanted {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            mirror(&from, &to, &[])?;
        } else {
            let text = std::fs::read(&from)?;
            if std::fs::read(&to).ok().as_ref() != Some(&text) {
                std::fs::write(&to, text)?;
            }
        }
    }
    Ok(())
}

fn names(folder: &Path, except: &[&str]) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !except.contains(&name.as_str()) {
            names.push(name);
        }
    }
    Ok(names)
}
