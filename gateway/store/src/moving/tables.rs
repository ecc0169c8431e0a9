//! What is moved: every table, in an order in which rows find what they refer to.

use super::value::Kind::{self, Bytes, Flag, Integer, Plan, Text, Uuid};

/// One table of both databases.
#[derive(Debug)]
pub(super) struct Table {
    pub name: &'static str,
    /// Where SQLite has it.
    pub source: &'static str,
    pub columns: &'static [Column],
    /// Names of the columns that tell rows apart and order them, in both databases.
    pub key: &'static [&'static str],
}

/// A column of PostgreSQL's table, and what SQLite gives for it.
#[derive(Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub source: &'static str,
}

macro_rules! columns {
    ($($name:ident $kind:ident $(= $source:literal)?),* $(,)?) => {
        &[$(Column { name: stringify!($name), kind: $kind, source: columns!(@source $name $($source)?) }),*]
    };
    (@source $name:ident) => { concat!("\"", stringify!($name), "\"") };
    (@source $name:ident $source:literal) => { $source };
}

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "payments",
        source: "payments p LEFT JOIN attempts a ON a.tenant = p.tenant AND a.provider = p.provider \
                 AND a.trade_no = p.trade_no",
        columns: columns![
            id Uuid = "p.id", tenant Text = "p.tenant", out_trade_no Text = "p.out_trade_no", amount Integer = "p.amount",
            currency Text = "p.currency", description Text = "p.description", attach Text = "p.attach",
            metadata Text = "p.metadata", client_ip Text = "p.client_ip", state Text = "p.state", late Flag = "p.late",
            refunded Integer = "p.refunded", refunding Integer = "p.refunding", created_at Integer = "p.created_at",
            updated_at Integer = "p.updated_at", expires_at Integer = "p.expires_at", paid_at Integer = "p.paid_at",
            transaction_id Text = "p.transaction_id", failure_code Text = "p.failure_code",
            failure_message Text = "p.failure_message", check_at Plan = "p.check_at",
            check_asked Integer = "p.check_asked", version Integer = "p.version", attempts Integer = "p.attempts",
            attempt_id Uuid = "a.id", attempt_number Integer = "a.number", provider Text = "p.provider",
            method Text = "a.method", trade_no Text = "p.trade_no", app_id Text = "a.app_id",
            merchant_id Text = "a.merchant_id", openid Text = "p.openid", notify_url Text = "a.notify_url",
            prepay_token Text = "p.prepay_token", prepay_valid_until Integer = "p.prepay_valid_until",
            attempt_state Text = "p.attempt_state", kind Text = "a.kind",
        ],
        key: &["id"],
    },
    Table {
        name: "attempts",
        source: "attempts",
        columns: columns![
            tenant Text, provider Text, trade_no Text,
            payment Uuid = "(SELECT id FROM payments WHERE row = attempts.payment)", id Uuid, number Integer, method Text,
            app_id Text, merchant_id Text, openid Text, notify_url Text, prepay_token Text, prepay_valid_until Integer,
            state Text, transaction_id Text, kind Text,
        ],
        key: &["tenant", "provider", "trade_no"],
    },
    Table {
        name: "refunds",
        source: "refunds",
        columns: columns![
            id Uuid, tenant Text, payment Uuid, out_trade_no Text, out_refund_no Text, provider Text, trade_no Text,
            amount Integer, currency Text, reason Text, notify_url Text, state Text, provider_refund_id Text,
            failure_code Text, failure_message Text, platform_word Text, created_at Integer, updated_at Integer,
            succeeded_at Integer, check_at Plan, check_asked Integer, of_duplicate Flag, version Integer,
        ],
        key: &["id"],
    },
    Table {
        name: "refund_requests",
        source: "refund_requests",
        columns: columns![
            id Uuid, tenant Text, payment Uuid, out_trade_no Text, openid Text, amount Integer, currency Text, reason Text,
            state Text, out_refund_no Text, requested_at Integer, decided_at Integer, decided_by Text,
        ],
        key: &["id"],
    },
    Table {
        name: "notifications",
        source: "notifications",
        columns: columns![
            digest Text, tenant Text, provider Text, kind Text, outcome Text, payment Uuid, trade_no Text,
            received_at Integer, body Bytes,
        ],
        key: &["digest", "tenant", "provider", "kind"],
    },
    Table {
        name: "events",
        source: "events",
        columns: columns![position Integer, tenant Text, id Uuid, kind Text, at Integer, subject Text, payment Uuid],
        key: &["position"],
    },
    Table {
        name: "calls",
        source: "calls",
        columns: columns![
            tenant Text, key Text, fingerprint Text, made_number Text, owner Uuid,
            // An instance that does not exist: whoever asks again takes the call over.
            instance Uuid = "zeroblob(16)",
            entered_at Integer, status Integer, content_type Text, body Bytes,
        ],
        key: &["tenant", "key"],
    },
    Table {
        name: "deliveries",
        source: "deliveries",
        columns: columns![
            position Integer, tenant Text, id Uuid, event Uuid, kind Text, state Text, made Integer, failed Integer,
            // What was being tried is due again.
            next_at Plan = "CASE WHEN next_at IS NULL THEN NULL ELSE coalesce(leased_from, next_at) END",
            created_at Integer, delivered_at Integer, tries Text,
        ],
        key: &["position"],
    },
    Table {
        name: "endpoints",
        source: "endpoints",
        columns: columns![tenant Text, failing_since Integer, disabled_at Integer, wanted_at Integer],
        key: &["tenant"],
    },
    Table { name: "secrets", source: "secrets", columns: columns![name Text, value Bytes], key: &["name"] },
    Table {
        name: "plugin_documents",
        source: "plugin_documents",
        columns: columns![
            tenant Text, plugin Text, collection Text, key Text, value Text, due_at Integer, version Integer,
        ],
        key: &["tenant", "plugin", "collection", "key"],
    },
    Table {
        name: "plugin_cursors",
        source: "plugin_cursors",
        columns: columns![tenant Text, plugin Text, position Integer],
        key: &["tenant", "plugin"],
    },
    Table {
        name: "trust",
        source: "trust",
        columns: columns![account Text, fetched_at Integer, content Bytes],
        key: &["account"],
    },
    Table {
        name: "platform_calls",
        source: "platform_calls",
        columns: columns![
            row Integer, tenant Text, payment Uuid, refund Text, provider Text, operation Text, at Integer,
            millis Integer, outcome Text, code Text, message Text, request_id Text,
        ],
        key: &["row"],
    },
];

