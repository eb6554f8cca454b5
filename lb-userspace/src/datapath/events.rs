//! What the program tells the agent of, at most once a second for each kind: its ring buffer.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{Map, MapData, RingBuf};
use lb_common::abi::{Event, map};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::maps::{MapsError, open};
use super::pins::Pins;

/// The ring buffer.
pub struct Events(RingBuf<MapData>);

impl Events {
    /// Opens the pin.
    ///
    /// # Errors
    /// [`MapsError::Open`] if there is none, or another kind of map.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        let name = map::EVENTS;
        let failed = MapsError::opening(pins, name);
        Map::RingBuf(open(pins, name)?).try_into().map(Self).map_err(failed)
    }

    /// The next event that is there. What is no event, from a program of another version, is left out.
    pub fn take(&mut self) -> Option<Event> {
        loop {
            let item = self.0.next()?;
            if let Ok(event) = bytemuck::try_pod_read_unaligned(&item) {
                return Some(event);
            }
        }
    }

    /// To be waited for, by the runtime that this is called in.
    ///
    /// # Errors
    /// If the buffer cannot be watched.
    pub fn watched(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the buffer owns its file descriptor, never exchanges it, and closes it when it is dropped, with the
        // `AsyncFd` that it is moved into.
        let watched = unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) };
        watched.map_err(io::Error::from)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// If the buffer cannot be watched.
    pub async fn next(watched: &mut AsyncFd<Self>) -> io::Result<Event> {
        loop {
            let mut ready = watched.readable_mut().await?;
            if let Some(event) = ready.get_inner_mut().take() {
                return Ok(event);
            }
            ready.clear_ready();
        }
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
