use std::os::unix::fs::{PermissionsExt as _, symlink};

use coattail::id::IssuerHash;

use super::*;

struct Instance {
    folder: tempfile::TempDir,
    settings: Settings,
}

impl Instance {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("actions")).unwrap();
        let settings = Settings::new(folder.path().to_owned(), IssuerHash::of_public_key("key"));
        Self { folder, settings }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("actions").join(name)
    }

    fn file(&self, name: impl AsRef<Path>, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn list(&self) -> Vec<(String, Option<&'static str>, Option<String>)> {
        let found = list(&self.settings, Kind::Action);
        found.into_iter().map(|one| (one.name, one.runtime, one.problem.map(|problem| problem.message))).collect()
    }

    fn find(&self, name: &str) -> Result<Arc<Spec>, Failure> {
        Ok(find(&self.settings, &PluginId { kind: Kind::Action, name: name.to_owned() })?)
    }
}

#[test]
fn files_are_plugins_by_their_suffix() {
    let instance = Instance::new();
    for (file, name, runtime) in [
        ("My Action.js", "My Action", "node"),
        ("foo.json.js", "foo.json", "node"),
        ("m.mjs", "m", "node"),
        ("Café Report (täglich).py", "Café Report (täglich)", "python"),
        ("backup.sh", "backup", "sh"),
        ("tool.rb", "tool", "executable"),
        ("deploy-1.2", "deploy-1.2", "executable"),
    ] {
        let path = instance.file(file, "#!/bin/sh\n", 0o755);
        assert_eq!(instance.list(), [(name.to_owned(), Some(runtime), None)]);
        assert_eq!(instance.find(name).unwrap().file.as_deref(), Some(path.as_path()));
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_is_no_plugin_is_passed_over() {
    let instance = Instance::new();
    for file in [".hidden.js", "a.js~", ".a.js.swp", "#a.js#", "lib/helper.js", "node_modules/x/index.js"] {
        instance.file(file, "", 0o755);
    }
    assert_eq!(instance.list(), []);
    fs::remove_dir_all(instance.path("")).unwrap();
    assert_eq!(instance.list(), []);
    assert_eq!(instance.find("a").unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn r11_one_broken_plugin_leaves_the_others() {
    use std::os::unix::ffi::OsStrExt as _;
    let instance = Instance::new();
    instance.file("good.sh", "", 0o644);
    let twice = [instance.file("twice.js", "", 0o644), instance.file("twice.py", "", 0o644)];
    let data = instance.file("data.bin", "", 0o644);
    let typo = instance.file("good2.sh", "", 0o644).with_file_name("good2.yml");
    fs::write(&typo, "timout: 1").unwrap();
    let alone = instance.file("alone.yml", "timeout: 1", 0o644);
    let bang = instance.file("bang.sh", "#!/no/such/program -x\n", 0o644);
    let bare = instance.file("folder/coattail.yml", "description: x", 0o644);
    let link = instance.path("link.js");
    symlink("/no/such/file", &link).unwrap();
    instance.file(OsStr::from_bytes(b"\xff.js"), "", 0o644);
    instance.file("turned\u{202e}.js", "", 0o644);
    let problems: BTreeMap<_, _> = instance.list().into_iter().map(|(name, _, problem)| (name, problem)).collect();
    for (name, problem) in [
        ("twice", format!("`{}` and `{}` have one name", twice[0].display(), twice[1].display())),
        ("data", format!("`{}` is not executable", data.display())),
        ("good2", format!("`{}` has an unknown key `timout`", typo.display())),
        ("alone", format!("`{}` stands beside no plugin", alone.display())),
        (
            "bang",
            format!("there is no program \"/no/such/program\", which `{}` names in its first line", bang.display()),
        ),
        ("folder", format!("`{}` has no `command`", bare.display())),
        ("link", format!("`{}` is a link that leads nowhere", link.display())),
    ] {
        assert_eq!(problems[name].as_deref(), Some(&*problem));
        let failure = instance.find(name).unwrap_err();
        assert_eq!(failure.code, ErrorCode::PluginBroken);
        assert!(failure.message.ends_with(&problem), "{failure}");
    }
    assert_eq!(problems["good"], None);
    assert_eq!(problems.len(), 10, "{problems:#?}");
}

#[test]
fn a_missing_runtime_names_what_to_install() {
    let mut instance = Instance::new();
    instance.settings.node = Some("/no/such/node".into());
    instance.file("a.js", "", 0o644);
    let failure = instance.find("a").unwrap_err();
    assert!(failure.message.contains("`/no/such/node`"), "{failure}");
    assert_eq!(failure.hint.as_deref(), Some("correct the path in `config.yml`"));
}

#[test]
fn the_command_of_a_plugin_follows_from_its_file_or_its_sidecar() {
    let instance = Instance::new();
    let plain = instance.file("a.sh", "#!/usr/bin/env sh\n", 0o644);
    let spec = instance.find("a").unwrap();
    assert_eq!((spec.argv.as_slice(), spec.plain), (&["/usr/bin/env".into(), "sh".into()][..], true));
    fs::write(plain.with_file_name("a.yml"), "command: [sh, -eu]\nprotocol: json-rpc").unwrap();
    let spec = instance.find("a").unwrap();
    assert!(spec.argv[0].to_string_lossy().ends_with("/sh") && spec.argv[1] == "-eu" && !spec.plain);

    let run = instance.file("tool/bin/run", "#!/bin/sh\n", 0o755);
    instance.file("tool/coattail.yml", "command: [bin/run, -v]\ndescription: A tool", 0o644);
    let spec = instance.find("tool").unwrap();
    assert_eq!(spec.argv, [run.into_os_string(), "-v".into()]);
    assert_eq!((spec.file.as_ref(), spec.folder.as_path()), (None, instance.path("tool").as_path()));
    assert_eq!(list(&instance.settings, Kind::Action)[1].description.as_deref(), Some("A tool"));
}

#[test]
fn a_name_is_looked_up_and_never_a_path() {
    let instance = Instance::new();
    let outside = instance.file("../outside.sh", "", 0o755);
    for name in ["../outside", "../outside.sh", "/bin/sh", ""] {
        assert_eq!(instance.find(name).unwrap_err().code, ErrorCode::NotFound, "{name}");
    }
    // Its owner may link to anywhere.
    symlink(&outside, instance.path("linked.sh")).unwrap();
    assert!(instance.find("linked").is_ok());
}

#[test]
fn a_mistyped_name_is_recognised() {
    let instance = Instance::new();
    instance.file("Daily Report.sh", "", 0o644);
    let failure = instance.find("daily reprot").unwrap_err();
    assert_eq!(failure.hint.as_deref(), Some("did you mean `Daily Report`?"));
    assert_eq!(instance.find("zzz").unwrap_err().hint.as_deref(), Some("`coattail action list` shows what there is"));
}

#[test]
fn a_changed_file_has_another_fingerprint() {
    let instance = Instance::new();
    instance.file("a.sh", "one", 0o644);
    let fingerprint = || instance.find("a").unwrap().fingerprint.clone();
    let before = fingerprint();
    assert_eq!(fingerprint(), before);
    instance.file("a.sh", "three", 0o644);
    let after = fingerprint();
    assert_ne!(after, before);
    instance.file("a.yml", "timeout: 1", 0o644);
    assert_ne!(fingerprint(), after);
}

#[test]
fn who_asks_for_what_is_missing_is_told_where_to_look() {
    let instance = Instance::new();
    for (kind, command) in
        [(Kind::Action, "`coattail action list`"), (Kind::Receiver, "`coattail action list --receivers`")]
    {
        let failure: Failure =
            find(&instance.settings, &PluginId { kind, name: "none".to_owned() }).unwrap_err().into();
        assert!(failure.hint.as_ref().is_some_and(|hint| hint.starts_with(command)), "{failure:?}");
    }
}