impl Table {
    fn at(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column.name == name).unwrap_or(0)
    }

    /// The columns of the key.
    pub fn key_columns(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.key.iter().map(|name| self.at(name)).map(|at| (at, &self.columns[at]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dukou_domain::Secret;
    use dukou_test_servers::Postgres;
    use sqlx::Row as _;

    use super::*;
    use crate::postgres::{self, PostgresOptions};

    /// What is a database's own, or is written in the last step.
    const NOT_MOVED: &[&str] = &["meta", "schema_steps", "instances", "event_log", "delivery_cursor"];
    /// A row's place in its table, and what was taken to be tried: PostgreSQL has places of its own, and what was
    /// being tried is due again.
    const NOT_COPIED: &[&str] = &["row", "leased_from"];

    /// A step that adds a column or a table to either schema has to say here what becomes of it in a move.
    #[tokio::test]
    async fn every_column_of_both_schemas_is_in_the_list() {
        let to = PostgresOptions::at(Secret::new(Postgres::shared().new_database()));
        let (mut database, _) = postgres::connect_to_move(&to).await.unwrap();
        let columns = "SELECT table_name::text, column_name::text FROM information_schema.columns \
                       WHERE table_schema = 'public'";
        let rows = sqlx::query(columns).fetch_all(&mut database).await.unwrap();
        let there = rows.iter().map(|row| (row.get::<String, _>(0), row.get::<String, _>(1)));
        let there: BTreeSet<(String, String)> =
            there.filter(|(table, column)| !NOT_MOVED.contains(&table.as_str()) && column != "leased_from").collect();
        let listed = TABLES
            .iter()
            .flat_map(|table| table.columns.iter().map(|column| (table.name.to_owned(), column.name.to_owned())));
        assert_eq!(listed.collect::<BTreeSet<_>>(), there);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        drop(crate::SqliteStore::open(crate::SqliteOptions::at(&path)).unwrap());
        let file = rusqlite::Connection::open(&path).unwrap();
        let mut columns = file
            .prepare("SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'")
            .unwrap();
        let rows = columns.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
        for (table, column) in rows.map(Result::unwrap) {
            let is_own = NOT_MOVED.contains(&table.as_str()) || NOT_COPIED.contains(&column.as_str());
            let is_read = TABLES.iter().any(|listed| {
                listed.source.starts_with(table.as_str())
                    && listed
                        .columns
                        .iter()
                        .any(|one| one.name == column || one.source.trim_matches('"').ends_with(column.as_str()))
            });
            assert!(is_own || is_read, "{table}.{column} is left behind");
        }
    }
}
