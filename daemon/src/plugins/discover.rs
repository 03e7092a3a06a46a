use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coattail::name::ActionName;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};
use nix::unistd::{AccessFlags, access};

use super::manifest::{Manifest, Protocol};
use super::schema::Schemas;
use super::spec::{Fingerprint, Found, Interpreter, PluginId, Problem, Spec, Unusable};
use super::{Settings, nearest, venv};

/// The file that makes a folder a plugin.
const FOLDER_MANIFEST: &str = "coattail.yml";

/// The longest `#!` line: what Linux reads of one.
const SHEBANG: u64 = 256;

/// Lists the plugins of a kind. What cannot be run is in the list, with the reason.
pub(super) fn list(settings: &Settings, kind: Kind) -> Vec<Found> {
    let folder = settings.folder(kind);
    match Scan::read(&folder) {
        Ok(scan) => scan.names().map(|name| scan.inspect(settings, kind, name)).chain(scan.nameless(kind)).collect(),
        // No such folder: then there are none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => vec![broken(kind, &folder.to_string_lossy(), Problem::new(unreadable(&folder, &error), None))],
    }
}

/// Finds one plugin. Reads the folder each time, so that a new file is found at once, but looks into those files
/// only that could be the one.
pub(super) fn find(settings: &Settings, id: &PluginId) -> Result<Arc<Spec>, Unusable> {
    let found = look_for(settings, id)
        .map_err(|failure| Unusable { is_withdrawn: failure.code == ErrorCode::NotFound, failure })?;
    match (found.spec, found.problem) {
        (Some(spec), _) => Ok(spec),
        (None, problem) => Err(problem.unwrap_or_else(|| Problem::new("it has changed", None)).of(id)),
    }
}

/// Looks at one plugin, whether or not it can be run.
pub(super) fn look_for(settings: &Settings, id: &PluginId) -> Result<Found, Failure> {
    let folder = settings.folder(id.kind);
    let scan = match Scan::read(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::new(ErrorCode::PluginBroken, unreadable(&folder, &error)));
        }
        scan => scan.unwrap_or_default(),
    };
    if !scan.contains(&id.name) {
        let missing = Failure::new(ErrorCode::NotFound, format!("there is no {id}"));
        return Err(match nearest(&id.name, scan.names()) {
            Some(name) => missing.hint(format!("did you mean `{name}`?")),
            None => missing.hint(match id.kind {
                Kind::Action => "`coattail action list` shows what there is",
                Kind::Receiver => "`coattail action list --receivers` shows what there is",
            }),
        });
    }
    Ok(scan.inspect(settings, id.kind, &id.name))
}

/// The entries of a folder by the name they give. Names only: nothing has been opened.
#[derive(Debug, Default)]
struct Scan {
    plugins: BTreeMap<String, Vec<Candidate>>,
    sidecars: BTreeMap<String, PathBuf>,
    /// What has a name that no plugin can have, and why.
    nameless: Vec<(String, Problem)>,
}

#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Node,
    Python,
    Shell,
    Executable,
    Folder,
    /// A link that leads nowhere, or to where we may not look.
    Dangling,
}

impl Scan {
    fn read(folder: &Path) -> io::Result<Self> {
        let mut scan = Self::default();
        for entry in fs::read_dir(folder)? {
            scan.add(&entry?);
        }
        scan.plugins.values_mut().for_each(|same| same.sort_by(|a, b| a.path.cmp(&b.path)));
        scan.nameless.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(scan)
    }

