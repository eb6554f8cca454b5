//! How much stack a program takes. The kernel allows 512 bytes to a chain of calls, and kernels such as 5.10 and 6.1
//! count each frame rounded up to 32 (`check_max_stack_depth` in kernel/bpf/verifier.c): a program that the newest
//! kernel takes may be refused there.

use std::collections::BTreeMap;

/// `MAX_BPF_STACK`.
const MOST: usize = 512;
/// What a frame is rounded up to, at least one.
const UNIT: usize = 32;
/// More calls in a chain than any program has; the kernel allows eight.
const DEEPEST: usize = 8;

const INSTRUCTION: usize = 8;
/// The register that points behind the frame.
const FRAME_POINTER: u8 = 10;
/// Classes of instructions: the lower three bits of the opcode.
const LOAD: u8 = 1;
const STORES: [u8; 2] = [2, 3];
/// `BPF_ALU64 | BPF_MOV | BPF_X` and `BPF_ALU64 | BPF_ADD | BPF_K`: how an address in the frame is made.
const COPY: u8 = 0xbf;
const ADD: u8 = 0x07;

/// A function's frame in bytes, and whom it calls.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) frame: usize,
    pub(super) calls: Vec<String>,
}

/// Bytes of the frame of a function: the lowest place that it names.
pub(super) fn frame(code: &[u8]) -> usize {
    let mut lowest = 0;
    let mut copied = false;
    for instruction in code.chunks_exact(INSTRUCTION) {
        let &[opcode, registers, low, high, a, b, c, d] = instruction else { continue };
        let (to, from) = (registers & 15, registers >> 4);
        let offset = i64::from(i16::from_le_bytes([low, high]));
        let number = i64::from(i32::from_le_bytes([a, b, c, d]));
        let class = opcode & 7;
        if class == LOAD && from == FRAME_POINTER || STORES.contains(&class) && to == FRAME_POINTER {
            lowest = lowest.min(offset);
        } else if copied && opcode == ADD {
            lowest = lowest.min(number);
        }
        copied = opcode == COPY && from == FRAME_POINTER;
    }
    usize::try_from(-lowest).unwrap_or(usize::MAX)
}

/// The chains that are too deep, as sentences with their mend. A program begins where nobody calls.
pub(super) fn faults(functions: &BTreeMap<String, Function>) -> Vec<String> {
    let called = |name: &String| functions.values().any(|function| function.calls.contains(name));
    let entries = functions.keys().filter(|name| !called(name));
    let deep = entries.filter_map(|name| {
        let (bytes, chain) = deepest(name, functions, DEEPEST);
        (bytes > MOST).then(|| {
            let chain = chain.join(" > ");
            format!(
                "{name}: {bytes} bytes of stack of {MOST} by the count of Linux 5.10 ({chain}): keep less across calls, \
                 or make keys of maps in functions of their own that are called with numbers"
            )
        })
    });
    deep.collect()
}

/// The chain that takes most, and its bytes as old kernels count them.
fn deepest(name: &str, functions: &BTreeMap<String, Function>, levels: usize) -> (usize, Vec<String>) {
    let Some(function) = functions.get(name).filter(|_| levels > 0) else { return (0, Vec::new()) };
    let below = function.calls.iter().map(|callee| deepest(callee, functions, levels - 1));
    let (bytes, chain) = below.max_by_key(|(bytes, _)| *bytes).unwrap_or_default();
    let own = function.frame.max(1).next_multiple_of(UNIT);
    (own + bytes, [vec![format!("{name} {own}")], chain].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_deep_as_its_lowest_place() {
        let store = [0x7b, 0x1a, 0xf8, 0xff, 0, 0, 0, 0];
        let load = [0x79, 0xa2, 0xe0, 0xff, 0, 0, 0, 0];
        let address = [[COPY, 0xa2, 0, 0, 0, 0, 0, 0], [ADD, 0x02, 0, 0, 0xb0, 0xff, 0xff, 0xff]].concat();
        assert_eq!(frame(&store), 8);
        assert_eq!(frame(&[store, load].concat()), 32);
        assert_eq!(frame(&[&store[..], &address].concat()), 80);
        let packet = [0x79, 0x12, 0x00, 0x80, 0, 0, 0, 0];
        assert_eq!(frame(&[&packet[..], &address[8..]].concat()), 0, "of other registers");
    }

    #[test]
    fn frames_of_a_chain_add_up_in_units() {
        let function = |frame, calls: &[&str]| Function {
            frame,
            calls: calls.iter().map(|name| (*name).to_owned()).collect(),
        };
        let functions = |inner| {
            BTreeMap::from([
                ("entry".to_owned(), function(0, &["walk", "other"])),
                ("walk".to_owned(), function(inner, &["rare"])),
                ("rare".to_owned(), function(136, &[])),
                ("other".to_owned(), function(480, &[])),
            ])
        };
        assert!(faults(&functions(320)).is_empty(), "32 + 320 + 160");
        let faults = faults(&functions(321));
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("544 bytes") && faults[0].contains("walk 352 > rare 160"), "{faults:?}");
    }
}
