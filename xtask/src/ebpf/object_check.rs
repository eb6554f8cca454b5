//! What makes the kernel refuse a program, or makes it slow, and can be seen in the object: found here
//! it has a name and a place, found by the verifier it is an opaque log.
//!
//! 1. A panic can be reached: a symbol of `core::panicking`. The verifier refuses the endless loop of
//!    the panic handler without a word about the index or the division that leads there.
//! 2. A function that was not linked in: `call -1`.
//! 3. A copy became a call of `memcpy`, `memmove` or `memset`: loops over single bytes, each verified.
//! 4. A chain of calls takes more stack than old kernels allow.

use super::stack::{self, Function};
use anyhow::{Context, Result};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SectionKind};
use std::collections::BTreeMap;

const INSTRUCTION: usize = 8;
/// `BPF_JMP | BPF_CALL`, and the source register that marks a call within the object.
const CALL: u8 = 0x85;
const WITHIN_OBJECT: u8 = 1;
/// `BPF_LD | BPF_IMM | BPF_DW`: the one instruction of two slots.
const LOAD_DOUBLE: u8 = 0x18;
const BYTE_LOOPS: [&str; 4] = ["memcpy", "memmove", "memset", "memcmp"];

/// Each reason not to load this object, as a sentence with its mend.
///
/// # Errors
/// When the bytes are not a 64-bit little-endian ELF object.
pub(super) fn faults(bytes: &[u8]) -> Result<Vec<String>> {
    let elf = ElfFile64::<object::LittleEndian>::parse(bytes).context("not an eBPF object")?;
    let symbols = elf.symbols().filter_map(|symbol| symbol.name().ok());
    let panics = symbols.filter(|name| is_panic(name)).map(|name| {
        format!("a panic can be reached ({name}): use `get`, checked arithmetic and a verdict instead")
    });
    let mut faults: Vec<String> = panics.collect();
    let mut functions: BTreeMap<String, Function> = BTreeMap::new();
    for section in elf.sections().filter(|section| section.kind() == SectionKind::Text) {
        for (name, code) in bodies(&elf, &section)? {
            functions.entry(name).or_default().frame = stack::frame(code);
        }
        for call in calls(section.data()?) {
            faults.extend(fault_of(&elf, &section, &call));
            let caller = function_at(&elf, section.index(), call.offset);
            if let (Some(caller), Some(callee)) = (caller, callee(&elf, &section, &call)) {
                functions.entry(caller).or_default().calls.push(callee);
            }
        }
    }
    faults.extend(stack::faults(&functions));
    Ok(faults)
}

/// The functions of a section, by name, and their instructions.
fn bodies<'data>(elf: &Elf<'data>, section: &Section<'data, '_>) -> Result<Vec<(String, &'data [u8])>> {
    let code = section.data()?;
    let body = |symbol: object::read::elf::ElfSymbol64<'_, '_, object::LittleEndian>| {
        let inside =
            symbol.kind() == object::SymbolKind::Text && symbol.section_index() == Some(section.index());
        let start = usize::try_from(symbol.address()).ok().filter(|_| inside)?;
        let end = start.checked_add(usize::try_from(symbol.size()).ok()?)?;
        Some((symbol.name().ok()?.to_owned(), code.get(start..end)?))
    };
    Ok(elf.symbols().filter_map(body).collect())
}

fn is_panic(symbol: &str) -> bool {
    symbol.contains("9panicking")
        || symbol.contains("core::panicking")
        || symbol.contains("rust_begin_unwind")
}

/// A call of a function in the same object.
#[derive(Debug, PartialEq)]
struct Call {
    /// Of the instruction, in bytes from the start of the section.
    offset: usize,
    /// In instructions, from the one after the call.
    distance: i32,
}

