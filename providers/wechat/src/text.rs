//! What WeChat's interfaces have in common about texts: their limits, nonces, and the page of H5
//! orders.

use dukou_domain::Method;
use dukou_spi::{ErrorKind, ProviderError, Random, Reason};

use crate::account::Account;

/// Longest `attach`, and longest `body` of APIv2's, in bytes. WeChat's pages on them count characters or bytes;
/// counting bytes is right either way.
pub const TEXT_BYTES: usize = 127;
/// Longest address of an H5 order's page, and longest name of it, in bytes. Both and what is around them are
/// within the 256 of APIv2's `scene_info`.
pub const H5_URL_BYTES: usize = 128;
pub const H5_NAME_BYTES: usize = 64;
/// Longest reason of a refund, in bytes.
const REFUND_TEXT_BYTES: usize = 80;

/// Whether WeChat takes the character: legal in XML, no control character, at most three bytes of
/// UTF-8.
pub fn is_carried(character: char) -> bool {
    !character.is_control() && character.len_utf8() <= 3 && !matches!(character, '\u{fffe}' | '\u{ffff}')
}

/// The longest beginning of `text` within `bytes`.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A refund has no check before it: what WeChat cannot carry is left out of its reason.
pub fn refund_reason(reason: &str) -> String {
    let carried: String = reason.chars().filter(|character| is_carried(*character)).collect();
    cut(&carried, REFUND_TEXT_BYTES).to_owned()
}

/// A foreign text as one of our messages may quote it.
pub fn quote(text: &str) -> String {
    const LIMIT: usize = 200;
    text.chars().filter(|character| !character.is_control()).take(LIMIT).collect()
}

/// 32 characters that nobody can predict.
pub fn nonce(random: &dyn Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    hex::encode(bytes)
}

/// The web page an H5 order is paid from, and its name: as configured, else the site that the
/// notify goes to.
pub fn h5_page<'a>(account: &'a Account, notify_url: &'a str) -> (&'a str, &'a str) {
    let origin_end = notify_url.find("://").map_or(0, |at| at + 3);
    let host_length = notify_url[origin_end..].find('/').unwrap_or(notify_url.len() - origin_end);
    let url = account.h5_url.as_deref().unwrap_or(&notify_url[..origin_end + host_length]);
    let host = url.split("://").nth(1).unwrap_or(url);
    (url, account.h5_name.as_deref().unwrap_or(cut(host, H5_NAME_BYTES)))
}

/// Whether WeChat takes the character in an H5 page's address or name. JSON inside of JSON or XML writes some
/// characters as two.
pub fn is_carried_in_h5(character: char) -> bool {
    is_carried(character) && !matches!(character, '"' | '\\')
}

/// Whether a token is one that this method's orders have: what is no token must not be signed.
///
/// # Errors
/// `Refused` when it is not.
pub fn check_token(method: Method, token: &str) -> Result<(), ProviderError> {
    let is_address = token.contains("://");
    let wants_address = matches!(method, Method::Native | Method::H5);
    if token.is_empty() || is_address != wants_address || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("the order's token is not one of a {method} order");
        return Err(ProviderError::new(ErrorKind::Refused, Reason::Other, message));
    }
    Ok(())
}

/// What a foreign payer is told by, in whatever form WeChat says it.
pub const FOREIGN_PAYER: &str =
    "the payer's openid belongs to another app than app_id, the one the merchant is bound to";

/// What an error text of a foreign payer looks like (`appid和openid不匹配`, `appid and openid not match`).
pub fn is_foreign_payer(description: &str) -> bool {
    let description = description.to_ascii_lowercase();
    description.contains("openid") && (description.contains("appid") || description.contains("匹配"))
}

/// What an error text of a number that stands for another order looks like (`201 商户订单号重复`,
/// `订单重入参数校验失败`).
pub fn is_repeated_number(description: &str) -> bool {
    description.contains("重复") || description.contains("重入") || description.starts_with("201")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut(&"书".repeat(127), TEXT_BYTES), "书".repeat(42));
        assert_eq!(refund_reason("a\u{0}b📚\r\nc"), "abc");
        assert_eq!(refund_reason(&"书".repeat(99)), "书".repeat(26));
    }
}
