-- Where the event log ended when the present life of the database began: what anybody read beyond it in a life before
-- is not there any more, and its positions are given to other events.

ALTER TABLE meta ADD COLUMN log_from bigint;
