//! What the kernel can do and what it holds, asked without changing anything.

use aya::maps::MapType;
use aya::programs::{ProgramType, loaded_programs};
use aya::sys::{is_map_supported, is_program_supported};

/// Kinds of maps that the programs use, by their names in `bpftool feature`.
const MAPS: [(&str, MapType); 8] = [
    ("array maps", MapType::Array),
    ("percpu_array maps", MapType::PerCpuArray),
    ("hash maps", MapType::Hash),
    ("lru_hash maps", MapType::LruHash),
    ("lpm_trie maps", MapType::LpmTrie),
    ("devmap_hash maps", MapType::DevMapHash),
    ("prog_array maps", MapType::ProgramArray),
    ("ringbuf maps", MapType::RingBuf),
];

/// What the programs need and this kernel does not have. Each is tried with an object that is closed at once.
///
/// # Errors
/// What the kernel said, where it did not let itself be asked: `CAP_BPF` is needed.
pub fn unsupported() -> Result<Vec<&'static str>, String> {
    let mut missing = Vec::new();
    if !is_program_supported(ProgramType::Xdp).map_err(|error| error.to_string())? {
        missing.push("XDP programs");
    }
    for (name, kind) in MAPS {
        if !is_map_supported(kind).map_err(|error| error.to_string())? {
            missing.push(name);
        }
    }
    Ok(missing)
}

/// What a loaded program is called in its object; `None` if there is none of that number, or this process may not
/// ask (`CAP_SYS_ADMIN`).
pub fn program_name(id: u32) -> Option<String> {
    let program = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id)?;
    program.name_as_str().map(str::to_owned)
}