    fn add(&mut self, entry: &DirEntry) {
        let (path, file_name) = (entry.path(), entry.file_name());
        let Some(text) = file_name.to_str() else {
            let shown = file_name.to_string_lossy();
            if !is_ignored(&shown) {
                let problem = Problem::new(format!("the name of {path:?} is not UTF-8"), Some("rename it".to_owned()));
                self.nameless.push((shown.into_owned(), problem));
            }
            return;
        };
        if is_ignored(text) {
            return;
        }
        let (stem, shape) = match shape(&path, text, entry) {
            Some(Shape::Folder) => (text, Shape::Folder),
            Some(Shape::Executable) if text.ends_with(".yml") => {
                let stem = text.trim_end_matches(".yml");
                if let Ok(name) = ActionName::new(stem) {
                    self.sidecars.insert(name.as_str().to_owned(), path);
                }
                return;
            }
            Some(shape) => (stem(text), shape),
            None => return,
        };
        // Actions and receivers are named alike.
        match ActionName::new(stem) {
            Ok(name) => self.plugins.entry(name.as_str().to_owned()).or_default().push(Candidate { path, shape }),
            Err(error) => {
                let problem = Problem::new(format!("{path:?} gives no name: {error}"), Some("rename it".to_owned()));
                self.nameless.push((stem.to_owned(), problem));
            }
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.plugins.contains_key(name) || self.sidecars.contains_key(name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let alone = self.sidecars.keys().filter(|name| !self.plugins.contains_key(*name));
        self.plugins.keys().chain(alone).map(String::as_str)
    }

    fn nameless(&self, kind: Kind) -> impl Iterator<Item = Found> {
        self.nameless.iter().map(move |(name, problem)| broken(kind, name, problem.clone()))
    }

    /// Looks into what gives this name.
    fn inspect(&self, settings: &Settings, kind: Kind, name: &str) -> Found {
        let sidecar = self.sidecars.get(name);
        let candidates = self.plugins.get(name).map_or(&[][..], Vec::as_slice);
        let candidate = match candidates {
            [candidate] => candidate,
            [] => {
                let shown = sidecar.map(|path| path.display().to_string()).unwrap_or_default();
                let problem = format!("`{shown}` stands beside no plugin");
                let hint = format!("it is for a file such as `{name}.js`, `{name}.py` or `{name}.sh`");
                return broken(kind, name, Problem::new(problem, hint).withdrawn());
            }
            several => {
                let files = several.iter().map(|one| format!("`{}`", one.path.display())).collect::<Vec<_>>();
                let problem = format!("{} have one name", files.join(" and "));
                let hint = "rename or remove all but one".to_owned();
                return broken(kind, name, Problem::new(problem, hint).withdrawn());
            }
        };
        let id = Arc::new(PluginId { kind, name: name.to_owned() });
        let path = Some(candidate.path.clone());
        let runtime = Some(match candidate.shape {
            Shape::Node => "node",
            Shape::Python => "python",
            Shape::Shell => "sh",
            _ => "executable",
        });
        let manifest_path = match candidate.shape {
            Shape::Folder => candidate.path.join(FOLDER_MANIFEST),
            _ => sidecar.cloned().unwrap_or_else(|| candidate.path.with_file_name(format!("{name}.yml"))),
        };
        let manifest = match Manifest::read(&manifest_path) {
            Ok(manifest) => manifest,
            Err(error) => {
                let problem = Problem::new(format!("`{}` {error}", manifest_path.display()), error.hint());
                return Found { path, runtime, ..broken(kind, name, problem) };
            }
        };
        let description = manifest.description.clone();
        match specify(settings, id, candidate, manifest, &manifest_path) {
            Ok(spec) => {
                let (input, output) = spec.schemas.texts();
                let (name, spec) = (name.to_owned(), Some(Arc::new(spec)));
                Found { name, kind, path, runtime, description, input, output, problem: None, spec }
            }
            Err(problem) => Found { path, runtime, description, ..broken(kind, name, problem) },
        }
    }
}

/// Decides how a plugin is run, and whether it can be.
fn specify(
    settings: &Settings,
    id: Arc<PluginId>,
    Candidate { path, shape }: &Candidate,
    manifest: Manifest,
    manifest_path: &Path,
) -> Result<Spec, Problem> {
    let plain = match manifest.protocol {
        Some(protocol) => protocol == Protocol::Plain,
        None => *shape == Shape::Shell,
    };
    let home = if *shape == Shape::Folder { path.as_path() } else { path.parent().unwrap_or(path) };
    let command = manifest.command.as_deref().map(|command| resolve(command, home)).transpose()?;
    let mut interpreter = Interpreter::None;
    let argv = match shape {
        Shape::Node => {
            interpreter = if plain { Interpreter::None } else { Interpreter::NodeRunner };
            command.map_or_else(|| runtime(settings.node.as_deref(), "node", "Node.js"), Ok)?
        }
        Shape::Python => {
            interpreter = if plain { Interpreter::None } else { Interpreter::PythonRunner };
            command.map_or_else(|| python(settings), Ok)?
        }
        Shape::Shell => match command.map_or_else(|| shebang(path), Ok)? {
            empty if empty.is_empty() => runtime(settings.sh.as_deref(), "sh", "a shell")?,
            argv => argv,
        },
        Shape::Executable => match command {
            Some(command) => command,
            None if access(path, AccessFlags::X_OK).is_ok() => Vec::new(),
            None => {
                return Err(Problem::new(
                    format!("`{}` is not executable", path.display()),
                    format!(
                        "run `chmod +x '{}'`, or move the file elsewhere if it is no {}",
                        path.display(),
                        id.kind.as_str()
                    ),
                )
                .withdrawn());
            }
        },
        Shape::Folder => command.ok_or_else(|| {
            Problem::new(
                format!("`{}` has no `command`", manifest_path.display()),
                Some("say how it is run, such as `command: [python3, main.py]`".to_owned()),
            )
        })?,
        Shape::Dangling => {
            return Err(Problem::new(format!("`{}` is a link that leads nowhere", path.display()), None).withdrawn());
        }
    };
    for (key, is_there, why) in [
        ("a `retry`", manifest.retry.is_some(), "only receivers are called again"),
        ("an `order_key`", manifest.order_key.is_some(), "only receivers handle publications"),
    ] {
        if id.kind == Kind::Action && is_there {
            let problem = format!("`{}` has {key}, and {why}", manifest_path.display());
            return Err(Problem::new(problem, "remove it".to_owned()));
        }
    }
    let schemas = schemas(id.kind, &manifest, manifest_path)?;
    let is_folder = *shape == Shape::Folder;
    let program = argv.first().filter(|_| is_folder).map(Path::new);
    let environment = (*shape == Shape::Python).then(|| venv::traces(&settings.instance));
    // What is in a folder stands for the folder, whose own times change with all that is not looked at.
    let mut files = vec![manifest_path, program.unwrap_or(path)];
    files.extend(environment.iter().flatten().map(PathBuf::as_path));
    let fingerprint = Fingerprint::of(&files);
    Ok(Spec {
        fingerprint: if is_folder { fingerprint.and_tree(path) } else { fingerprint },
        id,
        interpreter,
        argv,
        file: (!is_folder).then(|| path.clone()),
        folder: if is_folder { path.clone() } else { settings.instance.clone() },
        plain,
        manifest,
        schemas,
    })
}

/// Prepares the schemas of a sidecar.
fn schemas(kind: Kind, manifest: &Manifest, manifest_path: &Path) -> Result<Schemas, Problem> {
    if kind == Kind::Receiver && manifest.output.is_some() {
        let problem = format!("`{}` has an `output`, and a receiver returns nothing", manifest_path.display());
        return Err(Problem::new(problem, "remove it".to_owned()));
    }
    Schemas::of_sidecar(manifest.input.as_ref(), manifest.output.as_ref()).map_err(|(side, error)| {
        let problem = format!("the `{side}` schema in `{}` {error}", manifest_path.display());
        Problem::new(problem, "it is to be a JSON Schema; what it refers to must stand in it".to_owned())
    })
}

/// The program of a `command`: a path from where the manifest is about, or looked for in `PATH`.
fn resolve(command: &[String], home: &Path) -> Result<Vec<OsString>, Problem> {
    let (program, arguments) = command.split_first().expect("an empty command is refused when it is read");
    let found = if program.contains('/') { which::which(home.join(program)) } else { which::which(program) };
    let program = found.map_err(|_| {
        Problem::new(
            format!("there is no program `{program}`"),
            Some("install it, or give its path in `command`".to_owned()),
        )
    })?;
    Ok(std::iter::once(program.into_os_string()).chain(arguments.iter().map(OsString::from)).collect())
}

/// The Python of the instance's virtual environment, if it has one, else the one that is set or installed.
fn python(settings: &Settings) -> Result<Vec<OsString>, Problem> {
    match venv::python(&settings.instance)? {
        Some(path) => Ok(vec![path.into_os_string()]),
        None => runtime(settings.python.as_deref(), "python3", "Python 3"),
    }
}

fn runtime(chosen: Option<&Path>, program: &str, title: &str) -> Result<Vec<OsString>, Problem> {
    match chosen {
        Some(path) => which::which(path).map_err(|_| {
            Problem::new(
                format!("`{}`, which is set to run it, is no program", path.display()),
                Some("correct the path in `config.yml`".to_owned()),
            )
        }),
        None => which::which(program).map_err(|_| {
            Problem::new(
                format!("{title} is not installed: there is no `{program}` in PATH"),
                format!("install {title}, or set the path of `{program}` in `config.yml`"),
            )
        }),
    }
    .map(|path| vec![path.into_os_string()])
}

/// The `#!` line of a script as program and argument, or nothing.
fn shebang(path: &Path) -> Result<Vec<OsString>, Problem> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SHEBANG).read_to_end(&mut start))
        .map_err(|error| Problem::new(unreadable(path, &error), None))?;
    let line = start.split(|&byte| byte == b'\n').next().and_then(|line| line.strip_prefix(b"#!"));
    let line = String::from_utf8_lossy(line.unwrap_or_default()).trim().to_owned();
    // As the kernel does it: the program, and the rest as one argument.
    let (program, argument) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
    let argv: Vec<OsString> =
        [program, argument.trim()].into_iter().filter(|part| !part.is_empty()).map(OsString::from).collect();
    match argv.first() {
        Some(program) if which::which(program).is_err() => Err(Problem::new(
            format!("there is no program {program:?}, which `{}` names in its first line", path.display()),
            Some("install it, or correct the line".to_owned()),
        )),
        _ => Ok(argv),
    }
}

