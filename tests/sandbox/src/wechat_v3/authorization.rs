//! The signature of requests: `Authorization: WECHATPAY2-SHA256-RSA2048 mchid="…",…`.

/// The scheme in `Authorization`, and the value of `Wechatpay-Signature-Type`.
pub const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";
/// The longest `nonce_str`.
const MAX_NONCE: usize = 32;

/// The five values of the header.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization {
    pub mchid: String,
    pub serial_no: String,
    /// Unix seconds.
    pub timestamp: String,
    pub nonce_str: String,
    pub signature: String,
}

impl Authorization {
    /// Reads the header: the scheme, one space, then the five pairs in any order, each once.
    pub fn parse(header: &str) -> Option<Self> {
        let pairs = header.strip_prefix(SCHEME)?.strip_prefix(' ')?;
        let mut found = [const { None }; 5];
        for pair in pairs.split(',') {
            let (name, value) = pair.trim().split_once('=')?;
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            let at = ["mchid", "serial_no", "timestamp", "nonce_str", "signature"].iter().position(|n| *n == name)?;
            if value.is_empty() || value.contains('"') || found[at].replace(value.to_owned()).is_some() {
                return None;
            }
        }
        let [mchid, serial_no, timestamp, nonce_str, signature] = found;
        let read = Self {
            mchid: mchid?,
            serial_no: serial_no?,
            timestamp: timestamp?,
            nonce_str: nonce_str?,
            signature: signature?,
        };
        let plain = read.timestamp.bytes().all(|byte| byte.is_ascii_digit());
        (plain && read.nonce_str.len() <= MAX_NONCE).then_some(read)
    }

    /// The text that is signed. `target` is the path and query as they came over the wire.
    pub fn message(&self, method: &str, target: &str, body: &[u8]) -> Vec<u8> {
        let Self { timestamp, nonce_str, .. } = self;
        let mut message = format!("{method}\n{target}\n{timestamp}\n{nonce_str}\n").into_bytes();
        message.extend_from_slice(body);
        message.push(b'\n');
        message
    }
}

/// The text that is signed in an answer or a notification.
pub fn answer_message(timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    let mut message = format!("{timestamp}\n{nonce}\n").into_bytes();
    message.extend_from_slice(body);
    message.push(b'\n');
    message
}