fn calls(code: &[u8]) -> Vec<Call> {
    let mut found = Vec::new();
    let mut offset = 0;
    while let Some(&[opcode, registers, _, _, a, b, c, d]) = code.get(offset..offset + INSTRUCTION) {
        if opcode == CALL && registers >> 4 == WITHIN_OBJECT {
            found.push(Call { offset, distance: i32::from_le_bytes([a, b, c, d]) });
        }
        offset += if opcode == LOAD_DOUBLE { 2 * INSTRUCTION } else { INSTRUCTION };
    }
    found
}

type Elf<'data> = ElfFile64<'data, object::LittleEndian>;
type Section<'data, 'file> = object::read::elf::ElfSection64<'data, 'file, object::LittleEndian>;

fn fault_of(elf: &Elf<'_>, section: &Section<'_, '_>, call: &Call) -> Option<String> {
    let caller = function_at(elf, section.index(), call.offset).unwrap_or_else(|| "?".to_owned());
    let place = format!("{caller}, section {}, byte {}", section.name().unwrap_or("?"), call.offset);
    let Some(target) = callee(elf, section, call) else {
        return Some(format!("{place}: calls something that was not linked in"));
    };
    let inside = BYTE_LOOPS.contains(&caller.as_str());
    (BYTE_LOOPS.contains(&target.as_str()) && !inside).then(|| {
        format!("{place}: calls {target}, a loop over bytes: copy or compare scalars or u64 arrays instead")
    })
}

/// The function called: named by a relocation when it is in another section, else by the distance.
fn callee(elf: &Elf<'_>, section: &Section<'_, '_>, call: &Call) -> Option<String> {
    let next = i64::try_from(call.offset / INSTRUCTION).ok()? + 1;
    let in_section = |index, slots: i64| function_at(elf, index, usize::try_from(slots).ok()? * INSTRUCTION);
    let relocation = section.relocations().find(|(offset, _)| *offset == call.offset as u64);
    let Some((_, relocation)) = relocation else {
        return in_section(section.index(), next + i64::from(call.distance));
    };
    let RelocationTarget::Symbol(index) = relocation.target() else { return None };
    let symbol = elf.symbol_by_index(index).ok()?;
    match symbol.kind() {
        object::SymbolKind::Section => in_section(symbol.section_index()?, i64::from(call.distance) + 1),
        _ if symbol.is_undefined() => None,
        _ => symbol.name().ok().map(str::to_owned),
    }
}

fn function_at(elf: &Elf<'_>, section: SectionIndex, offset: usize) -> Option<String> {
    let offset = offset as u64;
    let within = |symbol: &object::read::elf::ElfSymbol64<'_, '_, object::LittleEndian>| {
        let covers = (symbol.address()..symbol.address() + symbol.size()).contains(&offset);
        symbol.kind() == object::SymbolKind::Text && symbol.section_index() == Some(section) && covers
    };
    elf.symbols().find(within).and_then(|symbol| symbol.name().ok().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_and_a_wide_load_is_one_instruction() {
        let mut code = vec![LOAD_DOUBLE, 0x11, 0, 0, 1, 0, 0, 0];
        // The second half of the load looks like a call.
        code.extend([CALL, 0x10, 0, 0, 9, 0, 0, 0]);
        code.extend([CALL, 0x10, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
        // A call of a kernel helper, then a return.
        code.extend([CALL, 0x00, 0, 0, 1, 0, 0, 0]);
        code.extend([0x95, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(calls(&code), [Call { offset: 16, distance: -2 }]);
    }

    #[test]
    fn panic_symbols_are_known_in_both_manglings() {
        assert!(is_panic("_ZN4core9panicking18panic_bounds_check17h0123456789abcdefE"));
        assert!(is_panic("_RNvNtCs1_4core9panicking5panic"));
        assert!(is_panic("_RNvCs1_7___rustc17rust_begin_unwind"));
        assert!(!is_panic("gateway") && !is_panic("memcpy"));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        assert!(faults(b"\x7fELF").is_err());
    }
}
