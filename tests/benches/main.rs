//! Measures Coattail: real daemons in their own processes, TLS over loopback, real workers.
//!
//! `cargo bench -p coattail-tests` measures everything and writes the tables into `docs/benchmarks.md`. With `--quick`,
//! or with words that the titles of sections contain, it only prints: `cargo bench -p coattail-tests -- --quick memory`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the tables, and how far it has got")]

mod bad_children;
mod calls;
mod cores;
mod delivery;
mod effort;
mod fairness;
mod floor;
mod follow;
mod load;
mod machine;
mod memory;
mod peer;
mod pipe;
mod plugins;
mod pressure;
mod process;
mod publish;
mod report;
mod rivals;
mod startup;

use std::fs;
use std::path::Path;
use std::time::Instant;

use effort::Effort;
use report::Section;

/// The tables stand between these lines; everything else there is written by hand.
const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->\n";

type Measure = fn(&Effort) -> Section;

const SECTIONS: [(&str, Measure); 20] = [
    ("Floors", floor::measure),
    ("Remote perform", calls::remote),
    ("Remote perform, without the caller's daemon", calls::direct),
    ("Local perform", calls::local),
    ("Plugins", plugins::measure),
    ("Bad children", bad_children::measure),
    ("Follow", follow::measure),
    ("Fairness", fairness::measure),
    ("Publish", publish::measure),
    ("Delivery", delivery::measure),
    ("Back-pressure", pressure::measure),
    ("Start-up", startup::measure),
    ("Memory", memory::measure),
    ("Goals: remote perform", rivals::perform),
    ("Goals: publish", rivals::publish),
    ("Goals: fan-out", rivals::fan_out),
    ("Goals: delivery", rivals::delivery),
    ("Goals: peers and subscriptions", rivals::scale),
    ("Goals: commands and start", rivals::commands),
    ("Growth", rivals::growth),
];

fn main() {
    if rivals::play() {
        return;
    }
    // Cargo passes `--bench`.
    let (options, words): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let is_quick = options.iter().any(|option| option == "--quick");
    let effort = if is_quick { Effort::QUICK } else { Effort::FULL };

    let mut text = machine::describe();
    let started = Instant::now();
    for (title, measure) in SECTIONS {
        let is_wanted = |word: &String| title.to_lowercase().contains(&word.to_lowercase());
        if words.is_empty() || words.iter().any(is_wanted) {
            eprintln!("{:>4} s  {title}", started.elapsed().as_secs());
            text.push_str(&format!("\n### {title}\n\n{}", measure(&effort)));
        }
    }
    let rounds = effort.rounds;
    text.push_str(&format!("\nAll of it took {} s, {rounds} rounds a row.\n", started.elapsed().as_secs()));
    println!("{text}");
    if words.is_empty() && !is_quick {
        keep(&text);
    }
}

fn keep(text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let page = fs::read_to_string(&path).expect("docs/benchmarks.md is there");
    let (before, rest) = page.split_once(BEGIN).expect("it has the line where the tables begin");
    let (_, after) = rest.split_once(END).expect("it has the line where they end");
    fs::write(&path, format!("{before}{BEGIN}{text}{END}{after}")).expect("docs/benchmarks.md can be written");
}
