//! Which programs run plugins here, and which versions they are.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::{Problem, venv};

/// How long a program may take to say its version: some are scripts that choose among several.
const PATIENCE: Duration = Duration::from_secs(5);

/// A program that runs plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreted {
    /// Its name for people.
    pub title: &'static str,
    /// What was looked for, and from which version on it will do.
    pub wanted: (&'static str, [u32; 2]),
    /// Where it is; absent if it is nowhere.
    pub path: Option<PathBuf>,
    /// Its version, if it says one.
    pub version: Option<[u32; 2]>,
    /// Why it cannot be used although it was meant to be.
    pub problem: Option<Problem>,
}

/// Looks for Node.js and Python: in the instance's virtual environment, at the paths that are set, else in `PATH`.
pub async fn interpreters(instance: &Path, node: Option<&Path>, python: Option<&Path>) -> [Interpreted; 2] {
    let environment = venv::python(instance);
    let (python, problem) = match &environment {
        Ok(found) => (found.as_deref().or(python), None),
        Err(problem) => (None, Some(problem.clone())),
    };
    let python = Interpreted { problem, ..look("Python 3", ("python3", [3, 10]), python).await };
    [look("Node.js", ("node", [20, 0]), node).await, python]
}

async fn look(title: &'static str, wanted: (&'static str, [u32; 2]), chosen: Option<&Path>) -> Interpreted {
    let path = which::which(chosen.unwrap_or(Path::new(wanted.0))).ok();
    let version = match &path {
        Some(path) => version(path).await,
        None => None,
    };
    Interpreted { title, wanted, path, version, problem: None }
}

async fn version(program: &Path) -> Option<[u32; 2]> {
    #[expect(clippy::disallowed_methods, reason = "runs no plugin, and ends at once or is killed")]
    let asked = Command::new(program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(PATIENCE, asked).await.ok()?.ok()?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// The first two numbers of a version, as in `v22.1.0` and `Python 3.12.1`.
fn parse(text: &str) -> Option<[u32; 2]> {
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit()).lines().next()?;
    let mut numbers = text.split('.').map(|part| part.trim().parse().ok());
    Some([numbers.next()??, numbers.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, version) in
            [("v22.1.0\n", Some([22, 1])), ("Python 3.12.1\n", Some([3, 12])), ("", None), ("node", None), ("22", None)]
        {
            assert_eq!(parse(text), version, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_nowhere_is_not_found() {
        let nowhere = Path::new("/does/not/exist");
        for found in interpreters(nowhere, Some(nowhere), Some(nowhere)).await {
            assert_eq!((found.path, found.version), (None, None), "{}", found.title);
        }
    }
}
