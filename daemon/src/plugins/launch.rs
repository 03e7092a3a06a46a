use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};

use super::call::Job;
use super::handover::Launch;
use super::runtime::Runners;
use super::spec::{Interpreter, Spec};
use super::{PluginId, Settings};

/// What a plugin inherits of the daemon's environment, and every `LC_…`. Whatever else stands there, keys for
/// instance, is none of its business.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER"];

/// Puts together how to start a plugin: with a job for one that runs once per call.
pub(super) async fn launch(settings: &Settings, spec: &Spec, job: Option<&Job>) -> Result<Launch, Failure> {
    let mut env: Vec<(OsString, OsString)> = env::vars_os().filter(|(name, _)| is_inherited(name)).collect();
    env.push(("COATTAIL_INSTANCE".into(), settings.instance.clone().into()));
    env.extend(named(&spec.id));
    env.extend(job.into_iter().flat_map(about));
    env.extend(spec.manifest.env.iter().map(|(name, value)| (name.into(), value.into())));
    if let Some(bin) = &settings.bin {
        put_first("PATH", bin, &mut env);
    }
    let mut argv = spec.argv.clone();
    match spec.interpreter {
        Interpreter::None => {}
        Interpreter::NodeRunner => argv.push(runners(settings, &spec.id).await?.node().into()),
        Interpreter::PythonRunner => {
            put_first("PYTHONPATH", &runners(settings, &spec.id).await?.python(), &mut env);
            argv.extend(["-m".into(), "coattail".into()]);
        }
    }
    argv.extend(spec.file.iter().map(OsString::from));
    Ok(Launch { argv, env, folder: spec.folder.clone().into() })
}

async fn runners(settings: &Settings, id: &PluginId) -> Result<Runners, Failure> {
    let instance = settings.instance.clone();
    tokio::task::spawn_blocking(move || Runners::prepare(&instance))
        .await
        .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
        .map_err(|error| {
            let message =
                format!("{id} cannot be run: its runner could not be written to `.coattail/runtime`: {error}");
            Failure::new(ErrorCode::PluginBroken, message)
                .hint("check that the folder of the instance can be written to, and has room")
        })
}

fn is_inherited(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| INHERITED.contains(&name) || name.starts_with("LC_"))
}

fn named(id: &PluginId) -> Option<(OsString, OsString)> {
    let variable = match id.kind {
        Kind::Action => "COATTAIL_ACTION",
        Kind::Receiver => "COATTAIL_RECEIVER",
    };
    Some((variable.into(), (&id.name).into()))
}

fn about(job: &Job) -> Vec<(OsString, OsString)> {
    let mut env = vec![("COATTAIL_CALL".into(), job.call().to_string().into())];
    if let Job::Receive(receive) = job {
        let source = &receive.publication;
        env.extend(
            [
                ("COATTAIL_PUBLICATION", source.id.to_string()),
                ("COATTAIL_PUBLICATION_SEQUENCE", source.sequence.to_string()),
                ("COATTAIL_PUBLICATION_ISSUER", source.issuer.to_string()),
                ("COATTAIL_PUBLICATION_ACTION", source.action.clone()),
                ("COATTAIL_PUBLICATION_ATTEMPT", source.attempt.to_string()),
            ]
            .map(|(name, value)| (name.into(), value.into())),
        );
    }
    env
}

/// Puts a folder before those of a list such as `PATH`, wherever the list comes from.
fn put_first(variable: &str, folder: &Path, env: &mut Vec<(OsString, OsString)>) {
    let old = env.iter().rev().find(|(name, _)| name == variable).map(|(_, value)| value.clone());
    let mut value = folder.as_os_str().to_owned();
    if let Some(old) = old.filter(|old| !old.is_empty()) {
        value.push(":");
        value.push(old);
    }
    env.retain(|(name, _)| name != variable);
    env.push((variable.into(), value));
}
