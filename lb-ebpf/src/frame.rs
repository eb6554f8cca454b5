//! The packet's bytes, as the stages see them.

use bytemuck::Pod;

/// A frame that can be read, written and grown at its front. Offsets are in bytes from its current start.
pub trait Frame {
    /// Whether the frame has at least `length` bytes. To ask for their number would take a difference of
    /// pointers, which the kernel allows only to a loader that may see addresses (`CAP_PERFMON`).
    fn holds(&self, length: usize) -> bool;

    /// The header at `offset`; `None` if the frame ends before it does.
    fn header<T: Pod>(&self, offset: usize) -> Option<&T>;

    /// The header at `offset`, to be overwritten.
    fn header_mut<T: Pod>(&mut self, offset: usize) -> Option<&mut T>;

    /// Moves the start: `by` bytes are added in front (their content is undefined), or taken away if
    /// negative. `None` if there is no room; the frame is unchanged then.
    fn grow(&mut self, by: i32) -> Option<()>;

    /// Cuts the frame behind its first `length` bytes. `None` if it has no more than that, or cannot be cut; it is
    /// unchanged then.
    fn cut(&mut self, length: usize) -> Option<()>;

    /// Index of the interface the frame came in on.
    fn ingress(&self) -> u32;
}

/// A frame in ordinary memory, with headroom in front.
#[derive(Debug)]
pub struct SliceFrame<'a> {
    buffer: &'a mut [u8],
    start: usize,
    end: usize,
    ingress: u32,
}

impl<'a> SliceFrame<'a> {
    /// The frame from `start` to the end of `buffer`; what is before is headroom.
    pub fn new(buffer: &'a mut [u8], start: usize, ingress: u32) -> Self {
        let end = buffer.len();
        Self { buffer, start: start.min(end), end, ingress }
    }

    /// The frame as it is now.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }
}

impl Frame for SliceFrame<'_> {
    fn holds(&self, length: usize) -> bool {
        self.bytes().len() >= length
    }

    fn header<T: Pod>(&self, offset: usize) -> Option<&T> {
        let bytes = self.bytes().get(offset..)?.get(..size_of::<T>())?;
        bytemuck::try_from_bytes(bytes).ok()
    }

    fn header_mut<T: Pod>(&mut self, offset: usize) -> Option<&mut T> {
        let bytes =
            self.buffer.get_mut(self.start..self.end)?.get_mut(offset..)?.get_mut(..size_of::<T>())?;
        bytemuck::try_from_bytes_mut(bytes).ok()
    }

    fn grow(&mut self, by: i32) -> Option<()> {
        let start = self.start.checked_add_signed(isize::try_from(by).ok()?.checked_neg()?)?;
        (start <= self.end).then(|| self.start = start)
    }

    fn cut(&mut self, length: usize) -> Option<()> {
        let end = self.start.checked_add(length)?;
        (end < self.end).then(|| self.end = end)
    }

    fn ingress(&self) -> u32 {
        self.ingress
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Vlan;

    #[test]
    fn grows_into_its_headroom_and_back() {
        let mut buffer = [1_u8, 2, 3, 4, 5, 6];
        let mut frame = SliceFrame::new(&mut buffer, 4, 1);
        assert_eq!(frame.bytes(), [5, 6]);
        assert_eq!(frame.grow(5), None);
        assert_eq!(frame.grow(4), Some(()));
        assert!(frame.holds(6) && !frame.holds(7));
        assert_eq!(frame.grow(-6), Some(()));
        assert_eq!(frame.grow(-1), None);
    }

    #[test]
    fn is_cut_behind_what_stays() {
        let mut buffer = [1_u8, 2, 3, 4, 5, 6];
        let mut frame = SliceFrame::new(&mut buffer, 2, 1);
        assert_eq!((frame.cut(4), frame.cut(5)), (None, None));
        assert_eq!(frame.cut(2), Some(()));
        assert_eq!(frame.bytes(), [3, 4]);
        assert!(frame.header_mut::<Vlan>(0).is_none());
    }

    #[test]
    fn headers_end_inside_the_frame() {
        let mut buffer = [0_u8; 6];
        let mut frame = SliceFrame::new(&mut buffer, 1, 1);
        assert!(frame.header::<Vlan>(1).is_some() && frame.header::<Vlan>(2).is_none());
        assert!(frame.header_mut::<Vlan>(usize::MAX).is_none());
    }
}
