-- The schemas of the pipeline, for an administrator: run it once for each environment, in the
-- environment's catalog (dev, staging, prod; first `USE CATALOG <catalog>;`). The job creates what
-- is missing by itself where its principal may; docs/DELIVERY.md has the grants.
CREATE SCHEMA IF NOT EXISTS bronze COMMENT 'Sales as received: every column, every record';
CREATE SCHEMA IF NOT EXISTS silver COMMENT 'Sales typed and valid, one row a key, and what was rejected';
CREATE SCHEMA IF NOT EXISTS gold_core COMMENT 'Business metrics that know no model';
CREATE SCHEMA IF NOT EXISTS gold_ml COMMENT 'One dataset for each version of an ML model';
CREATE SCHEMA IF NOT EXISTS ml_registry COMMENT 'Every ML dataset ever registered';
CREATE SCHEMA IF NOT EXISTS ops COMMENT 'Files received, and what each run did';