/// What an entry is, by its name and type; `None` for what is no plugin at all.
fn shape(path: &Path, name: &str, entry: &DirEntry) -> Option<Shape> {
    let listed = entry.file_type().ok()?;
    // A link may lead out of the instance: its owner has put it there.
    let kind = if listed.is_symlink() { fs::metadata(path).map(|data| data.file_type()) } else { Ok(listed) };
    let Ok(kind) = kind else { return Some(Shape::Dangling) };
    if kind.is_dir() {
        // Any other folder holds what plugins share.
        return path.join(FOLDER_MANIFEST).is_file().then_some(Shape::Folder);
    }
    kind.is_file().then(|| match Path::new(name).extension().and_then(OsStr::to_str) {
        Some("js" | "cjs" | "mjs") => Shape::Node,
        Some("py") => Shape::Python,
        Some("sh") => Shape::Shell,
        _ => Shape::Executable,
    })
}

/// A file name without its extension. Only the last one goes, and only if it looks like one: `a.json.js` gives
/// `a.json`, and `v1.2` stays.
fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty()
                && extension.len() <= 8
                && extension.starts_with(|c: char| c.is_ascii_alphabetic())
                && extension.chars().all(|c| c.is_ascii_alphanumeric()) =>
        {
            stem
        }
        _ => name,
    }
}

/// Hidden files, and what editors leave behind.
pub(super) fn is_ignored(name: &str) -> bool {
    name.starts_with('.')
        || name.ends_with('~')
        || [".swp", ".swo", ".swx", ".bak", ".orig", ".tmp", ".pyc"].iter().any(|end| name.ends_with(end))
        || (name.starts_with('#') && name.ends_with('#'))
}

fn broken(kind: Kind, name: &str, problem: Problem) -> Found {
    let (name, problem) = (name.to_owned(), Some(problem));
    Found { name, kind, path: None, runtime: None, description: None, input: None, output: None, problem, spec: None }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("`{}` cannot be read: {error}", path.display())
}

#[cfg(test)]
mod tests;
