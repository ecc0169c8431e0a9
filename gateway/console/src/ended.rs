//! Sessions that somebody ended before their time, for every instance over the store.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use dukou_domain::{InvalidId, PluginName, Timestamp};
use dukou_engine::ports::{DocumentOwner, Store, StoreError};
use dukou_spi::plugin::{Document, Write};
use serde_json::Value;

/// The owner of the console's document. No plugin has this name.
const OWNER: &str = "console";
const COLLECTION: &str = "sessions";
const KEY: &str = "ended";
/// Ended sessions that are kept; of more, those that last longest. One that is over by itself is not kept.
const MOST: usize = 1_000;
/// Several may leave at the same moment.
const TRIES: usize = 10;

/// By session, when each would have been over.
type Sessions = BTreeMap<String, i64>;

pub struct Ended {
    owner: DocumentOwner,
    /// As they were last read: while the store is away they count still.
    known: Mutex<Sessions>,
}

impl Ended {
    /// # Errors
    /// Never, as long as the owner's name is a legal one.
    pub fn new() -> Result<Self, InvalidId> {
        let owner = DocumentOwner { tenant: None, plugin: PluginName::new(OWNER)? };
        Ok(Ended { owner, known: Mutex::default() })
    }

    /// Whether this session was ended.
    pub async fn holds(&self, store: &dyn Store, session: &str) -> bool {
        match self.read(store).await {
            Ok((_, sessions)) => {
                let ended = sessions.contains_key(session);
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = sessions;
                ended
            }
            Err(error) => {
                tracing::debug!(%error, "which sessions were ended is told from memory");
                self.known.lock().unwrap_or_else(PoisonError::into_inner).contains_key(session)
            }
        }
    }

    /// Ends a session that would be over at `until`. Returns once that is on disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end(
        &self,
        store: &dyn Store,
        session: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tried = 0;
        loop {
            let (document, mut sessions) = self.read(store).await?;
            sessions.retain(|_, until| *until > now.as_millis());
            sessions.insert(session.to_owned(), until.as_millis());
            while sessions.len() > MOST {
                let first = sessions.iter().min_by_key(|(_, until)| **until).map(|(session, _)| session.clone());
                first.and_then(|session| sessions.remove(&session));
            }
            let value = sessions.into_iter().map(|(session, until)| (session, Value::from(until))).collect();
            let changed = Document { value: Value::Object(value), ..document };
            tried += 1;
            match store.plugins().write_documents(&self.owner, vec![Write::Put(changed)], Vec::new()).await {
                Err(StoreError::Conflict(_)) if tried < TRIES => {}
                written => return written,
            }
        }
    }

    async fn read(&self, store: &dyn Store) -> Result<(Document, Sessions), StoreError> {
        let found = store.plugins().document(&self.owner, COLLECTION, KEY).await?;
        let document = found.unwrap_or_else(|| Document::new(COLLECTION, KEY, Value::Object(serde_json::Map::new())));
        let all = document.value.as_object().into_iter().flatten();
        let sessions = all.filter_map(|(session, until)| Some((session.clone(), until.as_i64()?))).collect();
        Ok((document, sessions))
    }
}
