//! What is deleted when it is old.

use dukou_domain::Timestamp;
use dukou_engine::ports::Old;
use sqlx::postgres::PgConnection;

use super::error::{Result, store_error};

const CALLS: &str = "DELETE FROM calls c USING (SELECT tenant, key FROM calls WHERE entered_at < $1 \
     ORDER BY entered_at LIMIT $2 FOR UPDATE SKIP LOCKED) old WHERE c.tenant = old.tenant AND c.key = old.key";

const NOTIFICATIONS: &str = "DELETE FROM notifications n USING (SELECT tenant, digest, provider, kind \
     FROM notifications WHERE received_at < $1 ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED) old \
     WHERE n.tenant = old.tenant AND n.digest = old.digest AND n.provider = old.provider AND n.kind = old.kind";

const PLATFORM_CALLS: &str = "DELETE FROM platform_calls c USING (SELECT tenant, payment, row FROM platform_calls \
     WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED) old \
     WHERE c.tenant = old.tenant AND c.payment = old.payment AND c.row = old.row";

/// One that still waits is old when nobody had a webhook for its tenant ever since; while nobody notes any webhook,
/// nobody can say.
const DELIVERIES: &str = "DELETE FROM deliveries d USING (SELECT tenant, position FROM deliveries \
     WHERE created_at < $1 AND (state IN ('delivered', 'exhausted') OR tenant IN (SELECT tenant FROM endpoints \
         WHERE wanted_at < $1 AND EXISTS (SELECT FROM endpoints WHERE wanted_at >= $1))) ORDER BY created_at LIMIT $2 \
     FOR UPDATE SKIP LOCKED) old WHERE d.tenant = old.tenant AND d.position = old.position";

/// Deletes at most `limit` of what was before `before`, and returns how many that was.
pub(super) async fn forget(connection: &mut PgConnection, what: Old, before: Timestamp, limit: u32) -> Result<u64> {
    let sql = match what {
        Old::Calls => CALLS,
        Old::Deliveries => DELIVERIES,
        Old::PlatformCalls => PLATFORM_CALLS,
        Old::Notifications => NOTIFICATIONS,
    };
    let done = sqlx::query(sql).bind(before.as_millis()).bind(i64::from(limit)).execute(connection).await;
    Ok(done.map_err(store_error)?.rows_affected())
}
