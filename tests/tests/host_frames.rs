//! The oracle's frames through the packet's way as a library: same verdict, same bytes, same reason counted.

use std::cell::RefCell;

use lb_common::abi::{BackendEntry, Control, PoolEntry, ServiceEntry, TableEntry, VipBucket};
use lb_common::reason::Reason;
use lb_ebpf::frame::SliceFrame;
use lb_ebpf::pipeline::process;
use lb_ebpf::tables::Tables;
use lb_ebpf::verdict::Action;
use lb_tests::fixture::{Case, Expected, World, cases};
use lb_userspace::reconcile::MemoryMaps;

const INTERFACE: u32 = 1;
const HEADROOM: usize = 64;

/// The maps, and what was counted.
struct Counted {
    maps: MemoryMaps,
    reasons: RefCell<Vec<u32>>,
    sent: RefCell<usize>,
}

impl Tables for Counted {
    fn control(&self) -> Option<&Control> {
        self.maps.control()
    }
    fn filter(&self, word: u32) -> Option<u64> {
        self.maps.filter(word)
    }
    fn bucket(&self, index: u32) -> Option<&VipBucket> {
        self.maps.bucket(index)
    }
    fn service(&self, index: u32) -> Option<&ServiceEntry> {
        self.maps.service(index)
    }
    fn pool(&self, index: u32) -> Option<PoolEntry> {
        self.maps.pool(index)
    }
    fn table(&self, index: u32) -> Option<&TableEntry> {
        self.maps.table(index)
    }
    fn slab(&self, word: u32) -> Option<u64> {
        self.maps.slab(word)
    }
    fn backend(&self, index: u32) -> Option<&BackendEntry> {
        self.maps.backend(index)
    }
    fn count_sent(&self, _service: u32, _backend: u32, _bytes: u64) {
        *self.sent.borrow_mut() += 1;
    }
    fn count_dropped(&self, _service: u32) {}
    fn count_reason(&self, reason: u32) {
        self.reasons.borrow_mut().push(reason);
    }
}

fn run(case: &Case, tables: &Counted) {
    let mut buffer = vec![0; HEADROOM];
    buffer.extend(&case.input);
    let mut frame = SliceFrame::new(&mut buffer, HEADROOM, INTERFACE);
    let action = process(&mut frame, tables);
    let about = &case.about;
    match &case.expected {
        Expected::Pass => assert_eq!((action, frame.bytes()), (Action::Pass, &case.input[..]), "{about}"),
        Expected::Transmit(bytes) => {
            assert_eq!((action, frame.bytes()), (Action::Transmit, &bytes[..]), "{about}");
        }
        Expected::Drop(reason) => {
            let counted = tables.reasons.borrow().last().map(|&number| Reason::ALL[number as usize].name());
            assert_eq!((action, counted), (Action::Drop, Some(reason.as_str())), "{about}");
        }
    }
}

#[test]
fn every_frame_comes_out_as_the_oracle_says() {
    let mut maps = MemoryMaps::new(&World::sizes());
    World::load().unwrap().install(&mut maps, INTERFACE).unwrap();
    let tables = Counted { maps, reasons: RefCell::default(), sent: RefCell::default() };
    let cases = cases().unwrap();
    let sent = cases.iter().filter(|case| matches!(case.expected, Expected::Transmit(_))).count();
    assert!(sent > 50, "{sent} frames that are sent");
    cases.iter().for_each(|case| run(case, &tables));
    assert!(*tables.sent.borrow() >= sent);
}
