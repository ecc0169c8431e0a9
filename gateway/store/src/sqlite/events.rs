//! The event log and the messages that were kept.

use dukou_domain::{EventId, TenantId};
use dukou_engine::ports::StoreError;
use dukou_engine::records::{Event, NewEvent, Notification, NotificationKey, Recorded};
use rusqlite::{Connection, OptionalExtension, params};

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use crate::codec;
use crate::rows::{self, ReadColumns as _};

const INSERT_EVENT: &str =
    "INSERT INTO events (position, id, tenant, kind, at, subject, payment) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const EVENTS_AFTER: &str = "SELECT position, id, kind, at, subject FROM events INDEXED BY events_tenant \
     WHERE tenant = ?1 AND position > ?2 ORDER BY position LIMIT ?3";

const EVENTS_FROM: &str =
    "SELECT position, id, kind, at, subject, tenant FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";

const POSITION_OF: &str = "SELECT position FROM events WHERE id = ?1 AND tenant = ?2";

const FIND_NOTIFICATION: &str =
    "SELECT outcome FROM notifications WHERE digest = ?1 AND tenant = ?2 AND provider = ?3 AND kind = ?4";

/// A message that was kept as one about an unknown order may find its order later.
const PUT_NOTIFICATION: &str = "INSERT INTO notifications (digest, tenant, provider, kind, outcome, payment, \
     trade_no, received_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
     ON CONFLICT (digest, tenant, provider, kind) DO UPDATE SET outcome = excluded.outcome, \
     payment = excluded.payment WHERE notifications.outcome = 'unknown_order'";

pub(super) fn append(w: &mut Writing<'_>, event: &NewEvent) -> Result<()> {
    let position = w.next_position();
    w.execute(
        INSERT_EVENT,
        params![
            position,
            event.id.as_uuid().into_bytes(),
            event.tenant.as_str(),
            event.kind.as_str(),
            event.at.as_millis(),
            codec::write_subject(&event.subject)?,
            event.subject.payment().map(|payment| payment.as_uuid().into_bytes()),
        ],
    )?;
    Ok(())
}

pub(super) fn after(connection: &Connection, tenant: &TenantId, position: i64, limit: u32) -> Result<Vec<Event>> {
    let mut statement = connection.prepare_cached(EVENTS_AFTER).map_err(store_error)?;
    let mut rows = statement.query(params![tenant.as_str(), position, limit]).map_err(store_error)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        events.push(rows::event(&mut Columns::new(row), |_| Ok(tenant.clone()))?);
    }
    Ok(events)
}

/// As [`after`], of all tenants.
pub(super) fn from(connection: &Connection, position: i64, limit: u32) -> Result<Vec<Event>> {
    let mut statement = connection.prepare_cached(EVENTS_FROM).map_err(store_error)?;
    let mut rows = statement.query(params![position, limit]).map_err(store_error)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        events.push(rows::event(&mut Columns::new(row), |c| c.id(TenantId::new))?);
    }
    Ok(events)
}

pub(super) fn position_of(connection: &Connection, tenant: &TenantId, id: EventId) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached(POSITION_OF).map_err(store_error)?;
    statement
        .query_row(params![id.as_uuid().into_bytes(), tenant.as_str()], |row| row.get(0))
        .optional()
        .map_err(store_error)
}

pub(super) fn find_notification(connection: &Connection, key: &NotificationKey) -> Result<Option<Recorded>> {
    let mut statement = connection.prepare_cached(FIND_NOTIFICATION).map_err(store_error)?;
    let mut rows = statement
        .query(params![key.digest, key.tenant.as_str(), key.provider.as_str(), key.kind.as_str()])
        .map_err(store_error)?;
    rows.next().map_err(store_error)?.map(|row| Columns::new(row).word(Recorded::parse)).transpose()
}

pub(super) fn put_notification(w: &mut Writing<'_>, notification: &Notification) -> Result<()> {
    let n = notification;
    let changed = w.execute(
        PUT_NOTIFICATION,
        params![
            n.key.digest,
            n.key.tenant.as_str(),
            n.key.provider.as_str(),
            n.key.kind.as_str(),
            n.outcome.as_str(),
            n.payment.map(|payment| payment.as_uuid().into_bytes()),
            n.trade_no.as_str(),
            n.received_at.as_millis(),
            &n.body[..],
        ],
    )?;
    if changed == 0 {
        return Err(StoreError::Conflict(format!("message {} was kept before", n.key.digest)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;
    use crate::migrate::Step;

    /// What SQLite does to enter an event.
    fn instructions(steps: &[Step]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open::writer(&folder.path().join("ledger.db")).unwrap();
        open::migrate(&mut connection, steps).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN {INSERT_EVENT}")).unwrap();
        let mut rows = statement.raw_query();
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            all.push(row.get(1).unwrap());
        }
        all
    }

    /// An index whose condition asks for one of a list has SQLite fill a table with the list for every row that is
    /// entered: it did up to step 15, for half of what an event costs.
    #[test]
    fn an_event_is_entered_without_a_table_of_its_own() {
        for (steps, fills_a_table) in [(&open::STEPS[..15], true), (open::STEPS, false)] {
            let all = instructions(steps);
            assert!(all.iter().any(|one| one == "IdxInsert"), "{all:?}");
            assert_eq!(all.iter().any(|one| one == "OpenEphemeral"), fills_a_table, "{all:?}");
        }
    }
}
