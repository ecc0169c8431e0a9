-- What changes about a payment's current attempt is kept in the payment's own row, so that a success
-- changes one row. In `attempts` these columns are those of an attempt that is not the current one.

ALTER TABLE payments ADD COLUMN attempt_state TEXT NOT NULL DEFAULT 'live';
ALTER TABLE payments ADD COLUMN openid TEXT;
ALTER TABLE payments ADD COLUMN prepay_token TEXT;
ALTER TABLE payments ADD COLUMN prepay_valid_until INTEGER;

UPDATE payments SET (attempt_state, openid, prepay_token, prepay_valid_until) =
    (SELECT a.state, a.openid, a.prepay_token, a.prepay_valid_until FROM attempts a
     WHERE a.tenant = payments.tenant AND a.provider = payments.provider AND a.trade_no = payments.trade_no);
