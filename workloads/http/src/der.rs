//! The little of DER (ITU-T X.690) that keys and certificates need: elements within elements.

/// Tags of elements.
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const VERSION: u8 = 0xa0;

/// Elements that are not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next element, whatever its tag.
    pub(crate) fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// The elements of the next element, a sequence.
    pub(crate) fn sequence(&mut self) -> Option<Self> {
        self.next(SEQUENCE).map(Self)
    }

    /// Passes over the next element if it has this tag.
    pub(crate) fn skip(&mut self, tag: u8) {
        let mut ahead = *self;
        if ahead.next(tag).is_some() {
            *self = ahead;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_one_after_the_other() {
        let mut elements = Elements::new(&[0x30, 3, 2, 1, 7, 4, 0]);
        assert_eq!(elements.sequence().unwrap().next(INTEGER), Some(&[7][..]));
        assert_eq!(elements.any(), Some((4, &[][..])));
        assert_eq!(elements.any(), None);
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        for bytes in [&[0x30][..], &[0x30, 1], &[0x30, 0x80], &[0x30, 0x85, 1, 1, 1, 1, 1, 1]] {
            assert_eq!(Elements::new(bytes).any(), None, "{bytes:?}");
        }
        let long = [&[4, 0x81, 200][..], &[1; 200]].concat();
        assert_eq!(Elements::new(&long).any().unwrap().1.len(), 200);
    }
}
