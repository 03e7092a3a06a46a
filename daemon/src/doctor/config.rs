use std::path::Path;

use coattail::wire::doctor::Finding;

use super::finding::Area;
use crate::config::Config;
use crate::instance::Instance;

const AREA: Area = Area("config");

/// What makes the settings, for whom the rest is looked at.
const FILE: &str = "config.yml";

pub(super) fn check(folder: &Path) -> (Option<Config>, Finding) {
    if let Err(error) = Instance::open(folder) {
        return (None, AREA.failed(folder.display(), error));
    }
    match Config::load(folder) {
        Ok(config) => (Some(config), AREA.ok(FILE, "can be read, and everything in it is understood")),
        Err(error) => (None, AREA.failed(FILE, error)),
    }
}
