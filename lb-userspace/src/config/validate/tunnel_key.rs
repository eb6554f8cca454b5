//! Keys of tags, of gateways and nodes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use super::{secret, within};
use crate::config::file;
use crate::config::model::{Accept, TunnelKey, TunnelKeys};
use crate::config::problem::Problems;
use crate::config::read::Located;

/// A byte; 0 says that there is none.
const EPOCHS: RangeInclusive<u8> = 1..=u8::MAX;

/// The key that a section names. `None`: it was reported.
pub(super) fn key(section: &file::TunnelKey, base: &Path, problems: &mut Problems) -> Option<TunnelKey> {
    let epoch = section.epoch.as_ref().map(|epoch| within(Some(epoch), 1, &EPOCHS, problems));
    let path = section.file.as_ref()?;
    let key = secret::read(path, base, problems)?;
    Some(TunnelKey { epoch: epoch?, key, file: base.join(&path.value) })
}

/// What a node is to look at.
pub(super) fn keys(
    section: Option<&Located<file::TunnelKeys>>,
    accept: Accept,
    base: &Path,
    problems: &mut Problems,
) -> TunnelKeys {
    let Some(section) = section else { return TunnelKeys::default() };
    let required = section.required.as_ref().filter(|required| required.value);
    if accept.gue.is_none() {
        let mend = "add `gue: {}` to `accept`, or remove the keys";
        problems.add(&section.place, "only GUE has room for a tag, and it is not accepted", mend);
    } else if let Some(required) = required.filter(|_| accept.ipip || accept.vxlan.is_some()) {
        let mend = "write `accept: {gue: {}}`, or `required: false`";
        problems.add(&required.place, "IP in IP and VXLAN have no room for a tag, and one is accepted", mend);
    }
    let list = section.keys.as_ref();
    if let Some(list) = list.filter(|list| list.is_empty()) {
        problems.add(&list.place, "there is no key", "list the keys of the gateways, or remove `tunnelKeys`");
    }
    let list = list.map_or(&[][..], |list| &list.value);
    each_epoch_once(list, problems);
    let keys = list.iter().filter_map(|section| key(section, base, problems)).collect();
    TunnelKeys { required: required.is_some(), keys }
}

fn each_epoch_once(list: &[Located<file::TunnelKey>], problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for epoch in list.iter().filter_map(|key| key.epoch.as_ref()) {
        if let Some(line) = seen.insert(epoch.value.0, epoch.place.line) {
            let reason = format!("epoch {} stands in line {line} already", epoch.value.0);
            problems.add(&epoch.place, reason, "give each key a number of its own");
        }
    }
}
