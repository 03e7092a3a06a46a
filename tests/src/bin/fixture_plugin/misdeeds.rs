//! What a native action does wrong, by its name. They are those of `tests/it/bad_children/programs`.
#![expect(clippy::exit, clippy::zombie_processes, reason = "it is to go wrong")]

use std::fs::File;
use std::io::Write as _;
use std::pin::Pin;
use std::process::{Command, Stdio, exit};
use std::thread;
use std::time::Duration;

use coattail::plugin::Context;
use nix::sys::signal::SigSet;
use nix::unistd::close;
use serde_json::{Value, json};

use crate::Outcome;

pub(crate) type Misdeed = fn(Value, Context) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What an action of this name does with a call.
pub(crate) fn of(name: &str) -> Option<Misdeed> {
    Some(match name {
        // Ends instead of answering.
        "exits-in-mid-call" => |_, _| {
            eprintln!("the reason");
            exit(7)
        },
        // Answers, and ends soon after.
        "exits-after-answering" => |input, _| {
            thread::spawn(|| {
                thread::sleep(Duration::from_millis(20));
                exit(0)
            });
            returns(input)
        },
        "segfaults" => |_, _| segfaults(),
        // Cannot be asked to end.
        "ignores-term" => |_, _| {
            SigSet::all().thread_block().expect("a mask");
            spins()
        },
        // Leaves a process behind that holds what it has inherited.
        "leaves-a-grandchild" => |input, _| {
            started("sleep", &["1000"]);
            returns(input)
        },
        // Leaves a process behind in a session of its own, whose parent is gone, and which minds no signal.
        "daemonizes" => |input, _| {
            started("setsid", &["-f", "sh", "-c", "trap '' TERM INT HUP; while :; do sleep 1; done"])
                .wait()
                .expect("it ends");
            returns(input)
        },
        // Closes what it believes to be the protocol.
        "closes-stdout" => |input, _| {
            close(1).expect("it is open");
            returns(input)
        },
        // Prints what begins like an answer, and never ends.
        "half-a-line" => |_, _| {
            print!("{{\"jsonrpc\":\"2.0\",\"id\":");
            let _ = std::io::stdout().flush();
            Box::pin(std::future::pending())
        },
        // Prints a line of 100 MiB, and does as it should.
        "prints-100-mib" => |input, _| {
            println!("{}", "x".repeat(HUGE));
            returns(input)
        },
        // Returns more than anybody takes.
        "answers-100-mib" => |_, _| returns(json!("x".repeat(HUGE))),
        // Complains for 1 GiB, and does as it should.
        "floods-stderr" => |input, _| {
            started("sh", &["-c", "exec head -c 1073741824 /dev/zero >&2"]).wait().expect("it ends");
            returns(input)
        },
        // Prints what is no text.
        "binary-garbage" => |input, _| {
            let all: Vec<u8> = (0..=u8::MAX).collect();
            std::io::stdout().write_all(&all.repeat(100)).expect("it is read");
            returns(input)
        },
        // Prints answers to every call that there may be.
        "forges-answers" => |input, _| {
            for id in 0..100 {
                println!("{}", json!({"jsonrpc": "2.0", "id": id, "result": {"output": "forged"}}));
            }
            returns(input)
        },
        // Does not mind that its call was cancelled, and returns then.
        "answers-after-cancel" => |input, context| {
            Box::pin(async move {
                context.cancelled().await;
                Ok(input)
            })
        },
        // Takes every descriptor that it can get, and keeps it.
        "opens-10000-files" => |input, _| {
            let files: Vec<File> = (0..10_000).map_while(|_| File::open("/dev/null").ok()).collect();
            std::mem::forget(files);
            returns(input)
        },
        "spins" => |_, _| spins(),
        // Does nothing, for ever.
        "sleeps" => |_, _| Box::pin(std::future::pending()),
        "throws-nothing" => |_, _| Box::pin(async { Err(String::new().into()) }),
        "panics" => |_, _| Box::pin(async { panic!("the reason") }),
        // Leaves a failure behind of which nobody takes care.
        "rejects-beside" => |input, _| {
            let _ = thread::spawn(|| panic!("nobody waits")).join();
            returns(input)
        },
        _ => return None,
    })
}

/// 100 MiB.
const HUGE: usize = 100 * 1024 * 1024;

fn returns(value: Value) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
    Box::pin(std::future::ready(Ok(value)))
}

/// Keeps a processor busy.
fn spins() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// Touches memory that is not its own.
#[expect(unsafe_code, reason = "no safe code does this")]
fn segfaults() -> ! {
    // SAFETY: none. The first page is nobody's.
    unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
    unreachable!("that page is nobody's");
}

#[expect(clippy::disallowed_methods, reason = "a plugin may start what it likes")]
fn started(program: &str, arguments: &[&str]) -> std::process::Child {
    Command::new(program).args(arguments).stdin(Stdio::null()).spawn().expect("it can be started")
}
