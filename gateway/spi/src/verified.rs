//! Proof that a platform said something.

use subtle::ConstantTimeEq;

/// That a signature was checked and held. It comes only from the checking functions here, so a
/// [`Verified`] value cannot exist without one of them having said yes.
#[derive(Debug, Clone, Copy)]
pub struct Proof(());

impl Proof {
    /// For the checks beside this one; never outside this crate.
    pub(crate) const fn held() -> Proof {
        Proof(())
    }

    /// Compares the signature we computed with the one received, in constant time and without
    /// regard to the case of ASCII letters (hexadecimal signatures arrive in either).
    ///
    /// `None` when they differ, or when what was expected is empty: an empty signature proves
    /// nothing.
    pub fn by_keyed_digest(expected: &[u8], received: &[u8]) -> Option<Proof> {
        let expected = expected.to_ascii_uppercase();
        let received = received.to_ascii_uppercase();
        let equal: bool = expected.ct_eq(&received).into();
        (equal && !expected.is_empty()).then_some(Proof(()))
    }
}

/// A fact that a platform vouches for by its signature. Nothing else reaches the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Vouches for `fact`; the proof must be of the very message the fact was read from.
    pub fn new(fact: T, _proof: Proof) -> Self {
        Verified(fact)
    }

    /// The fact, which stays verified.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The fact alone: from here on nothing shows that it was verified.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Reads another fact out of the same verified message.
    pub fn map<U>(self, read: impl FnOnce(T) -> U) -> Verified<U> {
        Verified(read(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_equal_signature_is_a_proof() {
        let cases: [(&[u8], &[u8], bool); 5] = [
            (b"9A0A", b"9A0A", true),
            (b"9A0A", b"9a0a", true),
            (b"9A0A", b"9A0B", false),
            (b"9A0A", b"9A0A9A0A", false),
            (b"", b"", false),
        ];
        for (expected, received, holds) in cases {
            assert_eq!(Proof::by_keyed_digest(expected, received).is_some(), holds);
        }
    }
}
