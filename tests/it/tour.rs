//! The tour of the README, line by line: every command runs, and what comes out is compared with what stands there.
//!
//! A block of `console` holds commands behind `$ ` and what they print, stdout and stderr as a person sees them. Any
//! other block whose first line is a comment with a path is saved as that file. What differs from run to run (ids,
//! times, process numbers, ports, the folder) counts as equal; see [`normal`].

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _, pipe};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use coattail_tests::instance::program;
use coattail_tests::wait::{PATIENCE, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The folder that the README shows.
const SHOWN_FOLDER: &str = "/home/ada/tour";

/// The ports that the README shows; others are used, since these may be taken.
const SHOWN_PORTS: [&str; 2] = ["24801", "24802"];

/// Commands that only look. What they show may take a moment to come about, so they are repeated until it is there,
/// as a person would.
const LOOKS: [&str; 4] = ["cat ", " list", " status", " show"];

/// Lines that may wait to be compared; a command that prints more waits.
const OUTPUT_LINES: usize = 1024;

/// Ends the output of a command. Nothing in the tour prints it.
const END: &str = "--- the end of the output ---";

#[test]
fn every_command_of_the_readme_prints_what_it_says() {
    let steps = steps(&fs::read_to_string(root().join("README.md")).expect("there is a README"));
    assert!(steps.len() > 20, "the README has lost its tour: {} steps", steps.len());
    let mut shell = Shell::start();
    for step in steps {
        match step {
            Step::Save { path, text } => fs::write(shell.folder.join(path), text).expect("its folder is there"),
            Step::Run { line, command, expected } => shell.check(line, &command, &expected),
        }
    }
    shell.end();
}

#[test]
fn every_test_that_the_readme_names_is_there() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let names: Vec<(&str, &str)> = readme
        .split('`')
        .filter_map(|text| text.rsplit_once("::"))
        .filter(|(_, name)| name.len() > 8 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .collect();
    assert!(names.len() > 20, "the README has lost its promises: {names:?}");
    for (file, name) in names {
        let path = if file.ends_with(".rs") {
            root().join(file)
        } else {
            root().join(format!("tests/it/{}.rs", file.replace("::", "/")))
        };
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let test = source.split("#[test]").skip(1).any(|test| test.contains(&format!("fn {name}(")));
        assert!(test, "README.md names {file}::{name}, which is no test");
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Save { path: String, text: String },
    Run { line: usize, command: String, expected: String },
}

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of the workspace").to_owned()
}

/// What the README tells to do, in order.
fn steps(readme: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = (1..).zip(readme.lines());
    while let Some((_, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```").filter(|language| !language.is_empty()) else { continue };
        let block: Vec<(usize, &str)> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
        if language == "console" {
            for (line, text) in block {
                if let Some(command) = text.strip_prefix("$ ") {
                    steps.push(Step::Run { line, command: command.to_owned(), expected: String::new() });
                } else if let Some(Step::Run { expected, .. }) = steps.last_mut() {
                    let _ = writeln!(expected, "{text}");
                }
            }
        } else if let Some(path) = block.first().and_then(|(_, line)| path_in_comment(line)) {
            let text = block.iter().map(|(_, line)| format!("{line}\n")).collect();
            steps.push(Step::Save { path: path.to_owned(), text });
        }
    }
    steps
}

/// `# office/actions/Count.sh`, `// office/actions/Greet.js`
fn path_in_comment(line: &str) -> Option<&str> {
    let path = line.strip_prefix("# ").or_else(|| line.strip_prefix("// "))?;
    (path.contains('/') && path.contains('.') && !path.contains(' ')).then_some(path)
}

/// A shell in a folder of its own. When it is dropped, whatever was started in it ends.
struct Shell {
    home: TempDir,
    folder: PathBuf,
    ports: [String; 2],
    bash: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Shell {
    #[expect(clippy::disallowed_methods, reason = "the shell of the tour is started here")]
    fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let root = home.path().canonicalize().expect("it exists");
        let folder = root.join("tour");
        for name in ["tour", "bin", "run"] {
            fs::create_dir(root.join(name)).expect("a folder can be made");
        }
        symlink(program(), root.join("bin/coattail")).expect("a link can be made");
        let path = std::env::var("PATH").expect("there is a PATH");
        // One pipe for both, so that their order is what a person sees.
        let (reader, writer) = pipe().expect("a pipe");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(&folder);
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("COATTAIL") || name.starts_with("CLICOLOR"))
        {
            command.env_remove(name);
        }
        command.env("PATH", format!("{}/bin:{path}", root.display())).env("XDG_RUNTIME_DIR", root.join("run"));
        command.stdin(Stdio::piped()).stderr(writer.try_clone().expect("a pipe")).stdout(writer);
        let mut bash = command.spawn().expect("there is bash");
        drop(command);
        let (sender, lines) = sync_channel(OUTPUT_LINES);
        thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = bash.stdin.take();
        Self { home, folder, ports: free_ports(), bash, stdin, lines }
    }

    /// Runs a command, again and again if it only looks, until it prints what is expected.
    fn check(&mut self, line: usize, command: &str, expected: &str) {
        let looks = LOOKS.iter().any(|look| command.contains(look)) && !command.contains("$(");
        let start = Instant::now();
        loop {
            let printed = self.run(line, command);
            if normal(&printed) == normal(expected) {
                return;
            }
            if !looks || start.elapsed() > PATIENCE {
                panic!("README.md:{line}: $ {command}\n{}", difference(expected, &printed));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What a command prints, with folder and ports as the README shows them.
    fn run(&mut self, line: usize, command: &str) -> String {
        let command = SHOWN_PORTS
            .iter()
            .zip(&self.ports)
            .fold(command.to_owned(), |text, (shown, real)| text.replace(shown, real));
        let file = self.home.path().join("command");
        fs::write(&file, command + "\n").expect("a file can be written");
        // The status is kept for a following `echo $?`.
        let script =
            format!(". '{}' </dev/null; status=$?; printf '\\n%s\\n' '{END}'; (exit $status)\n", file.display());
        let stdin = self.stdin.as_mut().expect("it runs");
        stdin.write_all(script.as_bytes()).expect("bash reads");
        let (deadline, mut printed) = (Instant::now() + PATIENCE, String::new());
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(text) if text == END => break,
                Ok(text) => _ = writeln!(printed, "{text}"),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("README.md:{line}: it did not end; so far it printed:\n{printed}")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("README.md:{line}: the shell ended; it printed:\n{printed}")
                }
            }
        }
        // The line end before the mark.
        printed.pop();
        let printed = printed.replace(&self.folder.display().to_string(), SHOWN_FOLDER);
        SHOWN_PORTS.iter().zip(&self.ports).fold(printed, |text, (shown, real)| text.replace(real.as_str(), shown))
    }

    /// The tour is over: it has stopped what it started.
    fn end(mut self) {
        drop(self.stdin.take());
        assert!(self.bash.wait().expect("it ends").success(), "the last command of the tour failed");
        until("every process of the tour to end", || processes(&self.folder).is_empty().then_some(()));
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.bash.kill();
        let _ = self.bash.wait();
        for pid in processes(&self.folder) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Processes whose command line or environment names the folder.
fn processes(folder: &Path) -> Vec<Pid> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let names =
        |path: PathBuf| fs::read(path).is_ok_and(|bytes| bytes.windows(folder.len()).any(|part| part == folder));
    let entries = fs::read_dir("/proc").expect("there is /proc").flatten();
    entries
        .filter(|entry| names(entry.path().join("cmdline")) || names(entry.path().join("environ")))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
        .filter(|pid| *pid != nix::unistd::getpid())
        .collect()
}

/// Two ports with as many digits as the shown ones, so that tables stay as wide.
fn free_ports() -> [String; 2] {
    let first = 50_000 + u16::try_from(std::process::id() % 5_000).expect("below 5000") * 2;
    let mut free = (first..).filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    std::array::from_fn(|_| free.next().expect("some port is free").to_string())
}

/// A text in which everything is alike that differs from run to run: UUIDs, base64 hashes, points in time, and in the
/// lines and columns that hold them process numbers, ages and sessions. Runs of blanks
/// count as two.
fn normal(text: &str) -> String {
    text.trim_end().lines().map(|line| normal_line(line) + "\n").collect()
}

fn normal_line(line: &str) -> String {
    if line.starts_with(['{', '}', ' ']) {
        return line.to_owned();
    }
    let columns = line.trim_end().split("  ").map(str::trim).filter(|column| !column.is_empty());
    let mut columns: Vec<String> = columns
        .enumerate()
        .map(|(place, column)| column.split(' ').map(|word| normal_word(place, word)).collect::<Vec<_>>().join(" "))
        .map(|column| if is_age(&column) { "<age>".to_owned() } else { column })
        .collect();
    // A line of `service status`: whether one side or both have dialled depends on who came first.
    if let [pid, folder, .., sessions, _, _, _] = &mut columns[..]
        && pid == "<pid>"
        && folder.starts_with('/')
    {
        *sessions = "<sessions>".to_owned();
    }
    columns.join("  ")
}

fn normal_word(place: usize, word: &str) -> String {
    if let Some(id) = word.strip_prefix("vt://") {
        return format!("vt://{}", normal_word(place, id));
    }
    let only = |fits: fn(u8) -> bool| word.bytes().all(fits);
    let kind = match word.len() {
        36 if word.matches('-').count() == 4 && only(|b| b.is_ascii_hexdigit() || b == b'-') => "<uuid>",
        44 if word.ends_with('=') && only(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)) => "<hash>",
        20.. if word.ends_with('Z') && only(|b| b.is_ascii_digit() || b"-:.TZ".contains(&b)) => "<time>",
        // Alone in a column that has no other numbers of that size.
        3..=7 if place <= 1 && only(|b| b.is_ascii_digit()) => "<pid>",
        _ if is_tenths(word) => "<tenths>",
        _ => word,
    };
    kind.to_owned()
}

/// `61.3`, as lengths of time in milliseconds are written; nothing else is.
fn is_tenths(word: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    word.split_once('.').is_some_and(|(whole, tenth)| is_number(whole) && tenth.len() == 1 && is_number(tenth))
}

/// `now`, `12 s ago`, `in 3 min`, `30 s`
fn is_age(column: &str) -> bool {
    let words: Vec<&str> = column.split(' ').collect();
    match words[..] {
        ["now"] => true,
        [amount, _, "ago"] | ["in", amount, _] | [amount, "s"] => amount.parse::<u32>().is_ok(),
        _ => false,
    }
}

/// Both, line by line: ` ` in both, `-` only in the README, `+` only printed.
fn difference(expected: &str, printed: &str) -> String {
    let (expected, printed): (Vec<_>, Vec<_>) =
        (expected.trim_end().lines().collect(), printed.trim_end().lines().collect());
    let mut text = String::from("the README (-) and what is printed (+):\n");
    for place in 0..expected.len().max(printed.len()) {
        match (expected.get(place), printed.get(place)) {
            (Some(expected), Some(printed)) if normal_line(expected) == normal_line(printed) => {
                let _ = writeln!(text, "  {printed}");
            }
            (expected, printed) => {
                for (sign, line) in [('-', expected), ('+', printed)] {
                    let _ = line.map(|line| writeln!(text, "{sign} {line}"));
                }
            }
        }
    }
    text
}

#[test]
fn what_differs_from_run_to_run_is_alike_and_nothing_else() {
    let same = [
        ("id  01a1f817-10f6-7716-ba76-3ddb9124a351", "id    0191aaaa-10f6-7716-ba76-3ddb9124a000"),
        ("bearer  vt://01a1f823-6f4f-75b7-8dcb-e6679e824963", "bearer  vt://01a1f823-a236-763b-b962-0dd2bc248581"),
        ("pid       6802", "pid  1234567"),
        (
            "7143  /home/ada/tour/home  now  0.1.0  1  0  0  0",
            "99999   /home/ada/tour/home   12 s ago   0.1.0  2  0  0  0",
        ),
        ("expires  2026-12-20T08:33:40Z (in 30 days)", "expires  2027-01-01T00:00:00Z (in 30 days)"),
        ("ok  ada.json  9.9 ms  1.2 ms", "ok   ada.json   101.0 ms  0.1 ms"),
        (
            "published as 01a1f817-1144-7283-ae4b-ddeb814a812e (number 1)",
            "published as 01a1f817-1144-7283-ae4b-000000000000 (number 1)",
        ),
    ];
    for (one, other) in same {
        assert_eq!(normal(one), normal(other));
    }
    let different = [
        (
            "published as 01a1f817-1144-7283-ae4b-ddeb814a812e (number 1)",
            "published as 01a1f817-1144-7283-ae4b-ddeb814a812e (number 2)",
        ),
        ("  \"words\": 6", "  \"words\": 1006"),
        ("4", "0"),
        ("version  0.1.0", "version  0.2.0"),
        ("7143  /home/ada/tour/home  now  0.1.0  1  0  0  0", "7143  /home/ada/tour/home  now  0.1.0  1  2  0  0"),
        ("error: one", ""),
    ];
    for (one, other) in different {
        assert_ne!(normal(one), normal(other));
    }
}
