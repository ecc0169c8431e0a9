//! Faults set by a test: what goes wrong, with which call, how often.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use crate::lock;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The call waits, then goes its normal way.
    Delay { ms: u64 },
    /// The call takes effect; the connection is closed without an answer.
    LoseAnswer,
    /// Nothing is answered for a while, then the connection is closed.
    Hang {
        ms: u64,
        #[serde(default)]
        after_effect: bool,
    },
    /// The connection is closed before anything happened.
    Drop,
    /// `result_code=FAIL` with this code, signed; in v3 an error answer.
    ErrCode {
        code: String,
        #[serde(default)]
        description: String,
        #[serde(default)]
        after_effect: bool,
        /// v3: the HTTP status; left out, the one that the documents list beside the code.
        #[serde(default)]
        status: Option<u16>,
    },
    /// `return_code=FAIL`, unsigned; in v3 an unsigned 401.
    ReturnFail { message: String },
    /// Another HTTP answer than XML.
    Http {
        status: u16,
        #[serde(default)]
        body: String,
        #[serde(default)]
        after_effect: bool,
    },
    /// A normal answer whose body takes so long to come.
    SlowBody { ms: u64 },
    /// A normal answer whose connection is closed in the middle of the body.
    CutBody,
    /// A normal answer whose signature is wrong.
    BadSignature,
    /// v3: a normal answer whose signature headers are not as they should be.
    Signature { damage: SignatureFault },
    /// A normal answer that ends in the middle.
    Truncate,
    /// A normal answer with one field twice.
    DuplicateField,
    /// A normal answer with an extra, correctly signed field of so many bytes.
    HugeAnswer { bytes: usize },
}

/// What is wrong with the signature headers of a v3 answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SignatureFault {
    /// A probe (签名探测流量).
    Probe,
    /// There are none.
    Missing,
    /// The signature comes twice.
    Doubled,
    /// Signed by a key, rightly, under a serial nobody knows.
    UnknownSerial,
    /// Signed so many seconds ago; negative: ahead of time.
    Late { seconds: i64 },
}

impl Fault {
    /// For the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::LoseAnswer => "lose_answer",
            Self::Hang { .. } => "hang",
            Self::Drop => "drop",
            Self::ErrCode { .. } => "err_code",
            Self::ReturnFail { .. } => "return_fail",
            Self::Http { .. } => "http",
            Self::SlowBody { .. } => "slow_body",
            Self::CutBody => "cut_body",
            Self::BadSignature => "bad_signature",
            Self::Signature { .. } => "signature",
            Self::Truncate => "truncate",
            Self::DuplicateField => "duplicate_field",
            Self::HugeAnswer { .. } => "huge_answer",
        }
    }
}

/// A fault and when it strikes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(skip_deserializing)]
    pub id: u64,
    /// An operation's name, or `*` for all.
    pub operation: String,
    pub mch_id: Option<String>,
    pub out_trade_no: Option<String>,
    pub out_refund_no: Option<String>,
    /// How many calls it strikes; without it, all until the fault is deleted.
    pub times: Option<u64>,
    pub fault: Fault,
}

/// Refuses a name that none of the operations has: such a fault would never strike, and a test that set it would pass
/// for the wrong reason.
///
/// # Errors
/// The names that there are.
pub fn check_operation(name: &str, operations: impl Iterator<Item = &'static str>) -> Result<(), String> {
    let known: Vec<&str> = operations.chain(["*"]).collect();
    if known.contains(&name) {
        return Ok(());
    }
    Err(format!("there is no operation {name:?} here; expected one of {}", known.join(", ")))
}

/// The call a fault is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    pub operation: &'a str,
    pub mch_id: Option<&'a str>,
    pub out_trade_no: Option<&'a str>,
    pub out_refund_no: Option<&'a str>,
}

/// The faults that are set, in the order they were set; the first that fits strikes.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    count: AtomicUsize,
    next: AtomicUsize,
}

impl Faults {
    pub fn add(&self, mut rule: Rule) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed) as u64 + 1;
        rule.id = id;
        let mut rules = lock(&self.rules);
        rules.push(rule);
        self.count.store(rules.len(), Ordering::Release);
        id
    }

    pub fn all(&self) -> Vec<Rule> {
        lock(&self.rules).clone()
    }

    pub fn clear(&self) {
        lock(&self.rules).clear();
        self.count.store(0, Ordering::Release);
    }

    /// The fault for this call, counted down.
    pub fn take(&self, call: Call<'_>) -> Option<Fault> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let fits =
            |wanted: &Option<String>, got: Option<&str>| wanted.as_deref().is_none_or(|wanted| got == Some(wanted));
        let mut rules = lock(&self.rules);
        let at = rules.iter().position(|rule| {
            (rule.operation == "*" || rule.operation == call.operation)
                && fits(&rule.mch_id, call.mch_id)
                && fits(&rule.out_trade_no, call.out_trade_no)
                && fits(&rule.out_refund_no, call.out_refund_no)
        })?;
        let fault = rules[at].fault.clone();
        match &mut rules[at].times {
            Some(0 | 1) => {
                rules.remove(at);
                self.count.store(rules.len(), Ordering::Release);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Some(fault)
    }
}
