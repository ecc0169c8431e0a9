//! Page cursors: opaque to callers, a place in one of the lists to us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dukou_domain::Timestamp;
use dukou_engine::records::PageCursor;
use uuid::Uuid;

/// One byte for the list, eight of time, sixteen of identifier.
const LENGTH: usize = 25;
/// The same in base64 without padding.
const TEXT_LENGTH: usize = 34;

/// Which list a cursor is of: a place in one means nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Payments,
    RefundRequests,
    Deliveries,
}

impl List {
    const fn mark(self) -> u8 {
        match self {
            List::Payments => b'p',
            List::RefundRequests => b'r',
            List::Deliveries => b'd',
        }
    }

    pub fn encode(self, cursor: PageCursor) -> String {
        let mut bytes = [self.mark(); LENGTH];
        bytes[1..9].copy_from_slice(&cursor.created_at.as_millis().to_be_bytes());
        bytes[9..].copy_from_slice(cursor.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` for anything that [`encode`](List::encode) did not make for this list.
    pub fn decode(self, text: &str) -> Option<PageCursor> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let place = bytes.strip_prefix(&[self.mark()])?;
        let (millis, id) = place.split_first_chunk::<8>()?;
        let created_at = Timestamp::from_millis(i64::from_be_bytes(*millis));
        Some(PageCursor { created_at, id: Uuid::from_slice(id).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LISTS: [List; 3] = [List::Payments, List::RefundRequests, List::Deliveries];

    proptest! {
        #[test]
        fn reads_back_in_its_own_list_alone(millis: i64, id: u128) {
            let cursor = PageCursor { created_at: Timestamp::from_millis(millis), id: Uuid::from_u128(id) };
            for list in LISTS {
                for other in LISTS {
                    prop_assert_eq!(other.decode(&list.encode(cursor)), (other == list).then_some(cursor));
                }
            }
        }

        #[test]
        fn any_text_is_an_answer_not_a_panic(text in "\\PC{0,40}") {
            for list in LISTS {
                if let Some(cursor) = list.decode(&text) {
                    prop_assert_eq!(list.encode(cursor), text.clone());
                }
            }
        }
    }
}
