//! Which of WeChat Pay's interfaces the merchant uses: its section of the configuration, what is sent
//! to the gateway, and what the platform answers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};

use crate::load::{self, Answer};
use crate::machine;
use crate::messages::{APP_ID, MCH_ID, Order, PROVIDER, TENANT, accepted};
use crate::wechat_v3::Keys;

#[derive(Clone)]
pub enum Interface {
    V2,
    V3(Arc<Keys>),
}

impl Interface {
    /// The provider's section; what it names is written into `directory`.
    pub fn configure(&self, directory: &Path, platform: SocketAddr) -> Result<String> {
        let own = match self {
            Interface::V2 => format!(
                "kind = \"wechat-v2\"\napp_id = \"{APP_ID}\"\nmch_id = \"{MCH_ID}\"\napi_key = \"env:BENCH_PLATFORM_KEY\"\n"
            ),
            Interface::V3(keys) => keys.configure(directory)?,
        };
        Ok(format!("[providers.{PROVIDER}]\n{own}base_url = \"http://{platform}\"\n"))
    }

    /// The start of a request that makes an order.
    pub const fn order_line(&self) -> &'static str {
        match self {
            Interface::V2 => "POST /pay/unifiedorder ",
            Interface::V3(_) => "POST /v3/pay/transactions/jsapi ",
        }
    }

    /// The platform's answer to an order, whole.
    pub fn accepted(&self, number: u64) -> Result<Vec<u8>> {
        match self {
            Interface::V2 => {
                let body = accepted(number);
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\n\r\n");
                Ok([head.as_bytes(), body.as_bytes()].concat())
            }
            Interface::V3(keys) => keys.accepted(),
        }
    }

    /// The platform's messages that the orders were paid, on all cores.
    pub fn notifies(&self, orders: &[Order]) -> Result<Vec<Vec<u8>>> {
        let share = orders.len().div_ceil(machine::cores()).max(1);
        thread::scope(|scope| {
            let shares = orders.chunks(share);
            let running: Vec<_> = shares.map(|share| scope.spawn(|| self.notifies_alone(share))).collect();
            let made =
                running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread died"))));
            made.collect::<Result<Vec<_>>>().map(|parts| parts.concat())
        })
    }

    fn notifies_alone(&self, orders: &[Order]) -> Result<Vec<Vec<u8>>> {
        let path = format!("/notify/{TENANT}/{PROVIDER}/payment");
        let one = |order: &Order| match self {
            Interface::V2 => Ok(load::post(&path, "content-type: text/xml\r\n", &order.notify())),
            Interface::V3(keys) => {
                let (headers, body) = keys.notify(*order)?;
                Ok(load::post(&path, &format!("content-type: application/json\r\n{headers}"), &body))
            }
        };
        orders.iter().map(one).collect()
    }

    /// Whether an answer to a notify is success: in the platform's own words.
    pub const fn acknowledged(&self) -> fn(&Answer<'_>) -> bool {
        match self {
            Interface::V2 => |answer| {
                let word = b"<return_code><![CDATA[SUCCESS]]></return_code>";
                answer.status == 200 && answer.body.windows(word.len()).any(|part| part == word)
            },
            Interface::V3(_) => |answer| matches!(answer.status, 200 | 204),
        }
    }
}
