//! Threads that work until they are told to stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

/// Threads with one flag that tells them to stop. Dropped, it tells them and waits for them.
#[derive(Debug, Default)]
pub(super) struct Crew {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// One more thread. It belongs to the namespace in which this is called; `work` is to return soon after the
    /// flag that it is given is set.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub(super) fn hire(
        &mut self,
        builder: Builder,
        work: impl FnOnce(&Arc<AtomicBool>) + Send + 'static,
    ) -> io::Result<()> {
        let stop = Arc::clone(&self.stop);
        self.threads.push(builder.spawn(move || work(&stop))?);
        Ok(())
    }

    /// Tells all threads to stop, and waits until they have.
    pub(super) fn dismiss(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to stop.
            let _ = thread.join();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.dismiss();
    }
}
