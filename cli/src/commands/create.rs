//! Writes an action or a receiver from a template.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use coattail::name::ActionName;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};
use serde::Serialize;

use crate::args::{CreateAction, Language};
use crate::context::Context;
use crate::error::because;
use crate::local;
use crate::output::{Field, Record};

/// Sidecar files describe a plugin and are none.
const SIDECAR: &str = "yml";

#[derive(Serialize)]
struct CreatedPlugin<'a> {
    id: &'a str,
    kind: Kind,
    path: String,
}

impl Record for CreatedPlugin<'_> {
    fn fields(&self) -> Vec<Field> {
        vec![("name", self.id.to_owned()), ("kind", self.kind.as_str().to_owned()), ("path", self.path.clone())]
    }
}

pub(super) fn run(context: &Context, args: &CreateAction) -> Result<(), Failure> {
    let name = args.name.get();
    let kind = if args.receiver { Kind::Receiver } else { Kind::Action };
    let path = create_plugin(&context.instance()?, kind, name, args.language)?;
    let path = path.display().to_string();
    context.printer.record(&CreatedPlugin { id: name.as_str(), kind, path })
}

/// Writes the template under a name that nothing in the folder has, in whatever language.
pub(crate) fn create_plugin(
    instance: &Path,
    kind: Kind,
    name: &ActionName,
    language: Language,
) -> Result<PathBuf, Failure> {
    let folder = local::plugin_folder(instance, kind)?;
    let failed = |error: io::Error| {
        because(
            ErrorCode::Internal,
            format!("could not make the {} `{name}` in `{}`", kind.as_str(), folder.display()),
            error,
        )
        .hint("check the folder, its permissions, and the space on its disk")
    };
    if let Some(existing) = find(&folder, name).map_err(failed)? {
        return Err(taken(kind, name, &existing));
    }
    let (template, extension) = template(kind, language);
    let path = folder.join(format!("{name}.{extension}"));
    // Under a name with a dot, which is no plugin, until it is whole: a kill leaves nothing that runs.
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&folder).map_err(failed)?;
    file.write_all(template.as_bytes()).map_err(failed)?;
    let mode = if language == Language::Sh { 0o755 } else { 0o644 };
    fs::set_permissions(file.path(), Permissions::from_mode(mode)).map_err(failed)?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(taken(kind, name, &path)),
        Err(error) => Err(failed(error.error)),
    }
}

fn taken(kind: Kind, name: &ActionName, existing: &Path) -> Failure {
    because(
        ErrorCode::AlreadyExists,
        format!("there is {} {} `{name}` already", if kind == Kind::Action { "an" } else { "a" }, kind.as_str()),
        format!("it is `{}`", existing.display()),
    )
    .hint("choose another name, or remove that file")
}

/// What has this name in a folder.
fn find(folder: &Path, name: &ActionName) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == SIDECAR) && !path.is_dir() {
            continue;
        }
        let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let is_same = |stem: &str| ActionName::new(stem).is_ok_and(|other| other == *name);
        if stem.and_then(|stem| stem.to_str()).is_some_and(is_same) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn template(kind: Kind, language: Language) -> (&'static str, &'static str) {
    match (kind, language) {
        (Kind::Action, Language::Js) => (include_str!("../../templates/action.js"), "js"),
        (Kind::Action, Language::Py) => (include_str!("../../templates/action.py"), "py"),
        (Kind::Action, Language::Sh) => (include_str!("../../templates/action.sh"), "sh"),
        (Kind::Receiver, Language::Js) => (include_str!("../../templates/receiver.js"), "js"),
        (Kind::Receiver, Language::Py) => (include_str!("../../templates/receiver.py"), "py"),
        (Kind::Receiver, Language::Sh) => (include_str!("../../templates/receiver.sh"), "sh"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        // Everything in it has its default.
        fs::write(folder.path().join("config.yml"), "").expect("a file in it");
        for kind in ["actions", "receivers"] {
            fs::create_dir(folder.path().join(kind)).expect("a folder in it");
        }
        folder
    }

    fn name(text: &str) -> ActionName {
        ActionName::new(text).expect("a name")
    }

    #[test]
    fn a_template_is_written_in_each_language() {
        let instance = instance();
        for (kind, language, file, mode) in [
            (Kind::Action, Language::Js, "actions/My Action.js", 0o644),
            (Kind::Receiver, Language::Py, "receivers/My Action.py", 0o644),
        ] {
            let path = create_plugin(instance.path(), kind, &name("My Action"), language).expect(file);
            assert_eq!(path, instance.path().join(file));
            assert_eq!(fs::read_to_string(&path).expect("text"), template(kind, language).0);
            assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, mode);
        }
        let script = create_plugin(instance.path(), Kind::Action, &name("x.y"), Language::Sh).expect("a script");
        assert_eq!(script.metadata().expect("a file").permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(instance.path().join("actions")).expect("a folder").count(), 2);
    }

    #[test]
    fn a_name_is_taken_once_whatever_the_language() {
        let instance = instance();
        let actions = instance.path().join("actions");
        fs::write(actions.join("Cafe\u{301}.rb"), "").expect("a file");
        fs::write(actions.join("described.yml"), "").expect("a file");
        fs::create_dir(actions.join("folder.d")).expect("a folder");
        for taken in ["Café", "folder.d"] {
            let failure = create_plugin(instance.path(), Kind::Action, &name(taken), Language::Js).expect_err(taken);
            assert_eq!(failure.code, ErrorCode::AlreadyExists);
        }
        for free in ["described", "folder"] {
            create_plugin(instance.path(), Kind::Action, &name(free), Language::Js).expect(free);
        }
    }
}
