//! What whoever writes plugins has to work with: tests of the present files, fixtures, records, a temporary instance.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use coattail_tests::wait::PATIENCE;
use coattail_tests::{Cluster, Instance, until};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// An action that says something, prints something, and says which version it is.
fn greeter(version: u32) -> String {
    format!(
        "import sys\nimport coattail\n\n@coattail.action\ndef greet(data, context):\n    \
         context.log.warning('said')\n    print('printed', file=sys.stderr, flush=True)\n    \
         return {{'version': {version}, 'given': data}}\n"
    )
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn a_test_runs_the_present_files_beside_the_pool() {
    let mut instance = Instance::new("testing");
    instance.plugin("actions/Greet.py", &greeter(1));
    for is_running in [false, true] {
        if is_running {
            instance.start();
            assert_eq!(instance.json(&["action", "perform", "Greet"])["result"]["version"], 1);
            let before = instance.json(&["action", "show", "Greet"]);
            instance.plugin("actions/Greet.py", &greeter(2));
            let tested = instance.json(&["action", "test", "Greet", "--data", "[1]"]);
            assert_eq!(tested["result"], json!({"version": 2, "given": [1]}));
            let after = instance.json(&["action", "show", "Greet"]);
            assert_eq!(after["counts"]["calls"], before["counts"]["calls"], "the pool was not asked");
        }
        let output = instance.run(&["action", "test", "Greet", "--data", "\"x\""]).ok();
        assert!(output.stdout.contains("\"given\": \"x\""), "{output:?}");
        for words in ["warn: said", "printed", "loaded in ", ", done in "] {
            assert!(output.stderr.contains(words), "{words}: {output:?}");
        }
        let tested = instance.json(&["action", "test", "Greet"]);
        assert!(tested["load_ms"].as_f64() > Some(0.0) && tested["call_ms"].as_f64() > Some(0.0), "{tested}");
    }
}

#[test]
fn a_test_fails_as_a_call_would() {
    let instance = Instance::new("failing");
    instance.plugin("actions/Greet.py", &greeter(1));
    instance.plugin("actions/Greet.yml", "input: {type: string}\noutput: {required: [version]}\n");
    instance.run(&["action", "test", "Greet", "--data", "1", "--json"]).failed(2, "invalid-input");
    instance.plugin("actions/Greet.yml", "output: {required: [more]}\n");
    instance.run(&["action", "test", "Greet", "--json"]).failed(1, "failed");
    instance.plugin("actions/Greet.py", "this is no Python");
    let broken = instance.run(&["action", "test", "Greet", "--json"]).failed(1, "plugin-broken");
    assert!(broken["message"].as_str().is_some_and(|text| text.contains("does not start")), "{broken}");
    instance.run(&["action", "test", "Gret", "--json"]).failed(5, "not-found");
    instance.plugin("actions/slow.sh", "#!/bin/sh\nsleep 60\n");
    instance.run(&["action", "test", "slow", "--timeout", "200ms", "--json"]).failed(124, "timed-out");
    // A plain receiver that rejects, and what it is told of a publication that it was not given.
    instance.plugin("receivers/keep.sh", "#!/bin/sh\necho \"$COATTAIL_PUBLICATION_SEQUENCE\" >&2\nexit 65\n");
    let output = instance.run(&["action", "test", "keep", "--receiver"]).exited(1);
    assert!(output.stderr.starts_with("1\n"), "{output:?}");
}

#[test]
fn fixtures_are_checked_one_by_one() {
    let instance = Instance::new("fixtures");
    instance.plugin(
        "actions/Double.py",
        "import coattail\n\n@coattail.action\ndef double(data):\n    return {'double': 2 * data}\n",
    );
    let folder = instance.path("fixtures");
    fs::create_dir(&folder).expect("made");
    let fixture = |name: &str, text: &str| fs::write(folder.join(name), text).expect("written");
    fixture("1.json", r#"{"input": 2, "output": {"double": 4.0}}"#);
    fixture("2.json", r#"{"input": null, "error": {"code": "failed", "message": "unsupported"}}"#);
    fixture("not-one.txt", "");
    let test = ["action", "test", "Double", "--fixtures", folder.to_str().expect("UTF-8")];
    let output = instance.run(&test).ok();
    assert_eq!(output.stdout.lines().filter(|line| line.starts_with("ok ")).count(), 2, "{output:?}");
    assert!(output.stderr.ends_with("2 of 2 as expected\n"), "{output:?}");

    fixture("3.json", r#"{"input": 3, "output": {"double": 7}}"#);
    let output = instance.run(&test).exited(1);
    assert!(output.stdout.lines().any(|line| line.starts_with("failed") && line.contains("3.json")), "{output:?}");
    assert!(
        output.stderr.contains("3.json:\n  - expected, + got\n    {\n  -   \"double\": 7\n  +   \"double\": 6\n"),
        "{output:?}"
    );
    let checked = instance.run(&[&test[..], &["--json"]].concat()).exited(1).json();
    let ok: Vec<&Value> = checked.as_array().expect("a list").iter().map(|one| &one["ok"]).collect();
    assert_eq!(ok, [&json!(true), &json!(true), &json!(false)]);

    fixture("4.json", r#"{"input": 3, "ouput": 6}"#);
    let failure = instance.run(&[&test[..], &["--json"]].concat()).failed(2, "usage");
    assert!(failure["message"].as_str().is_some_and(|text| text.contains("4.json")), "{failure}");
}

#[test]
fn real_publications_become_fixtures() {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/Log.sh", "#!/bin/sh\ncat\n");
    cluster.subscriber.plugin(
        "receivers/keep.py",
        "import coattail\n\n@coattail.receiver\ndef keep(data):\n    assert data['n'] < 3\n",
    );
    cluster.subscriber.plugin("receivers/reject.sh", "#!/bin/sh\nexit 65\n");
    for receiver in ["keep", "reject"] {
        cluster.subscribe("Log", receiver);
    }
    // What a receiver handles is recorded while it comes.
    let folder = |name: &str| cluster.subscriber.path(name).to_str().expect("UTF-8").to_owned();
    let following = cluster.subscriber.begin(&[
        "record",
        "--receiver",
        "keep",
        "--to",
        &folder("followed"),
        "--count",
        "2",
        "--follow",
    ]);
    until("somebody looks on", || {
        cluster.publish("Log", "{\"n\": 1.0}");
        fs::read_dir(folder("followed")).ok()
    });
    cluster.publish("Log", "{\"n\": 2}");
    assert!(following.finish().ok().stdout.contains("written  2"));
    assert_eq!(names(Path::new(&folder("followed"))).len(), 2);

    // What was given up is recorded afterwards, and is a test of that receiver.
    cluster.subscriber.wait_for("dead", 2);
    let record = ["record", "--receiver", "reject", "--to", &folder("dead"), "--count", "2"];
    assert_eq!(cluster.subscriber.json(&record)["written"], 2);
    let again = cluster.subscriber.json(&record);
    assert_eq!((&again["written"], &again["skipped"]), (&json!(0), &json!(2)));
    assert_eq!(cluster.subscriber.json(&[&record[..], &["--force"]].concat())["written"], 2);
    let kept = names(Path::new(&folder("dead")));
    let path = Path::new(&folder("dead")).join(&kept[0]);
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let fixture: Value = serde_json::from_str(&fs::read_to_string(&path).expect("there")).expect("JSON");
    assert_eq!(fixture["publication"]["action"], "Log");
    assert!(kept[0].ends_with(&format!("-{}.json", fixture["publication"]["id"].as_str().expect("an id"))));
    let _ = cluster.subscriber.run(&["action", "test", "keep", "--receiver", "--fixtures", &folder("dead")]).ok();
    let _ =
        cluster.subscriber.run(&["action", "test", "reject", "--receiver", "--fixtures", &folder("dead")]).exited(1);

    // The publisher has them in its own log, byte for byte.
    let own = cluster.publisher.path("own");
    let record = ["record", "--action", "Log", "--to", own.to_str().expect("UTF-8"), "--count", "100"];
    assert!(cluster.publisher.json(&record)["written"].as_u64() >= Some(2));
    let first = fs::read_to_string(own.join(&names(&own)[0])).expect("there");
    assert!(first.contains("\"input\": {\"n\": 1.0}"), "{first}");
    cluster.publisher.run(&["record", "--action", "None", "--to", "x", "--json"]).failed(5, "not-found");
}

/// `coattail dev`, on a terminal or without one, and what it shows.
struct Dev {
    home: TempDir,
    child: Child,
    terminal: Option<fs::File>,
    lines: Receiver<String>,
    shown: Vec<String>,
    instance: String,
}

impl Dev {
    /// Runs it around a folder with this action in it.
    #[track_caller]
    fn start(action: &str, text: &str, arguments: &[&str], on_terminal: bool) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let temporary = home.path().join("tmp");
        fs::create_dir(&temporary).expect("made");
        fs::create_dir(home.path().join("plugins")).expect("made");
        fs::write(home.path().join("plugins").join(action), text).expect("written");
        let maker = Instance::new("unused");
        let mut command = maker.command(&[&["dev", "plugins"], arguments].concat());
        command
            .current_dir(home.path())
            .env("TMPDIR", &temporary)
            .env("TERM", "dumb")
            .env("XDG_RUNTIME_DIR", home.path());
        let (child, terminal, output): (_, _, Box<dyn std::io::Read + Send>) = if on_terminal {
            let pty = openpty(None, None).expect("a terminal");
            let copy = || pty.slave.try_clone().expect("a copy");
            let child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("it starts");
            // The command has copies of the other end, which must go, or the terminal never ends.
            drop(command);
            let master = fs::File::from(pty.master);
            (child, Some(master.try_clone().expect("a copy")), Box::new(master))
        } else {
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
            let stdout = child.stdout.take().expect("piped");
            (child, None, Box::new(stdout))
        };
        let (tell, lines) = sync_channel(4096);
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| _ = tell.send(line));
        });
        let mut dev = Self { home, child, terminal, lines, shown: Vec::new(), instance: String::new() };
        let line = dev.wait_for("instance /");
        dev.instance = line.trim_end().trim_end_matches("\"}").rsplit(' ').next().expect("a path").to_owned();
        dev
    }

    /// Reads on until a line with these words.
    #[track_caller]
    fn wait_for(&mut self, words: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.shown.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(_) => panic!("no {words:?} in\n{}", self.shown.join("\n")),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.terminal.as_mut().expect("on a terminal").write_all(keys.as_bytes()).expect("it is there");
    }

    /// As an editor does it: whole or not at all.
    fn edit(&self, action: &str, text: &str) {
        let folder = self.home.path().join("plugins");
        fs::write(folder.join(".draft"), text).expect("written");
        fs::rename(folder.join(".draft"), folder.join(action)).expect("renamed");
    }

    /// It has to end by itself, and to leave nothing behind but what was there.
    #[track_caller]
    fn ended(mut self, left: &[&str]) {
        let child = &mut self.child;
        let status = until("it to end", || child.try_wait().expect("it is ours"));
        assert!(status.success(), "{status}: {}", self.shown.join("\n"));
        assert_eq!(names(&self.home.path().join("tmp")), [] as [String; 0]);
        assert_eq!(names(&self.home.path().join("plugins")), left);
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_developer_sees_at_once_what_a_change_does() {
    let mut dev = Dev::start("Greet.py", &greeter(1), &["--perform", "Greet", "--data", "\"Ada\"", "--replay"], true);
    dev.wait_for("q quits");
    dev.wait_for("action ready");
    dev.wait_for("\"version\": 1");
    dev.edit("Greet.py", &greeter(2));
    dev.wait_for("the new version runs");
    dev.wait_for("\"version\": 2");
    dev.edit("Greet.py", "broken(");
    let line = dev.wait_for("action broken");
    assert!(line.contains("Greet") && line.contains("does not start"), "{line}");
    dev.edit("Greet.py", &greeter(3));
    dev.wait_for("\"version\": 3");
    dev.press("r");
    dev.wait_for("\"given\": \"Ada\"");
    dev.wait_for("done in");
    dev.press("l");
    dev.wait_for("RUNTIME");
    dev.wait_for("python");
    dev.press("q");
    dev.ended(&["Greet.py"]);
}

#[test]
fn what_is_performed_from_elsewhere_can_be_repeated() {
    let mut dev = Dev::start("Count.sh", "wc -c\n", &[], true);
    dev.press("\n");
    dev.wait_for("there is no last call yet");
    let other = Instance::new("other");
    let perform = ["action", "perform", "Count", "--data", "\"four\"", "--instance", &dev.instance];
    assert_eq!(other.run_outside(&perform).ok().stdout, "7\n");
    // What was given is told beside the answer, in no order.
    let mut repeated = String::new();
    until("the call is known", || {
        dev.press("r");
        repeated = dev.lines.recv_timeout(Duration::from_secs(1)).ok()?;
        (repeated.trim_end() == "7").then_some(())
    });
    dev.press("q");
    dev.ended(&["Count.sh"]);
}

#[test]
fn without_a_terminal_it_runs_until_it_is_told_to_end() {
    let mut dev = Dev::start("Greet.py", &greeter(1), &["--perform", "Greet", "--json"], false);
    let line = dev.wait_for("\"said\"");
    let said: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&said["level"], &said["plugin"]), (&json!("warn"), &json!("Greet")));
    let line = dev.wait_for("\"result\"");
    assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["result"]["version"], 1);
    dev.edit("New.sh", "echo 1\n");
    dev.wait_for("started for each call");
    fs::remove_file(dev.home.path().join("plugins/New.sh")).expect("removed");
    dev.wait_for("it is gone");
    kill(Pid::from_raw(dev.child.id().cast_signed()), Signal::SIGTERM).expect("it is ours");
    dev.ended(&["Greet.py"]);
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    let mut dev = Dev::start("Count.sh", "wc -c\n", &[], true);
    dev.wait_for("q quits");
    let echoes = |dev: &Dev| {
        let terminal = dev.terminal.as_ref().expect("on a terminal");
        nix::sys::termios::tcgetattr(terminal)
            .expect("a terminal")
            .local_flags
            .contains(nix::sys::termios::LocalFlags::ECHO)
    };
    assert!(!echoes(&dev));
    dev.press("q");
    let child = &mut dev.child;
    until("it to end", || child.try_wait().expect("it is ours"));
    assert!(echoes(&dev));
}
