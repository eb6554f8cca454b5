//! The benchmarks' cases do what they say, on this kernel, with these programs.

use std::thread;

use anyhow::Result;
use lb_tests::bench::rehearse;
use lb_tests::lab::is_root;

/// On a thread of its own, for it claims a processor.
#[test]
fn every_case_of_the_benchmarks_does_what_it_says() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    thread::scope(|scope| scope.spawn(rehearse).join()).expect("rehearse does not panic")
}
