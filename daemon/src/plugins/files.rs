use coattail::wire::dev::Files;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};

use super::spec::Found;
use super::{Plugins, discover};

impl Plugins {
    /// What the files of each plugin are now. It reads the folders, also those of plugins.
    ///
    /// # Errors
    /// `Internal` if looking panics.
    pub async fn files(&self) -> Result<Vec<Files>, Failure> {
        let settings = self.shared.settings.clone();
        let look = move || {
            let found = [Kind::Action, Kind::Receiver].into_iter().flat_map(|kind| discover::list(&settings, kind));
            found.map(files).collect()
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.map_err(|panic| Failure::new(ErrorCode::Internal, format!("the files of plugins: {panic}")))
    }
}

fn files(found: Found) -> Files {
    let state = match (&found.spec, &found.problem) {
        (Some(spec), _) => format!("{:016x}", spec.fingerprint.digest()),
        (None, Some(problem)) => problem.message.clone(),
        (None, None) => String::new(),
    };
    Files { kind: found.kind, name: found.name, state }
}
