//! Reads a row's columns one after another into the domain's types.

use dukou_domain::{Currency, InvalidId, Money, Timestamp};
use dukou_engine::ports::StoreError;
use dukou_engine::records::PageCursor;
use uuid::Uuid;

use crate::error::{Result, corrupt};

/// A row of a database, from its first column on. Every method reads the next one.
///
/// # Errors
/// [`StoreError::Corrupt`] when a column holds something else, or nothing where something is needed.
pub(crate) trait ReadColumns<'r> {
    fn optional_text(&mut self) -> Result<Option<&'r str>>;

    fn blob(&mut self) -> Result<&'r [u8]>;

    fn optional_uuid(&mut self) -> Result<Option<Uuid>>;

    fn optional_integer(&mut self) -> Result<Option<i64>>;

    fn flag(&mut self) -> Result<bool>;

    /// The error for the column that was read last.
    fn wrong(&self, expected: &str) -> StoreError;

    fn text(&mut self) -> Result<&'r str> {
        self.optional_text()?.ok_or_else(|| self.wrong("a text"))
    }

    fn optional_string(&mut self) -> Result<Option<String>> {
        Ok(self.optional_text()?.map(str::to_owned))
    }

    fn string(&mut self) -> Result<String> {
        Ok(self.text()?.to_owned())
    }

    fn uuid(&mut self) -> Result<Uuid> {
        self.optional_uuid()?.ok_or_else(|| self.wrong("an identifier"))
    }

    fn integer(&mut self) -> Result<i64> {
        self.optional_integer()?.ok_or_else(|| self.wrong("an integer"))
    }

    fn small(&mut self) -> Result<u32> {
        let value = self.integer()?;
        u32::try_from(value).map_err(|_| self.wrong("an integer from 0 to 4294967295"))
    }

    fn time(&mut self) -> Result<Timestamp> {
        Ok(Timestamp::from_millis(self.integer()?))
    }

    fn optional_time(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.optional_integer()?.map(Timestamp::from_millis))
    }

    fn id<T>(&mut self, read: fn(&str) -> std::result::Result<T, InvalidId>) -> Result<T> {
        let text = self.text()?;
        read(text).map_err(|invalid| corrupt(text, invalid))
    }

    fn optional_id<T>(&mut self, read: fn(&str) -> std::result::Result<T, InvalidId>) -> Result<Option<T>> {
        self.optional_text()?.map(|text| read(text).map_err(|invalid| corrupt(text, invalid))).transpose()
    }

    /// A word of a closed list.
    fn word<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Result<T> {
        let text = self.text()?;
        read(text).ok_or_else(|| corrupt(text, "not a word this program knows"))
    }

    /// An amount whose currency is in another column.
    fn money(&mut self, currency: Currency) -> Result<Money> {
        let minor = self.integer()?;
        Money::new(minor, currency).map_err(|error| corrupt("amount", error))
    }
}

/// What a page of a list comes before, newest first; the first page before everything.
pub(crate) fn before(cursor: Option<PageCursor>) -> (i64, Uuid) {
    cursor.map_or((i64::MAX, Uuid::max()), |cursor| (cursor.created_at.as_millis(), cursor.id))
}
