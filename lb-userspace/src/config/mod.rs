//! The configuration file: strict parsing, validation with every error at once, and the validated model.
//!
//! ```text
//! text → tree (values with places) → file (typed sections, as written) → model (validated)
//! ```
//!
//! Nothing the file says is silently without effect: keys that nobody knows, and keys of later
//! versions, are errors.

mod digest;
mod features;
mod file;
mod local;
pub mod model;
mod problem;
mod read;
mod scalar;
mod schema;
#[cfg(test)]
mod tests;
mod tree;
mod validate;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub use features::features;
pub use local::{VipPlaces, check_local};
pub use model::Config;
pub(crate) use problem::near;
pub use problem::{Place, Problem, Problems};
pub use schema::schema;

use read::Read;

/// A configuration, and what of its file is not in it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What was configured.
    pub config: Config,
    /// Where its VIPs stand, for [`check_local`].
    pub places: VipPlaces,
    /// The secret's file, for whoever follows changes.
    pub secret_file: PathBuf,
}

/// Reads and validates a file.
///
/// # Errors
/// Every problem of the file, in its order.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_with_places(path).map(|loaded| loaded.config)
}

/// As [`load`], with the places of the VIPs and the secret's file.
///
/// # Errors
/// Every problem of the file, in its order.
pub fn load_with_places(path: &Path) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    let text = read_text(path).map_err(|(reason, mend)| {
        let mut problems = Problems::new(&name);
        problems.add_whole(reason, mend);
        problems
    })?;
    parse_with_places(&text, &name, path.parent().unwrap_or(Path::new("")))
}

/// Validates `text`. Reports call it `file_name`; paths in it are relative to `base_dir`. Reads the
/// secret's file and nothing else.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn parse(text: &str, file_name: &str, base_dir: &Path) -> Result<Config, Problems> {
    parse_with_places(text, file_name, base_dir).map(|loaded| loaded.config)
}

/// As [`parse`], with the places of the VIPs and the secret's file.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn parse_with_places(text: &str, file_name: &str, base_dir: &Path) -> Result<Loaded, Problems> {
    let mut problems = Problems::new(file_name);
    match validated(text, base_dir, &mut problems) {
        Some((config, file)) => {
            let places = VipPlaces::of(&file, file_name);
            let secret = file.cluster_set.as_ref().and_then(|set| set.secret_file.as_ref());
            let secret_file = secret.map_or_else(PathBuf::new, |secret| base_dir.join(&secret.value));
            Ok(Loaded { config, places, secret_file })
        }
        None => Err(problems.sorted()),
    }
}

fn validated(text: &str, base_dir: &Path, problems: &mut Problems) -> Option<(Config, file::File)> {
    let node = tree::parse(text, problems)?;
    let place = tree::place(node.defined, String::new());
    if let tree::Value::Null = node.value {
        let mend = "write `apiVersion: spillway/v1` and the sections; `clusterSet` and `gateway` are needed";
        problems.add_whole("the file is empty", mend);
        return None;
    }
    let file = file::File::read(&node, &place, problems)?;
    let mut config = validate::validate(&file, base_dir, problems)?;
    config.digest = digest::digest(text.as_bytes(), config.cluster_set.secret);
    Some((config, file))
}

/// The file's text, or reason and mend.
fn read_text(path: &Path) -> Result<String, (String, String)> {
    let mut bytes = Vec::new();
    let read = |file: File| file.take(tree::MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    File::open(path).and_then(read).map_err(|error: io::Error| {
        (
            format!("cannot be read: {error}"),
            "name a file that the user that runs spillway may read".to_owned(),
        )
    })?;
    if bytes.len() as u64 > tree::MAX_FILE_BYTES {
        let mend = "split the services over several gateways".to_owned();
        return Err((format!("is larger than {} bytes", tree::MAX_FILE_BYTES), mend));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        (format!("is not UTF-8 (byte {at})"), "save it as UTF-8".to_owned())
    })
}
