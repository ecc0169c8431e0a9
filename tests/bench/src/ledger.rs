//! Records that are copied in the store's file while no gateway has it: a million of them through the
//! API would take the time of many measurements.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, params};

/// The file of a gateway that was stopped.
pub struct Ledger(Connection);

/// Numbers from 1 to ?1.
const NUMBERS: &str = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)";

impl Ledger {
    pub fn open(directory: &Path) -> Result<Ledger> {
        let path = directory.join("dukou.db");
        let connection = Connection::open(&path).with_context(|| path.display().to_string())?;
        // What is copied here need not survive a power cut.
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144;")?;
        Ok(Ledger(connection))
    }

    /// Copies the newest event `count` times, to the tenants in turn.
    pub fn copy_event(&self, count: u32, tenants: &[String]) -> Result<()> {
        self.0.execute_batch("CREATE TEMP TABLE IF NOT EXISTS shops (place INTEGER PRIMARY KEY, id TEXT)")?;
        self.0.execute("DELETE FROM shops", [])?;
        for (place, tenant) in tenants.iter().enumerate() {
            self.0.execute("INSERT INTO shops VALUES (?1, ?2)", params![u32::try_from(place)?, tenant])?;
        }
        let copied = self.0.execute(
            &format!(
                "{NUMBERS} INSERT INTO events (position, id, tenant, kind, at, subject) \
                 SELECT e.position + n, randomblob(16), s.id, e.kind, e.at, e.subject \
                 FROM numbers, (SELECT * FROM events ORDER BY position DESC LIMIT 1) e, shops s \
                 WHERE s.place = n % ?2 ORDER BY n"
            ),
            params![count, u32::try_from(tenants.len())?],
        )?;
        ensure!(copied == count as usize, "{copied} of {count} events were copied");
        Ok(())
    }

    /// Copies the only payment `count` times, each made a second after the one before, one in ten of them closed.
    pub fn copy_payment(&self, count: u32) -> Result<()> {
        self.0.execute_batch("BEGIN")?;
        let payments = self.copy(
            "payments",
            count,
            &[
                ("row", "t.row + n"),
                ("id", "unhex(printf('%032x', n))"),
                ("out_trade_no", "printf('C%012d', n)"),
                ("trade_no", "printf('C%012d', n)"),
                ("state", "CASE n % 10 WHEN 0 THEN 'closed' ELSE t.state END"),
                ("created_at", "t.created_at + 1000 * n"),
                ("check_at", "NULL"),
                ("check_asked", "NULL"),
            ],
        )?;
        let attempts = self.copy(
            "attempts",
            count,
            &[("payment", "t.payment + n"), ("id", "unhex(printf('%032x', n))"), ("trade_no", "printf('C%012d', n)")],
        )?;
        ensure!([payments, attempts] == [count as usize; 2], "{payments} payments and {attempts} attempts were copied");
        self.0.execute_batch("COMMIT")?;
        Ok(())
    }

    /// Copies a table's only row, column by column, whatever columns it has.
    fn copy(&self, table: &str, count: u32, changed: &[(&str, &str)]) -> Result<usize> {
        let mut statement = self.0.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let columns: Vec<String> = statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let values: Vec<String> = columns
            .iter()
            .map(|column| match changed.iter().find(|(name, _)| name == column) {
                Some((_, value)) => (*value).to_owned(),
                None => format!("t.{column}"),
            })
            .collect();
        let sql = format!(
            "{NUMBERS} INSERT INTO {table} ({}) SELECT {} FROM numbers, (SELECT * FROM {table} LIMIT 1) t ORDER BY n",
            columns.join(", "),
            values.join(", ")
        );
        Ok(self.0.execute(&sql, [count])?)
    }
}
