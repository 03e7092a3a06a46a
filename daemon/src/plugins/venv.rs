use std::path::{Path, PathBuf};

use super::Problem;

/// Where an instance may have a virtual environment of Python, in its folder.
const FOLDER: &str = ".venv";

/// The Python of the instance's virtual environment; `None` if it has no such environment.
///
/// One that is there is meant. If it is broken, another Python would lack what was installed into it, and say so
/// far from the cause.
pub(super) fn python(instance: &Path) -> Result<Option<PathBuf>, Problem> {
    let folder = instance.join(FOLDER);
    // Not `exists`, which follows: a link that leads nowhere was meant, too.
    if folder.symlink_metadata().is_err() {
        return Ok(None);
    }
    let python = program(instance);
    // Not resolved: Python finds its environment by the path under which it is started.
    which::which(&python).map(Some).map_err(|_| {
        Problem::new(
            format!("the virtual environment `{}` is broken: `bin/python` in it is no program", folder.display()),
            format!(
                "make it anew with `python3 -m venv --clear '{folder}'` and install into it what the plugins need, or \
                 remove it",
                folder = folder.display()
            ),
        )
    })
}

/// What is different when the environment has been made, made anew, or removed.
pub(super) fn traces(instance: &Path) -> [PathBuf; 2] {
    [program(instance), instance.join(FOLDER).join("pyvenv.cfg")]
}

fn program(instance: &Path) -> PathBuf {
    instance.join(FOLDER).join("bin/python")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_environment_is_used_or_broken_but_never_passed_over() {
        let instance = tempfile::tempdir().unwrap();
        let folder = instance.path().join(FOLDER);
        assert_eq!(python(instance.path()), Ok(None));

        symlink("/no/such/folder", &folder).unwrap();
        assert!(python(instance.path()).is_err());
        fs::remove_file(&folder).unwrap();

        fs::create_dir_all(folder.join("bin")).unwrap();
        let link = folder.join("bin/python");
        symlink("/no/such/python", &link).unwrap();
        let problem = python(instance.path()).unwrap_err();
        assert!(problem.message.contains(&*folder.to_string_lossy()), "{problem:?}");
        assert!(problem.hint.unwrap().contains("python3 -m venv --clear"));
        fs::remove_file(&link).unwrap();

        symlink("/bin/sh", &link).unwrap();
        assert_eq!(python(instance.path()), Ok(Some(link)));
    }
}
