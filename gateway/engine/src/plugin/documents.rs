//! A plugin's documents within their limits, and secrets sealed for them.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dukou_domain::{EventKind, PluginName, Secret};
use dukou_spi::Clock;
use dukou_spi::plugin::{Batch, Document, DocumentError, Documents, RaisedEvent, Write};
use tokio::sync::Mutex;

use crate::number;
use crate::ports::{DocumentOwner, Store, StoreError};
use crate::records::{NewEvent, Subject};

const LONGEST_COLLECTION: usize = 32;

/// The documents of one owner.
pub(crate) struct OwnDocuments {
    pub store: Arc<dyn Store>,
    pub keys: Arc<SealingKeys>,
    pub clock: Arc<dyn Clock>,
    pub owner: DocumentOwner,
    /// The events that the owner may raise.
    pub raises: &'static [EventKind],
}

#[async_trait]
impl Documents for OwnDocuments {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Document>, DocumentError> {
        check_place(collection, key)?;
        Ok(self.store.plugins().document(&self.owner, collection, key).await.map_err(from_store)?)
    }

    async fn write(&self, batch: Batch) -> Result<(), DocumentError> {
        if batch.writes.len() > Batch::LONGEST || batch.events.len() > Batch::LONGEST {
            return Err(DocumentError::Refused(format!("more than {} changes or events", Batch::LONGEST)));
        }
        for write in &batch.writes {
            self.check(write)?;
        }
        let events = batch.events.into_iter().map(|event| self.event(event)).collect::<Result<_, _>>()?;
        self.store.plugins().write_documents(&self.owner, batch.writes, events).await.map_err(from_store)
    }

    async fn seal(&self, label: &str, secret: &Secret) -> Result<String, DocumentError> {
        let key = self.keys.of(&self.owner.plugin, self.store.as_ref()).await?;
        let mut sealed = secret.expose().as_bytes().to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(self.context(label)), &mut sealed)
            .map_err(|_| DocumentError::Refused("it cannot be encrypted".to_owned()))?;
        let whole = [&nonce.as_ref()[..], &sealed].concat();
        Ok(URL_SAFE_NO_PAD.encode(whole))
    }

    async fn open(&self, label: &str, sealed: &str) -> Result<Secret, DocumentError> {
        let corrupt = || DocumentError::Corrupt(format!("{label} is not what was sealed here"));
        let key = self.keys.of(&self.owner.plugin, self.store.as_ref()).await?;
        let whole = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| corrupt())?;
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN).ok_or_else(corrupt)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| corrupt())?;
        let mut sealed = sealed.to_vec();
        let plain = key.open_in_place(nonce, Aad::from(self.context(label)), &mut sealed).map_err(|_| corrupt())?;
        String::from_utf8(plain.to_vec()).map(Secret::new).map_err(|_| corrupt())
    }
}

impl OwnDocuments {
    /// Who may open it, and what it is.
    fn context(&self, label: &str) -> String {
        let tenant = self.owner.tenant.as_ref().map_or("", |tenant| tenant.as_str());
        format!("{}\n{tenant}\n{label}", self.owner.plugin)
    }

    fn check(&self, write: &Write) -> Result<(), DocumentError> {
        match write {
            Write::Delete { collection, key, .. } => check_place(collection, key),
            Write::Put(document) => {
                check_place(&document.collection, &document.key)?;
                if self.owner.tenant.is_none() && document.due_at.is_some() {
                    return Err(DocumentError::Refused("a document of all tenants is never due".to_owned()));
                }
                match document.value.to_string().len() {
                    length if length > Document::LARGEST => Err(DocumentError::Refused(format!(
                        "{}/{} has {length} bytes, at most {} are kept",
                        document.collection,
                        document.key,
                        Document::LARGEST
                    ))),
                    _ => Ok(()),
                }
            }
        }
    }

    fn event(&self, raised: RaisedEvent) -> Result<NewEvent, DocumentError> {
        let RaisedEvent { kind, data } = raised;
        if !may_raise(self.raises, kind) {
            let why = format!("{} is no event of the plugin {}", kind.as_str(), self.owner.plugin);
            return Err(DocumentError::Refused(why));
        }
        let Some(tenant) = self.owner.tenant.clone() else {
            return Err(DocumentError::Refused("an event belongs to a tenant".to_owned()));
        };
        Ok(NewEvent {
            id: number::event_id(),
            tenant,
            kind,
            at: self.clock.now(),
            subject: Subject::Plugin { plugin: self.owner.plugin.clone(), data },
        })
    }
}

fn may_raise(raises: &[EventKind], kind: EventKind) -> bool {
    kind.of_plugins() && raises.contains(&kind)
}

fn check_place(collection: &str, key: &str) -> Result<(), DocumentError> {
    let collection_fits = (1..=LONGEST_COLLECTION).contains(&collection.len())
        && collection.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    let key_fits = (1..=Document::LONGEST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if collection_fits && key_fits {
        Ok(())
    } else {
        Err(DocumentError::Refused("the collection or the key is not a legal one".to_owned()))
    }
}

pub(super) fn from_store(error: StoreError) -> DocumentError {
    match error {
        StoreError::Unavailable(why) | StoreError::Unknown(why) => DocumentError::Unavailable(why),
        StoreError::Conflict(why) => DocumentError::Conflict(why),
        StoreError::Corrupt(why) => DocumentError::Corrupt(why),
    }
}

/// One key for each plugin, made by the store once.
#[derive(Default)]
pub(crate) struct SealingKeys(Mutex<HashMap<PluginName, Arc<RandomizedNonceKey>>>);

impl SealingKeys {
    async fn of(&self, plugin: &PluginName, store: &dyn Store) -> Result<Arc<RandomizedNonceKey>, DocumentError> {
        let mut known = self.0.lock().await;
        if let Some(key) = known.get(plugin) {
            return Ok(Arc::clone(key));
        }
        let secret = store.secret(&format!("plugin/{plugin}")).await.map_err(from_store)?;
        let unusable = || DocumentError::Corrupt("the key of sealed documents cannot be used".to_owned());
        let bytes = hex::decode(secret.expose()).map_err(|_| unusable())?;
        let key = Arc::new(RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| unusable())?);
        known.insert(plugin.clone(), Arc::clone(&key));
        Ok(key)
    }
}
