//! A bill in two steps: a signed answer names the file and its hash, the file itself is not signed.

use dukou_spi::{Bill, ErrorKind, FundBill, ProviderError, Reason};
use serde::Deserialize;

use super::client::{Client, Request};
use super::map::Call;
use crate::bill::{self, BillError, Hashed};
use crate::hosts::unreadable;

/// WeChat's own hosts for files; a sandbox's file is on the account's host.
const HOSTS: [&str; 3] =
    ["https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com", "https://payapp.weixin.qq.com"];

#[derive(Deserialize)]
struct File {
    hash_type: String,
    hash_value: String,
    download_url: String,
}

/// # Errors
/// `NotSent` while WeChat is still writing it. A day without trade is an empty bill.
pub async fn trade(client: &Client, target: String) -> Result<Bill, ProviderError> {
    fetch(client, target, bill::parse).await
}

/// # Errors
/// As [`trade`].
pub async fn fund(client: &Client, target: String) -> Result<FundBill, ProviderError> {
    fetch(client, target, bill::parse_fund).await
}

async fn fetch<T: Default>(
    client: &Client,
    target: String,
    parse: fn(&[u8]) -> Result<Hashed<T>, BillError>,
) -> Result<T, ProviderError> {
    let request = Request { call: Call::Bill, target, body: None };
    let signed = client.send(request).await?;
    if signed.code().is_some_and(|code| matches!(code.as_str(), "NOSTATEMENTEXIST" | "NOBILLEXIST")) {
        return Ok(T::default());
    }
    let file: File = signed.json()?;
    if file.hash_type != "SHA1" {
        return Err(unreadable("the bill's hash_type is not SHA1"));
    }
    let (base, target) = pinned(client, &file.download_url)?;
    let answer = client.download(base, target).await?;
    if answer.status != 200 {
        let message = format!("the bill's http status is {}, expected 200", answer.status);
        return Err(ProviderError::new(ErrorKind::Unknown, Reason::Platform, message));
    }
    let bill = parse(&answer.body).map_err(|error| unreadable(error.to_string()).with_source(error))?;
    if !bill.sha1.eq_ignore_ascii_case(&file.hash_value) {
        return Err(unreadable("the bill's file is not the one that was signed: its hash differs"));
    }
    Ok(bill.content)
}

/// Our signature goes to WeChat's hosts alone.
fn pinned<'a>(client: &'a Client, url: &'a str) -> Result<(&'a str, &'a str), ProviderError> {
    let own = client.account.base_url.as_str();
    let hosts = if client.account.is_production() { &HOSTS[..] } else { &[] };
    [own]
        .iter()
        .chain(hosts)
        .find_map(|base| {
            let target = url.strip_prefix(*base)?;
            target.starts_with('/').then_some((*base, target))
        })
        .ok_or_else(|| unreadable("the bill's download_url is not on WeChat Pay's hosts"))
}
