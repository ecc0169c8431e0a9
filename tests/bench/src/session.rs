//! A gateway with a platform behind it, and the payments that were made on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::gateway::{API_KEY, Gateway};
use crate::interface::Interface;
use crate::load::{self, Answer, Outcome, Plan, Requests};
use crate::messages::{Order, TENANT};
use crate::platform::Platform;

/// Enough to keep the commits full while payments are made for a later measurement.
const FILLING_CONNECTIONS: usize = 64;
const FILLING_TIME: Duration = Duration::from_secs(45);

pub struct Session {
    pub platform: Platform,
    pub gateway: Gateway,
    binary: PathBuf,
    directory: PathBuf,
    /// Where payments are, when that is not the gateway's own file.
    database: Option<String>,
    /// The place of the next payment to make.
    next: usize,
    /// Made and not yet paid.
    unpaid: Vec<Order>,
    /// Already paid: messages about them are duplicates.
    pub paid: Vec<Order>,
}

impl Session {
    /// Over APIv2.
    pub fn start(binary: &Path, directory: &Path) -> Result<Session> {
        Self::start_with(binary, directory, Interface::V2)
    }

    pub fn start_with(binary: &Path, directory: &Path, interface: Interface) -> Result<Session> {
        let platform = Platform::start(interface)?;
        let gateway = Gateway::start(binary, directory, &platform, None)?;
        let (binary, directory) = (binary.to_owned(), directory.to_owned());
        let (next, unpaid, paid) = (0, Vec::new(), Vec::new());
        Ok(Session { platform, gateway, binary, directory, database: None, next, unpaid, paid })
    }

    /// Over APIv2, with payments in a database that others may use as well, each with numbers of their own
    /// from `first` on.
    pub fn start_on(database: &str, binary: &Path, directory: &Path, first: usize) -> Result<Session> {
        let platform = Platform::start(Interface::V2)?;
        let gateway = Gateway::start_on(database, binary, directory, &platform, None)?;
        let (binary, directory, database) = (binary.to_owned(), directory.to_owned(), Some(database.to_owned()));
        let (unpaid, paid) = (Vec::new(), Vec::new());
        Ok(Session { platform, gateway, binary, directory, database, next: first, unpaid, paid })
    }

    /// The same store under a gateway with another `max_batch`.
    pub fn restart(self, max_batch: Option<u32>) -> Result<Session> {
        self.gateway.stop()?;
        let gateway = match &self.database {
            None => Gateway::start(&self.binary, &self.directory, &self.platform, max_batch)?,
            Some(database) => Gateway::start_on(database, &self.binary, &self.directory, &self.platform, max_batch)?,
        };
        Ok(Session { gateway, ..self })
    }

    /// Makes payments, at most `count`, until `time` is over: as many as the connections can.
    pub fn create(&mut self, connections: usize, count: usize, time: Duration) -> Result<Outcome> {
        self.create_as(connections, count, |plan| load::closed(plan, time))
    }

    /// Makes payments as `run` says, which is given the plan; at most `count`.
    pub fn create_as(
        &mut self,
        connections: usize,
        count: usize,
        run: impl FnOnce(&Plan<'_>) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let orders: Vec<Order> = (self.next..self.next + count).map(Order).collect();
        let path = format!("/v1/{TENANT}/payments");
        let headers = format!("authorization: Bearer {API_KEY}\r\ncontent-type: application/json\r\n");
        let requests = orders.iter().map(|order| load::post(&path, &headers, &order.create())).collect();
        let requests = Arc::new(Requests::once(requests));
        let plan = Plan { address: self.gateway.address, connections, requests: &requests, wanted: is_created };
        let outcome = run(&plan)?.whole("create").with_context(|| self.gateway.log_tail())?;
        self.next += requests.taken();
        self.unpaid.extend(&orders[..requests.taken()]);
        Ok(outcome)
    }

    /// Sees to it that at least `count` payments wait to be paid.
    pub fn fill(&mut self, count: usize) -> Result<()> {
        let missing = count.saturating_sub(self.unpaid.len());
        if missing > 0 {
            self.create(FILLING_CONNECTIONS, missing, FILLING_TIME)?;
        }
        Ok(())
    }

    /// Sends distinct messages as `run` says, which is given the plan; at most `count`.
    pub fn notify(
        &mut self,
        connections: usize,
        count: usize,
        run: impl FnOnce(&Plan<'_>) -> Result<Outcome>,
    ) -> Result<Outcome> {
        self.fill(count)?;
        let orders = self.unpaid.split_off(self.unpaid.len() - count.min(self.unpaid.len()));
        let requests = Arc::new(Requests::once(self.platform.interface().notifies(&orders)?));
        let wanted = self.platform.interface().acknowledged();
        let plan = Plan { address: self.gateway.address, connections, requests: &requests, wanted };
        let outcome = run(&plan)?.whole("notify").with_context(|| self.gateway.log_tail())?;
        let (sent, unsent) = orders.split_at(requests.taken());
        self.paid.extend(sent);
        self.unpaid.extend(unsent);
        Ok(outcome)
    }
}

fn is_created(answer: &Answer<'_>) -> bool {
    answer.status == 201
}
