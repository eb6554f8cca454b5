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
pub mod probed;
mod problem;
mod read;
pub(crate) mod scalar;
mod schema;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod validate;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub use features::features;
pub use local::{VipPlaces, check_local};
pub use model::{Config, NodeConfig};
pub(crate) use problem::unknown;
pub use problem::{Place, Problem, Problems};
pub use schema::{node_schema, schema};

use read::Read;

/// A configuration, and what of its file is not in it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What was configured.
    pub config: Config,
    /// Where its VIPs stand, for [`check_local`].
    pub places: VipPlaces,
    /// The files of the secret, of the key of tags and of authorities, for whoever follows changes.
    pub key_files: Vec<PathBuf>,
}

/// Reads and validates a file.
///
/// # Errors
/// Every problem of the file, in its order.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_with_places(path).map(|loaded| loaded.config)
}

/// Reads and validates a node's file.
///
/// # Errors
/// Every problem of the file, in its order.
pub fn load_node(path: &Path) -> Result<NodeConfig, Problems> {
    let base = path.parent().unwrap_or(Path::new(""));
    parse_node(&text_of(path)?, &path.display().to_string(), base)
}

/// Validates `text` as a node's file. Reports call it `file_name`; paths in it are relative to `base_dir`. Reads the
/// files of keys and nothing else.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn parse_node(text: &str, file_name: &str, base_dir: &Path) -> Result<NodeConfig, Problems> {
    let mut problems = Problems::new(file_name);
    let tree = tree::parse(text, &mut problems);
    let config = tree.and_then(|tree| validated_node(&tree, base_dir, &mut problems));
    let Some(mut config) = config else { return Err(problems.sorted()) };
    config.digest = digest::of_node(text.as_bytes(), &config.tunnel_keys.keys);
    Ok(config)
}

fn validated_node(tree: &tree::Node, base_dir: &Path, problems: &mut Problems) -> Option<NodeConfig> {
    if let tree::Value::Null = tree.value {
        problems.add_whole("the file is empty", "write `apiVersion: spillway/v1` and the section `node`");
        return None;
    }
    if !has(tree, "node") && (has(tree, "gateway") || has(tree, "clusterSet")) {
        problems
            .add_whole("is a gateway's file, without a section `node`", "run it by `spillway run --config`");
        return None;
    }
    let place = tree::place(tree.defined, String::new());
    let file = file::NodeFile::read(tree, &place, problems)?;
    validate::node::node(&file, base_dir, problems)
}

/// Reads and validates a file of either kind: one with the key `node` is a node's.
///
/// # Errors
/// Every problem of the file, in its order.
pub fn check(path: &Path) -> Result<(), Problems> {
    let base = path.parent().unwrap_or(Path::new(""));
    check_text(&text_of(path)?, &path.display().to_string(), base)
}

/// Whether a file is a node's: it has the key `node`.
///
/// # Errors
/// If it cannot be read.
pub fn is_of_node(path: &Path) -> Result<bool, Problems> {
    text_of(path).map(|text| is_node(&text))
}

/// As [`check`], of a text; the other parameters are those of [`parse`].
///
/// # Errors
/// Every problem of the text, in its order.
pub fn check_text(text: &str, file_name: &str, base_dir: &Path) -> Result<(), Problems> {
    if is_node(text) {
        parse_node(text, file_name, base_dir).map(drop)
    } else {
        parse(text, file_name, base_dir).map(drop)
    }
}

fn is_node(text: &str) -> bool {
    // What is wrong with it is found when it is read as what it is.
    tree::parse(text, &mut Problems::new("")).is_some_and(|tree| has(&tree, "node"))
}

/// Whether a section has a key.
fn has(tree: &tree::Node, wanted: &str) -> bool {
    let tree::Value::Map(sections) = &tree.value else { return false };
    sections.iter().any(|(key, _)| matches!(&key.value, tree::Value::Text(name) if name == wanted))
}

/// As [`load`], with the places of the VIPs and the files of keys.
///
/// # Errors
/// Every problem of the file, in its order.
pub fn load_with_places(path: &Path) -> Result<Loaded, Problems> {
    let base = path.parent().unwrap_or(Path::new(""));
    parse_with_places(&text_of(path)?, &path.display().to_string(), base)
}

/// Validates `text`. Reports call it `file_name`; paths in it are relative to `base_dir`. Reads the
/// files of keys and of authorities, and nothing else.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn parse(text: &str, file_name: &str, base_dir: &Path) -> Result<Config, Problems> {
    parse_with_places(text, file_name, base_dir).map(|loaded| loaded.config)
}

/// As [`parse`], with the places of the VIPs and the files of keys.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn parse_with_places(text: &str, file_name: &str, base_dir: &Path) -> Result<Loaded, Problems> {
    let mut problems = Problems::new(file_name);
    match validated(text, base_dir, &mut problems) {
        Some((config, file)) => {
            let places = VipPlaces::of(&file, file_name);
            let secret = file.cluster_set.as_ref().and_then(|set| set.secret_file.as_ref());
            let secret_file = secret.map(|secret| base_dir.join(&secret.value));
            let tunnel_key_file = config.cluster_set.tunnel_key.as_ref().map(|key| key.file.clone());
            let checks =
                config.health_checks.iter().filter_map(|check| check.kind.tls()?.authorities.as_ref());
            let ca_files = checks.map(|authorities| authorities.file.clone());
            let key_files = secret_file.into_iter().chain(tunnel_key_file).chain(ca_files).collect();
            Ok(Loaded { config, places, key_files })
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
    if has(&node, "node") {
        problems.add_whole("is a node's file, by its section `node`", "run it by `spillway node --config`");
        return None;
    }
    let file = file::File::read(&node, &place, problems)?;
    let mut config = validate::validate(&file, base_dir, problems)?;
    config.digest =
        digest::digest(text.as_bytes(), config.cluster_set.secret, config.cluster_set.tunnel_key.as_ref());
    Some((config, file))
}

fn text_of(path: &Path) -> Result<String, Problems> {
    read_text(path).map_err(|(reason, mend)| {
        let mut problems = Problems::new(&path.display().to_string());
        problems.add_whole(reason, mend);
        problems
    })
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
