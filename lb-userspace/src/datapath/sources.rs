//! What sources may begin: the buckets, to be looked at.

use aya::maps::{HashMap, Map, MapData};
use lb_common::abi::{SourceBucket, SourceKey, map};

use super::maps::{MapsError, Wire, open};
use super::pins::Pins;

/// All buckets, in no order. While the program makes others, some may be left out.
///
/// # Errors
/// [`MapsError::Open`] if the map is not pinned, or another kind of map.
pub fn all(pins: &Pins) -> Result<Vec<(SourceKey, SourceBucket)>, MapsError> {
    let name = map::SOURCE_BUCKETS;
    let failed = MapsError::opening(pins, name);
    let map: HashMap<MapData, Wire<SourceKey>, Wire<SourceBucket>> =
        Map::LruHashMap(open(pins, name)?).try_into().map_err(failed)?;
    // An entry that goes while it is read is no longer there to be shown.
    Ok(map.iter().filter_map(Result::ok).map(|(Wire(key), Wire(bucket))| (key, bucket)).collect())
}
