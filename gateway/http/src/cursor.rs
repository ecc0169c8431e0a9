//! Page cursors: opaque to callers, a place in the list to us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dukou_domain::Timestamp;
use dukou_engine::records::PageCursor;
use uuid::Uuid;

/// Eight bytes of time, sixteen of identifier.
const LENGTH: usize = 24;

pub fn encode(cursor: PageCursor) -> String {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(&cursor.created_at.as_millis().to_be_bytes());
    bytes[8..].copy_from_slice(cursor.id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `None` for anything that [`encode`] did not make.
pub fn decode(text: &str) -> Option<PageCursor> {
    if text.len() != LENGTH / 3 * 4 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (millis, id) = bytes.split_first_chunk::<8>()?;
    let created_at = Timestamp::from_millis(i64::from_be_bytes(*millis));
    Some(PageCursor { created_at, id: Uuid::from_slice(id).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_back(millis: i64, id: u128) {
            let cursor = PageCursor { created_at: Timestamp::from_millis(millis), id: Uuid::from_u128(id) };
            prop_assert_eq!(decode(&encode(cursor)), Some(cursor));
        }

        #[test]
        fn any_text_is_an_answer_not_a_panic(text in "\\PC{0,40}") {
            if let Some(cursor) = decode(&text) {
                prop_assert_eq!(encode(cursor), text);
            }
        }
    }
}
