//! A backup is an instance in one file, and what is published after it was restored is taken for what it is.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

use coattail_tests::{Cluster, Control, Instance, moment, plugin};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn recording() -> Cluster {
    let cluster = Cluster::with_grants(&["--subscribable", "*"]);
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/record.sh", plugin::RECORD_SH);
    cluster.subscribe("feed", "record");
    cluster
}

fn publish(cluster: &Cluster, values: &[&str], handled: u64) {
    for value in values {
        cluster.publish("feed", &json!(value).to_string());
    }
    cluster.subscriber.wait_for("handled", handled);
}

fn received(instance: &Instance, field: &str) -> Vec<Value> {
    instance.received().iter().map(|line| line[field].clone()).collect()
}

#[track_caller]
fn back_up(instance: &Instance, file: &Path, more: &[&str]) -> Value {
    instance.json(&[&["backup", &file.display().to_string()], more].concat())
}

/// What the folder has besides what a running service keeps there.
fn listing(instance: &Instance) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(instance.folder()).expect("readable").map(|entry| entry.expect("readable").file_name()).collect();
    names.sort();
    names.into_iter().map(|name| name.into_string().expect("a text")).collect()
}

#[test]
fn p2_after_a_restore_no_number_is_given_out_again_and_what_is_lost_is_reported() {
    let mut cluster = recording();
    let file = cluster.publisher.folder().with_file_name("backup.tar");
    publish(&cluster, &["1", "2", "3"], 3);
    // While the service runs.
    let made = back_up(&cluster.publisher, &file, &[]);
    assert_eq!(made["bytes"].as_u64(), Some(fs::metadata(&file).expect("it is there").len()));
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    publish(&cluster, &["4"], 4);
    // Accepted, and lost with the disk.
    cluster.subscriber.stop();
    cluster.publish("feed", "\"5\"");
    let error = cluster.publisher.run(&["restore", &file.display().to_string(), "--yes", "--json"]).failed(1, "busy");
    assert!(error["message"].to_string().contains("in use by a service"), "{error}");
    cluster.publisher.stop();
    let error = cluster.publisher.run(&["restore", &file.display().to_string(), "--json"]).failed(2, "usage");
    assert!(error["message"].to_string().contains("not confirmed"), "{error}");

    let restored = cluster.publisher.json(&["restore", &file.display().to_string(), "--yes"]);
    let before = Path::new(restored["before"].as_str().expect("a path"));
    assert!(before.join("data.db").exists() && before.join("keys/vt-key.pem").exists(), "{restored}");
    cluster.publisher.start();
    assert!(cluster.publisher.json(&["service", "status"])[0]["restored"].is_string());
    assert!(!cluster.publisher.log().contains("by hand"), "{}", cluster.publisher.log());
    assert_eq!(cluster.publish("feed", "\"6\""), 6, "the old database still told how far it was");
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 5);
    assert_eq!(received(&cluster.subscriber, "sequence"), [1, 2, 3, 4, 6]);
    assert_eq!(cluster.subscriber.counts()["missed"], 1);
    let log = cluster.subscriber.log();
    assert!(log.contains("the publisher was restored from a backup") && log.contains("a gap"), "{log}");
}

#[test]
fn an_instance_is_restored_where_there_is_none() {
    let mut cluster = recording();
    let file = cluster.publisher.folder().with_file_name("backup.tar");
    publish(&cluster, &["1", "2"], 2);
    back_up(&cluster.publisher, &file, &["--all"]);
    cluster.publisher.stop();
    publish_is_lost(&mut cluster);
    let folder = cluster.publisher.folder().to_owned();
    fs::remove_dir_all(&folder).expect("removed");
    let place = folder.display().to_string();
    let restored =
        cluster.publisher.run_outside(&["restore", &file.display().to_string(), &place, "--json"]).ok().json();
    assert_eq!(restored["before"], Value::Null);
    cluster.publisher.start();
    // With its keys, its plugins, and who is subscribed; and what it publishes now is new, whatever its number.
    assert_eq!(cluster.publisher.json(&["action", "perform", "feed", "--data", "7"])["result"], 7);
    publish(&cluster, &["three", "four"], 5);
    assert_eq!(received(&cluster.subscriber, "value"), ["1", "2", "3", "three", "four"]);
    // A folder with something else in it is left alone.
    let error = cluster.publisher.run_outside(&[
        "restore",
        &file.display().to_string(),
        &folder.parent().expect("a parent").display().to_string(),
        "--json",
    ]);
    let _ = error.failed(1, "already-exists");
}

/// Publishes a third, which is delivered and not in the backup.
fn publish_is_lost(cluster: &mut Cluster) {
    cluster.publisher.start();
    publish(cluster, &["3"], 3);
    cluster.publisher.stop();
}

#[test]
fn a_backup_is_consistent_while_the_service_writes_and_is_never_replaced_unasked() {
    let instance = Instance::running("busy");
    instance.plugin("actions/feed.sh", plugin::ECHO_SH);
    let control = Control::connect(&instance);
    let file = instance.folder().with_file_name("backup.tar");
    let publishing = std::thread::spawn(move || (0..300).all(|n| control.publish("feed", &json!(n)).is_ok()));
    back_up(&instance, &file, &[]);
    let error = instance.run(&["backup", &file.display().to_string(), "--json"]).failed(1, "already-exists");
    assert!(error["hint"].to_string().contains("--force"), "{error}");
    for _ in 0..3 {
        back_up(&instance, &file, &["--force"]);
    }
    assert!(publishing.join().expect("no panic"));
    let place = instance.folder().with_file_name("second").display().to_string();
    let _ = instance.run_outside(&["restore", &file.display().to_string(), &place]).ok();
    let mut checked = instance.run_outside(&["doctor", "--instance", &place, "--json"]).json();
    checked.as_array_mut().expect("a list").retain(|finding| finding["area"] == "database");
    assert_eq!(checked[0]["level"], "ok", "{checked}");
    // Nothing stays beside it.
    let beside = fs::read_dir(file.parent().expect("a parent")).expect("readable");
    let names: Vec<_> =
        beside.map(|entry| entry.expect("readable").file_name().into_string().expect("a text")).collect();
    assert!(!names.iter().any(|name| name.starts_with(".coattail-")), "{names:?}");
}

