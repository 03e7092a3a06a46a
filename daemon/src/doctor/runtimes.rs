use std::path::Path;

use coattail::wire::doctor::Finding;

use super::finding::Area;
use crate::config::Config;
use crate::plugins::{Interpreted, interpreters};

const AREA: Area = Area("runtimes");

/// Whether there is what runs plugins. One that is missing is no failure by itself: the plugins that need it are.
pub(super) async fn check(instance: &Path, config: &Config) -> Vec<Finding> {
    let found = interpreters(instance, config.runtimes.node.as_deref(), config.runtimes.python.as_deref()).await;
    found.iter().map(judge).collect()
}

fn judge(found: &Interpreted) -> Finding {
    let Interpreted { title, wanted: (program, [major, minor]), path, version, problem } = found;
    if let Some(problem) = problem {
        return AREA.failure(title, &problem.message, problem.hint.as_deref().unwrap_or_default());
    }
    let Some(path) = path else {
        let hint = format!("install {title}, or set the path of `{program}` in config.yml, if you want to use it");
        return AREA.warning(title, format!("there is no `{program}`: plugins that need it cannot run"), hint);
    };
    match version {
        Some(version) if *version < [*major, *minor] => AREA.warning(
            title,
            format!("`{}` is version {}.{}, which is too old", path.display(), version[0], version[1]),
            format!("install {title} {major}.{minor} or later, or set its path in config.yml"),
        ),
        Some([major, minor]) => AREA.ok(title, format!("`{}` is version {major}.{minor}", path.display())),
        None => AREA.warning(
            title,
            format!("`{}` does not tell its version", path.display()),
            format!("try `{} --version`", path.display()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use coattail::wire::doctor::Level;

    use super::*;
    use crate::plugins::Problem;

    #[test]
    fn what_is_missing_or_old_is_found() {
        let broken = || Some(Problem::new("it is broken", "make it anew".to_owned()));
        for (path, version, problem, level) in [
            (Some("/bin/node"), Some([20, 0]), None, Level::Ok),
            (Some("/bin/node"), Some([22, 1]), None, Level::Ok),
            (Some("/bin/node"), Some([18, 19]), None, Level::Warning),
            (Some("/bin/node"), None, None, Level::Warning),
            (None, None, None, Level::Warning),
            (Some("/bin/node"), Some([22, 1]), broken(), Level::Failure),
        ] {
            let path = path.map(Into::into);
            let found = Interpreted { title: "Node.js", wanted: ("node", [20, 0]), path, version, problem };
            assert_eq!(judge(&found).level, level, "{found:?}");
        }
    }
}