#[test]
fn what_is_no_whole_backup_changes_nothing() {
    let mut instance = Instance::running("kept");
    instance.plugin("actions/feed.sh", plugin::ECHO_SH);
    let file = instance.folder().with_file_name("backup.tar");
    back_up(&instance, &file, &[]);
    instance.json(&["action", "publish", "feed", "--data", "1"]);
    instance.stop();
    let (whole, names) = (fs::read(&file).expect("it is there"), listing(&instance));
    let database = fs::read(instance.path("data.db")).expect("it is there");
    let restore = ["restore", &file.display().to_string(), "--yes", "--json"];
    let middle = whole.len() / 2;
    for (content, kind) in [
        (b"no tar at all, but long enough to be taken for one ".repeat(50), "usage"),
        (whole[..middle].to_vec(), "failed"),
        ([&whole[..middle], &[whole[middle] ^ 1], &whole[middle + 1..]].concat(), "failed"),
        (Vec::new(), "usage"),
    ] {
        fs::write(&file, content).expect("written");
        let _ = instance.run(&restore).failed(if kind == "usage" { 2 } else { 1 }, kind);
        assert_eq!(listing(&instance), names);
        assert_eq!(fs::read(instance.path("data.db")).expect("it is there"), database);
    }
    instance.start();
    assert_eq!(instance.json(&["action", "publish", "feed", "--data", "1"])["sequence"], 2);
}

#[test]
fn a_restore_that_is_killed_has_happened_or_has_not() {
    let instance = Instance::new("killed");
    instance.plugin("actions/feed.sh", plugin::ECHO_SH);
    let file = instance.folder().with_file_name("backup.tar");
    back_up(&instance, &file, &["--all"]);
    let (staged, committed) = (instance.path(".coattail/restore.new"), instance.path(".coattail/restore"));
    let original = fs::read_to_string(instance.path("config.yml")).expect("it is there");
    let mut happened = Vec::new();
    for round in 0..15 {
        // What the backup does not have: in the settings, the keys, the plugins and the database.
        fs::write(instance.path("config.yml"), format!("{original}# new\n")).expect("written");
        fs::write(instance.path("keys/new"), "").expect("written");
        fs::write(instance.path("actions/new"), "").expect("written");
        let _ = instance.run(&["token", "issue", "--quiet", "--print-raw-token"]).ok();
        let mut command = instance.begin(&["restore", &file.display().to_string(), "--yes", "--json"]);
        let aim = match round % 3 {
            0 => &staged,
            1 => &committed,
            // It ends before.
            _ => &instance.path("never"),
        };
        moment("the restore to have come so far", || aim.exists() || command.has_ended());
        command.signal(Signal::SIGKILL);
        let _ = command.finish();
        assert!(instance.path("config.yml").exists() && instance.path(".ct.version").exists());
        // Whoever comes next finishes what was decided.
        let has_token = instance.json(&["token", "list"]) != json!([]);
        let is_new = fs::read_to_string(instance.path("config.yml")).expect("it is there").contains("# new");
        let (keys, actions) = (instance.path("keys/new").exists(), instance.path("actions/new").exists());
        assert_eq!([has_token, keys, actions], [is_new; 3], "round {round}: half of it: {:?}", listing(&instance));
        assert!(!committed.exists());
        happened.push(!is_new);
        // For the next round: nothing but what the backup has.
        let _ = instance.run(&["restore", &file.display().to_string(), "--yes"]).ok();
    }
    assert!(happened.contains(&true) && happened.contains(&false), "{happened:?}");
}

#[test]
fn a_damaged_database_is_refused_and_a_backup_takes_its_place() {
    let mut instance = Instance::running("damaged");
    instance.plugin("actions/feed.sh", plugin::ECHO_SH);
    let file = instance.folder().with_file_name("backup.tar");
    for n in 0..20 {
        let value = format!("\"{n}{}\"", "x".repeat(20_000));
        instance.json(&["action", "publish", "feed", "--data", &value]);
    }
    back_up(&instance, &file, &[]);
    instance.stop();
    let path = instance.path("data.db");
    let size = fs::metadata(&path).expect("it is there").len();
    // Pages that nothing reads before somebody asks for a publication.
    let database = OpenOptions::new().write(true).open(&path).expect("it is there");
    for page in size / 4096 / 2..size / 4096 {
        database.write_all_at(&[0xaa; 4096], page * 4096).expect("written");
    }
    drop(database);
    for command in [&["service", "start"][..], &["backup", "other.tar"]] {
        let error = instance.run(&[command, &["--json"]].concat()).failed(1, "internal");
        let text = error.to_string();
        assert!(text.contains("damaged") && text.contains("coattail restore"), "{text}");
    }
    assert!(!Path::new("other.tar").exists());
    let _ = instance.run(&["restore", &file.display().to_string(), "--yes"]).ok();
    instance.start();
    assert!(instance.json(&["action", "publish", "feed", "--data", "1"])["sequence"].as_u64() >= Some(21));
}
