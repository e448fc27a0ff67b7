-- A database as commit 3c9dc76 made it, with rows of every table; FLOAT(53) is FLOAT on SQLite.
CREATE TABLE actions (
	id VARCHAR NOT NULL,
	at FLOAT(53) NOT NULL,
	who VARCHAR NOT NULL,
	what VARCHAR NOT NULL,
	about JSON NOT NULL,
	count BIGINT NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX ix_actions_at ON actions (at);
CREATE TABLE batch_texts (
	hash VARCHAR NOT NULL,
	custom_id VARCHAR NOT NULL,
	model VARCHAR NOT NULL,
	recording_id VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	batch_id VARCHAR,
	tries BIGINT NOT NULL,
	tokens BIGINT NOT NULL,
	since FLOAT(53) NOT NULL,
	error VARCHAR,
	PRIMARY KEY (hash)
);
CREATE INDEX batch_texts_waiting ON batch_texts (model, state, since);
CREATE INDEX ix_batch_texts_batch_id ON batch_texts (batch_id);
CREATE INDEX ix_batch_texts_recording_id ON batch_texts (recording_id);
CREATE TABLE batches (
	id VARCHAR NOT NULL,
	model VARCHAR NOT NULL,
	display_name VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	epoch BIGINT NOT NULL,
	wish VARCHAR NOT NULL,
	texts BIGINT NOT NULL,
	tokens BIGINT NOT NULL,
	usd VARCHAR NOT NULL,
	file VARCHAR,
	name VARCHAR,
	remote_state VARCHAR NOT NULL,
	result VARCHAR,
	lines BIGINT,
	sha256 VARCHAR,
	good BIGINT NOT NULL,
	bad BIGINT NOT NULL,
	paid_tokens BIGINT NOT NULL,
	paid_usd VARCHAR,
	created_at FLOAT(53) NOT NULL,
	uploaded_at FLOAT(53),
	submit_at FLOAT(53),
	submitted_at FLOAT(53),
	ended_at FLOAT(53),
	finished_at FLOAT(53),
	deadline_at FLOAT(53),
	next_at FLOAT(53) NOT NULL,
	polls BIGINT NOT NULL,
	error JSON,
	alarm JSON,
	PRIMARY KEY (id),
	UNIQUE (display_name)
);
CREATE INDEX ix_batches_name ON batches (name);
CREATE INDEX ix_batches_next_at ON batches (next_at);
CREATE INDEX ix_batches_state ON batches (state);
CREATE TABLE breakers (
	provider VARCHAR NOT NULL,
	fingerprint VARCHAR NOT NULL,
	failures BIGINT NOT NULL,
	refused BOOLEAN NOT NULL,
	open_until FLOAT(53) NOT NULL,
	error JSON,
	tested_at FLOAT(53),
	latency_s FLOAT(53),
	PRIMARY KEY (provider)
);
CREATE TABLE budgets (
	month VARCHAR NOT NULL,
	spent BIGINT NOT NULL,
	reserved BIGINT NOT NULL,
	PRIMARY KEY (month)
);
CREATE TABLE caps (
	scope VARCHAR NOT NULL,
	usd VARCHAR NOT NULL,
	PRIMARY KEY (scope)
);
CREATE TABLE chores (
	name VARCHAR NOT NULL,
	next_at FLOAT(53) NOT NULL,
	worker VARCHAR NOT NULL,
	began_at FLOAT(53),
	ended_at FLOAT(53),
	took_s FLOAT(53),
	error VARCHAR,
	PRIMARY KEY (name)
);
CREATE TABLE facts (
	name VARCHAR NOT NULL,
	value VARCHAR NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE keys (
	id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	digest VARCHAR NOT NULL,
	admin BOOLEAN NOT NULL,
	language VARCHAR NOT NULL,
	created_at FLOAT(53) NOT NULL,
	last_used_at FLOAT(53),
	revoked_at FLOAT(53),
	PRIMARY KEY (id)
);
CREATE TABLE orders (
	id VARCHAR NOT NULL,
	transcript_id VARCHAR NOT NULL,
	n BIGINT NOT NULL,
	recording_id VARCHAR NOT NULL,
	owner VARCHAR NOT NULL,
	engine VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	fate VARCHAR NOT NULL,
	remote_id VARCHAR,
	duration_s FLOAT(53) NOT NULL,
	usd VARCHAR NOT NULL,
	submissions BIGINT NOT NULL,
	doubts BIGINT NOT NULL,
	breaks BIGINT NOT NULL,
	patience BIGINT NOT NULL,
	created_at FLOAT(53) NOT NULL,
	submit_at FLOAT(53),
	submitted_at FLOAT(53),
	working_at FLOAT(53),
	finished_at FLOAT(53),
	next_at FLOAT(53) NOT NULL,
	error JSON,
	PRIMARY KEY (id),
	UNIQUE (transcript_id, n)
);
CREATE INDEX ix_orders_state ON orders (state);
CREATE TABLE own_figures (
	name VARCHAR NOT NULL,
	value VARCHAR NOT NULL,
	set_at FLOAT(53) NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE own_limits (
	provider VARCHAR NOT NULL,
	model VARCHAR NOT NULL,
	mode VARCHAR NOT NULL,
	tier VARCHAR,
	rpm BIGINT,
	tpm BIGINT,
	enqueued_tokens BIGINT,
	at_once BIGINT,
	set_at FLOAT(53) NOT NULL,
	PRIMARY KEY (provider, model, mode)
);
CREATE TABLE own_prices (
	provider VARCHAR NOT NULL,
	model VARCHAR NOT NULL,
	mode VARCHAR NOT NULL,
	unit VARCHAR NOT NULL,
	price VARCHAR NOT NULL,
	currency VARCHAR NOT NULL,
	minimum_s VARCHAR NOT NULL,
	set_at FLOAT(53) NOT NULL,
	PRIMARY KEY (provider, model, mode)
);
CREATE TABLE payments (
	id VARCHAR NOT NULL,
	call_id VARCHAR NOT NULL,
	at FLOAT(53) NOT NULL,
	month VARCHAR NOT NULL,
	provider VARCHAR NOT NULL,
	model VARCHAR NOT NULL,
	lane VARCHAR NOT NULL,
	recording_id VARCHAR NOT NULL,
	owner VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	tokens_estimated BIGINT NOT NULL,
	usd_estimated VARCHAR NOT NULL,
	tokens BIGINT NOT NULL,
	usd VARCHAR NOT NULL,
	ended_at FLOAT(53),
	PRIMARY KEY (id)
);
CREATE INDEX ix_payments_at ON payments (at);
CREATE INDEX ix_payments_call_id ON payments (call_id);
CREATE INDEX ix_payments_recording_id ON payments (recording_id);
CREATE TABLE plans (
	id VARCHAR NOT NULL,
	at FLOAT(53) NOT NULL,
	route VARCHAR NOT NULL,
	usd VARCHAR NOT NULL,
	tokens BIGINT NOT NULL,
	p50_s FLOAT(53),
	p90_s FLOAT(53),
	recordings JSON NOT NULL,
	facts JSON,
	PRIMARY KEY (id)
);
CREATE INDEX ix_plans_at ON plans (at);
CREATE TABLE recordings (
	id VARCHAR NOT NULL,
	owner VARCHAR NOT NULL,
	sha256 VARCHAR NOT NULL,
	filename VARCHAR NOT NULL,
	title VARCHAR NOT NULL,
	tags JSON NOT NULL,
	language VARCHAR NOT NULL,
	size_bytes BIGINT NOT NULL,
	duration_s FLOAT(53),
	channels BIGINT NOT NULL,
	format VARCHAR NOT NULL,
	created_at FLOAT(53) NOT NULL,
	transcript_id VARCHAR,
	meaning VARCHAR NOT NULL,
	vectors_by FLOAT(53),
	PRIMARY KEY (id),
	UNIQUE (owner, sha256)
);
CREATE INDEX ix_recordings_created_at ON recordings (created_at);
CREATE INDEX ix_recordings_sha256 ON recordings (sha256);
CREATE TABLE resumables (
	id VARCHAR NOT NULL,
	owner VARCHAR NOT NULL,
	size_bytes BIGINT NOT NULL,
	facts VARCHAR NOT NULL,
	created_at FLOAT(53) NOT NULL,
	task_id VARCHAR,
	PRIMARY KEY (id)
);
CREATE INDEX ix_resumables_owner ON resumables (owner);
CREATE TABLE runs (
	id VARCHAR NOT NULL,
	job_id VARCHAR NOT NULL,
	task_id VARCHAR NOT NULL,
	recording_id VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	queue VARCHAR NOT NULL,
	outcome VARCHAR NOT NULL,
	worker VARCHAR NOT NULL,
	waited_s FLOAT(53) NOT NULL,
	started_at FLOAT(53) NOT NULL,
	ended_at FLOAT(53) NOT NULL,
	error JSON,
	PRIMARY KEY (id)
);
CREATE INDEX ix_runs_ended_at ON runs (ended_at);
CREATE INDEX ix_runs_task_id ON runs (task_id);
CREATE TABLE tallies (
	span_s BIGINT NOT NULL,
	measure VARCHAR NOT NULL,
	at BIGINT NOT NULL,
	kind VARCHAR NOT NULL,
	queue VARCHAR NOT NULL,
	outcome VARCHAR NOT NULL,
	step BIGINT NOT NULL,
	n BIGINT NOT NULL,
	total_s FLOAT(53) NOT NULL,
	audio_s FLOAT(53) NOT NULL,
	PRIMARY KEY (span_s, measure, at, kind, queue, outcome, step)
);
CREATE TABLE transcripts (
	id VARCHAR NOT NULL,
	key VARCHAR NOT NULL,
	sha256 VARCHAR NOT NULL,
	engine VARCHAR NOT NULL,
	engine_version VARCHAR NOT NULL,
	language VARCHAR NOT NULL,
	split_channels BOOLEAN NOT NULL,
	subtitles BOOLEAN NOT NULL,
	planned BOOLEAN NOT NULL,
	complete BOOLEAN NOT NULL,
	duration_s FLOAT(53),
	processing_s FLOAT(53) NOT NULL,
	created_at FLOAT(53) NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (key)
);
CREATE INDEX ix_transcripts_sha256 ON transcripts (sha256);
CREATE TABLE workers (
	name VARCHAR NOT NULL,
	queue VARCHAR NOT NULL,
	host VARCHAR NOT NULL,
	pid BIGINT NOT NULL,
	started_at FLOAT(53) NOT NULL,
	seen_at FLOAT(53) NOT NULL,
	rss_bytes BIGINT NOT NULL,
	gpu_bytes BIGINT NOT NULL,
	gpu_load FLOAT(53),
	version VARCHAR NOT NULL,
	wish VARCHAR NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE covers (
	id VARCHAR NOT NULL,
	recording_id VARCHAR NOT NULL,
	series VARCHAR NOT NULL,
	wish JSON NOT NULL,
	state VARCHAR NOT NULL,
	remote_id VARCHAR,
	breaks BIGINT NOT NULL,
	object VARCHAR,
	created_at FLOAT(53) NOT NULL,
	submitted_at FLOAT(53),
	next_at FLOAT(53) NOT NULL,
	finished_at FLOAT(53),
	error JSON,
	PRIMARY KEY (id),
	FOREIGN KEY(recording_id) REFERENCES recordings (id) ON DELETE CASCADE
);
CREATE INDEX ix_covers_recording_id ON covers (recording_id);
CREATE INDEX ix_covers_series ON covers (series);
CREATE INDEX ix_covers_state ON covers (state);
CREATE TABLE passages (
	id VARCHAR NOT NULL,
	recording_id VARCHAR NOT NULL,
	n BIGINT NOT NULL,
	start_s FLOAT(53) NOT NULL,
	end_s FLOAT(53) NOT NULL,
	speaker VARCHAR NOT NULL,
	language VARCHAR NOT NULL,
	text VARCHAR NOT NULL,
	meaning VARCHAR NOT NULL,
	lane VARCHAR NOT NULL,
	text_hash VARCHAR NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(recording_id) REFERENCES recordings (id) ON DELETE CASCADE
);
CREATE INDEX ix_passages_recording_id ON passages (recording_id);
CREATE INDEX ix_passages_text_hash ON passages (text_hash);
CREATE INDEX passages_by_meaning ON passages (meaning, recording_id);
CREATE TABLE segments (
	transcript_id VARCHAR NOT NULL,
	n BIGINT NOT NULL,
	channel VARCHAR NOT NULL,
	start_s FLOAT(53) NOT NULL,
	end_s FLOAT(53) NOT NULL,
	text VARCHAR,
	words JSON,
	PRIMARY KEY (transcript_id, n),
	FOREIGN KEY(transcript_id) REFERENCES transcripts (id) ON DELETE CASCADE
);
CREATE TABLE tasks (
	id VARCHAR NOT NULL,
	recording_id VARCHAR NOT NULL,
	transcript_id VARCHAR NOT NULL,
	owner VARCHAR NOT NULL,
	status VARCHAR NOT NULL,
	stage VARCHAR NOT NULL,
	progress BIGINT NOT NULL,
	engine VARCHAR NOT NULL,
	language VARCHAR NOT NULL,
	lane VARCHAR NOT NULL,
	created_at FLOAT(53) NOT NULL,
	started_at FLOAT(53),
	completed_at FLOAT(53),
	error JSON,
	filename VARCHAR NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(recording_id) REFERENCES recordings (id) ON DELETE CASCADE
);
CREATE INDEX ix_tasks_created_at ON tasks (created_at);
CREATE INDEX ix_tasks_owner ON tasks (owner);
CREATE INDEX ix_tasks_recording_id ON tasks (recording_id);
CREATE INDEX ix_tasks_status ON tasks (status);
CREATE TABLE callbacks (
	task_id VARCHAR NOT NULL,
	url VARCHAR NOT NULL,
	tries BIGINT NOT NULL,
	next_at FLOAT(53) NOT NULL,
	done_at FLOAT(53),
	error VARCHAR,
	PRIMARY KEY (task_id),
	FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
CREATE TABLE jobs (
	id VARCHAR NOT NULL,
	task_id VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	queue VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	epoch BIGINT NOT NULL,
	starts BIGINT NOT NULL,
	tries BIGINT NOT NULL,
	worker VARCHAR NOT NULL,
	lease_until FLOAT(53) NOT NULL,
	progressed_at FLOAT(53) NOT NULL,
	run_at FLOAT(53) NOT NULL,
	rung_at FLOAT(53) NOT NULL,
	priority BIGINT NOT NULL,
	waited_s FLOAT(53) NOT NULL,
	created_at FLOAT(53) NOT NULL,
	started_at FLOAT(53),
	finished_at FLOAT(53),
	error JSON,
	traceback VARCHAR,
	PRIMARY KEY (id),
	FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
CREATE INDEX ix_jobs_created_at ON jobs (created_at);
CREATE INDEX ix_jobs_finished_at ON jobs (finished_at);
CREATE INDEX ix_jobs_task_id ON jobs (task_id);
CREATE INDEX jobs_by_state ON jobs (state, created_at);
CREATE INDEX jobs_waiting ON jobs (state, run_at);
CREATE TABLE replays (
	owner VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	body VARCHAR NOT NULL,
	task_id VARCHAR NOT NULL,
	created_at FLOAT(53) NOT NULL,
	PRIMARY KEY (owner, name),
	FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
CREATE INDEX ix_replays_task_id ON replays (task_id);
CREATE TABLE migrations (name VARCHAR PRIMARY KEY);
INSERT INTO actions (id, at, who, what, about, count) VALUES
('a1', 1790000000.5, 'admin', 'retry', '["Планёрка"]', 1);
INSERT INTO batch_texts (hash, custom_id, model, recording_id, state, batch_id, tries, tokens, since, error) VALUES
('h2', '0:h2', 'gemini-embedding-2@768', 'r2', 'sent', 'b1', 1, 10, 1790000000.5, NULL),
('h3', '0:h3', 'gemini-embedding-2@768', 'r4', 'failed', 'b3', 3, 10, 1790000000.5, 'Too strange.'),
('h4', '0:h4', 'gemini-embedding-2@768', 'r4', 'waiting', NULL, 0, 10, 1790000000.5, NULL);
INSERT INTO batches (id, model, display_name, state, epoch, wish, texts, tokens, usd, file, name, remote_state, result, lines, sha256, good, bad, paid_tokens, paid_usd, created_at, uploaded_at, submit_at, submitted_at, ended_at, finished_at, deadline_at, next_at, polls, error, alarm) VALUES
('b0', 'gemini-embedding-2@768', 'gam-0', 'planned', 0, '', 1, 10, '0.1', NULL, NULL, 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 0, NULL, NULL),
('b1', 'gemini-embedding-2@768', 'gam-1', 'submitted', 1, 'now', 1, 10, '0.1', 'files/x', 'batches/1', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 1, NULL, NULL),
('b2', 'gemini-embedding-2@768', 'gam-2', 'submitted', 2, 'late', 1, 10, '0.1', 'files/x', 'batches/2', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 2, NULL, NULL),
('b3', 'gemini-embedding-2@768', 'gam-3', 'cancelled', 3, 'cancel', 1, 10, '0.1', 'files/x', 'batches/3', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 3, NULL, NULL),
('b4', 'gemini-embedding-2@768', 'gam-4', 'held', 4, '', 1, 10, '0.1', 'files/x', 'batches/4', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 4, NULL, '{"message": "{provider} is busy ({detail}).", "facts": {"provider": "Groq", "detail": "HTTP 503"}}'),
('b5', 'gemini-embedding-2@768', 'gam-5', 'complete', 5, 'now', 1, 10, '0.1', 'files/x', 'batches/5', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 5, NULL, NULL),
('b6', 'gemini-embedding-2@768', 'gam-6', 'split', 6, '', 1, 10, '0.1', 'files/x', 'batches/6', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 6, NULL, NULL),
('b7', 'gemini-embedding-2@768', 'gam-7', 'expired', 7, '', 1, 10, '0.1', 'files/x', 'batches/7', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 7, NULL, NULL),
('b8', 'gemini-embedding-2@768', 'gam-8', 'failed', 8, '', 1, 10, '0.1', 'files/x', 'batches/8', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 8, NULL, NULL),
('b9', 'gemini-embedding-2@768', 'gam-9', 'uploaded', 9, '', 1, 10, '0.1', 'files/x', 'batches/9', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 9, NULL, NULL),
('b10', 'gemini-embedding-2@768', 'gam-10', 'submitting', 10, '', 1, 10, '0.1', 'files/x', 'batches/10', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 10, NULL, NULL),
('b11', 'gemini-embedding-2@768', 'gam-11', 'ended', 11, '', 1, 10, '0.1', 'files/x', 'batches/11', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 11, NULL, NULL),
('b12', 'gemini-embedding-2@768', 'gam-12', 'saved', 12, '', 1, 10, '0.1', 'files/x', 'batches/12', 'running', NULL, NULL, NULL, 0, 0, 0, NULL, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, NULL, NULL, 1790000000.5, 12, NULL, NULL);
INSERT INTO breakers (provider, fingerprint, failures, refused, open_until, error, tested_at, latency_s) VALUES
('groq', 'ab12', 3, FALSE, 1790000030.5, '{"message": "{provider} is busy ({detail}).", "facts": {"provider": "Groq", "detail": "HTTP 503"}}', 1790000000.5, 0.25);
INSERT INTO budgets (month, spent, reserved) VALUES
('2026-09', 1135000, 75000),
('2026-09 k1', 1000000, 75000),
('2026-09 pages', 135000, 0);
INSERT INTO caps (scope, usd) VALUES
('', '25'),
('k1', '5');
INSERT INTO chores (name, next_at, worker, began_at, ended_at, took_s, error) VALUES
('batches', 1790000003.5, 'host/io-1', 1790000000.5, NULL, NULL, NULL),
('index', 1790000060.5, '', 1790000000.5, 1790000001.5, 1.0, 'OSError');
INSERT INTO facts (name, value) VALUES
('active embedder', 'gemini-embedding-2@768'),
('paused gpu', 'paused');
INSERT INTO keys (id, name, digest, admin, language, created_at, last_used_at, revoked_at) VALUES
('k1', 'Анна', '00ff', FALSE, 'ru', 1790000000.5, 1790000005.5, NULL);
INSERT INTO orders (id, transcript_id, n, recording_id, owner, engine, state, fate, remote_id, duration_s, usd, submissions, doubts, breaks, patience, created_at, submit_at, submitted_at, working_at, finished_at, next_at, error) VALUES
('o0', 't2', 0, 'r2', 'k1', 'groq-batch', 'planned', '', 'batch_0', 60.0, '0.001', 1, 0, 1, 0, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, 1790000000.5, NULL),
('o1', 't2', 100, 'r2', 'k1', 'groq-batch', 'submitting', '', 'batch_1', 60.0, '0.001', 1, 0, 1, 0, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, 1790000000.5, NULL),
('o2', 't2', 200, 'r2', 'k1', 'groq-batch', 'submitted', 'working', 'batch_2', 60.0, '0.001', 1, 0, 1, 0, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, 1790000000.5, NULL),
('o3', 't2', 300, 'r2', 'k1', 'groq-batch', 'held', '', 'batch_3', 60.0, '0.001', 1, 0, 1, 0, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, 1790000000.5, '{"message": "{provider} is busy ({detail}).", "facts": {"provider": "Groq", "detail": "HTTP 503"}}'),
('o4', 't2', 400, 'r2', 'k1', 'groq-batch', 'done', 'done', 'batch_4', 60.0, '0.001', 1, 0, 1, 0, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, 1790000000.5, NULL),
('o5', 't2', 500, 'r2', 'k1', 'groq-batch', 'failed', '', 'batch_5', 60.0, '0.001', 1, 0, 1, 0, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, 1790000000.5, NULL),
('o6', 't2', 600, 'r2', 'k1', 'groq-batch', 'cancelled', 'waiting', 'batch_6', 60.0, '0.001', 1, 0, 1, 0, 1790000000.5, 1790000000.5, 1790000000.5, NULL, NULL, 1790000000.5, NULL);
INSERT INTO own_figures (name, value, set_at) VALUES
('eur_usd', '1.1', 1790000000.5);
INSERT INTO own_limits (provider, model, mode, tier, rpm, tpm, enqueued_tokens, at_once, set_at) VALUES
('gemini', '', 'batch', '2', NULL, NULL, 5000000000, NULL, 1790000000.5);
INSERT INTO own_prices (provider, model, mode, unit, price, currency, minimum_s, set_at) VALUES
('groq', 'whisper-large-v3', 'sync', 'audio hour', '0.2', 'USD', '10', 1790000000.5);
INSERT INTO payments (id, call_id, at, month, provider, model, lane, recording_id, owner, state, tokens_estimated, usd_estimated, tokens, usd, ended_at) VALUES
('y1', 'c1', 1790000000.5, '2026-09', 'gemini', 'gemini-embedding-2', 'now', 'r1', 'pages', 'settled', 1000, '0.00015', 900, '0.000135', 1790000001.5),
('y2', 'b1', 1790000000.5, '2026-09', 'gemini', 'gemini-embedding-2', 'batch', 'r2', 'k1', 'reserved', 1000, '0.000075', 0, '0', NULL),
('y3', 'o1/1', 1790000000.5, '2026-09', 'groq', 'whisper-large-v3', 'batch', 'r2', 'k1', 'disputed', 60, '0.001', 60, '0.001', 1790000001.5),
('y4', 'c4', 1790000000.5, '2026-09', 'groq', 'whisper-large-v3', 'now', 'r4', 'k1', 'released', 60, '0.002', 0, '0', 1790000001.5);
INSERT INTO plans (id, at, route, usd, tokens, p50_s, p90_s, recordings, facts) VALUES
('q1', 1790000000.5, 'groq/whisper-large-v3/batch + gemini/batch', '1.5', 100, 600.0, NULL, '["r1", "r2"]', '{"hours": "2"}');
INSERT INTO recordings (id, owner, sha256, filename, title, tags, language, size_bytes, duration_s, channels, format, created_at, transcript_id, meaning, vectors_by) VALUES
('r1', 'pages', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'a.wav', 'Планёрка', '["work", "май"]', 'ru', 5000000000, 61.5, 2, 'wav', 1790000000.5, 't1', 'done', NULL),
('r2', 'k1', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'b.opus', 'It''s 100 %', '[]', 'en', 7, NULL, 1, 'ogg', 1790000001.5, NULL, 'waiting', 1790003600.5),
('r3', 'k1', 'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', 'c', 'c', '[]', 'de', 7, 1.0, 1, '', 1790000002.5, NULL, 'off', NULL),
('r4', 'k1', 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'd', 'd', '[]', 'de', 7, 1.0, 1, '', 1790000003.5, NULL, 'failed', NULL);
INSERT INTO resumables (id, owner, size_bytes, facts, created_at, task_id) VALUES
('u1', 'k1', 6000000000, '{"filename": "a"}', 1790000000.5, NULL);
INSERT INTO runs (id, job_id, task_id, recording_id, kind, queue, outcome, worker, waited_s, started_at, ended_at, error) VALUES
('n0', 'j-run', 'k-run', 'r2', 'transcribe', 'io', 'done', 'host/io-1', 0.5, 1790000000.5, 1790000000.5, NULL),
('n1', 'j-run', 'k-run', 'r2', 'transcribe', 'io', 'failed', 'host/io-1', 0.5, 1790000000.5, 1790000001.5, NULL),
('n2', 'j-run', 'k-run', 'r2', 'transcribe', 'io', 'cancelled', 'host/io-1', 0.5, 1790000000.5, 1790000002.5, NULL),
('n3', 'j-run', 'k-run', 'r2', 'transcribe', 'io', 'quarantined', 'host/io-1', 0.5, 1790000000.5, 1790000003.5, NULL),
('n4', 'j-run', 'k-run', 'r2', 'transcribe', 'io', 'later', 'host/io-1', 0.5, 1790000000.5, 1790000004.5, NULL),
('n5', 'j-run', 'k-run', 'r2', 'transcribe', 'io', 'stopped', 'host/io-1', 0.5, 1790000000.5, 1790000005.5, NULL),
('n6', 'j-run', 'k-run', 'r2', 'transcribe', 'io', 'died', 'host/io-1', 0.5, 1790000000.5, 1790000006.5, NULL);
INSERT INTO tallies (span_s, measure, at, kind, queue, outcome, step, n, total_s, audio_s) VALUES
(60, 'ended', 1790000000, 'index', 'io', 'done', 0, 4, 2.5, 61.5),
(60, 'run', 1790000000, 'index', 'io', 'done', 20, 4, 2.5, 61.5),
(60, 'wait', 1790000000, 'index', 'io', 'done', 3, 4, 2.5, 61.5);
INSERT INTO transcripts (id, key, sha256, engine, engine_version, language, split_channels, subtitles, planned, complete, duration_s, processing_s, created_at) VALUES
('t1', 'key1', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'gigaam', '3', 'ru', TRUE, FALSE, TRUE, TRUE, 61.5, 3.25, 1790000000.5);
INSERT INTO workers (name, queue, host, pid, started_at, seen_at, rss_bytes, gpu_bytes, gpu_load, version, wish) VALUES
('host/io-1', 'io', 'host', 77, 1790000000.5, 1790000009.5, 3000000000, 0, NULL, '1', 'drain'),
('host/gpu-1', 'gpu', 'host', 78, 1790000000.5, 1790000009.5, 1, 8000000000, 0.5, '1', '');
INSERT INTO covers (id, recording_id, series, wish, state, remote_id, breaks, object, created_at, submitted_at, next_at, finished_at, error) VALUES
('v1', 'r1', 's1', '{"prompt": "a lake", "width": 512}', 'done', 'x', 0, 'covers/r1/v1', 1790000000.5, 1790000000.5, 1790000000.5, 1790000009.5, NULL);
INSERT INTO passages (id, recording_id, n, start_s, end_s, speaker, language, text, meaning, lane, text_hash) VALUES
('p1', 'r1', 0, 0.0, 45.0, 'left', 'ru', 'привет', 'done', 'now', 'h1'),
('p2', 'r2', 0, 0.0, 45.0, '', 'en', 'hello', 'waiting', 'batch', 'h2'),
('p3', 'r3', 0, 0.0, 45.0, '', 'de', 'hallo', 'off', 'now', ''),
('p4', 'r4', 0, 0.0, 45.0, '', 'en', 'bye', 'failed', 'batch', 'h3');
INSERT INTO segments (transcript_id, n, channel, start_s, end_s, text, words) VALUES
('t1', 0, 'left', 0.0, 2.5, 'привет', '[["привет", 0.0, 0.5]]'),
('t1', 100, 'right', 3.0, 4.0, NULL, NULL);
INSERT INTO tasks (id, recording_id, transcript_id, owner, status, stage, progress, engine, language, lane, created_at, started_at, completed_at, error, filename) VALUES
('k-done', 'r1', 't1', 'pages', 'completed', 'completed', 100, 'gigaam', 'ru', 'now', 1790000000.5, 1790000001.5, 1790000009.5, NULL, 'again.wav'),
('k-run', 'r2', 't2', 'k1', 'processing', 'transcribe', 40, 'groq', 'en', 'batch', 1790000000.5, 1790000001.5, NULL, NULL, ''),
('k-fail', 'r4', 't4', 'k1', 'failed', 'embed', 90, 'groq', 'en', 'batch', 1790000000.5, 1790000001.5, 1790000005.5, '{"message": "{provider} is busy ({detail}).", "facts": {"provider": "Groq", "detail": "HTTP 503"}}', ''),
('k-queue', 'r3', 't3', 'k1', 'queued', 'queued', 0, 'groq', 'de', '', 1790000000.5, NULL, NULL, NULL, ''),
('k-stop', 'r3', 't3', 'k1', 'cancelled', 'prepare', 0, 'groq', 'de', 'now', 1790000000.5, 1790000001.5, 1790000002.5, NULL, '');
INSERT INTO callbacks (task_id, url, tries, next_at, done_at, error) VALUES
('k-run', 'https://example.org/hook', 2, 1790000060.5, NULL, 'HTTP 500');
INSERT INTO jobs (id, task_id, kind, queue, state, epoch, starts, tries, worker, lease_until, progressed_at, run_at, rung_at, priority, waited_s, created_at, started_at, finished_at, error, traceback) VALUES
('j-ready', 'k-queue', 'prepare', 'cpu', 'ready', 2, 1, 3, '', 0.0, 0.0, 1790000060.5, 1790000030.5, 1, 0.0, 1790000000.5, NULL, NULL, '{"message": "{provider} is busy ({detail}).", "facts": {"provider": "Groq", "detail": "HTTP 503"}}', NULL),
('j-run', 'k-run', 'transcribe', 'io', 'running', 1, 2, 0, 'host/io-1', 1790000020.5, 1790000000.5, 1790000000.5, 1790000000.5, 0, 1.5, 1790000000.5, 1790000001.5, NULL, NULL, NULL),
('j-done', 'k-done', 'index', 'io', 'done', 1, 0, 0, 'host/io-1', 1790000000.5, 1790000000.5, 1790000000.5, 1790000000.5, 0, 0.5, 1790000000.5, 1790000001.5, 1790000002.5, NULL, NULL),
('j-fail', 'k-fail', 'embed', 'io', 'failed', 5, 0, 5, 'host/io-1', 1790000000.5, 1790000000.5, 1790000000.5, 1790000000.5, -1, 0.5, 1790000000.5, 1790000001.5, 1790000002.5, '{"message": "{provider} is busy ({detail}).", "facts": {"provider": "Groq", "detail": "HTTP 503"}}', 'Traceback: %s :x'),
('j-stop', 'k-stop', 'prepare', 'cpu', 'cancelled', 1, 0, 0, '', 0.0, 0.0, 1790000000.5, 1790000000.5, 0, 0.0, 1790000000.5, NULL, 1790000002.5, NULL, NULL),
('j-aside', 'k-stop', 'prepare', 'cpu', 'quarantined', 3, 3, 0, 'host/cpu-1', 1790000000.5, 1790000000.5, 1790000000.5, 1790000000.5, 0, 0.0, 1790000000.5, 1790000000.5, 1790000002.5, '{"message": "{provider} is busy ({detail}).", "facts": {"provider": "Groq", "detail": "HTTP 503"}}', NULL);
INSERT INTO replays (owner, name, body, task_id, created_at) VALUES
('k1', 'idem-1', '00', 'k-run', 1790000000.5);
INSERT INTO migrations (name) VALUES ('_m001_the_road'), ('_m002_names_of_uploads'), ('_m003_promises'), ('_m004_orders'), ('_m005_tariffs'), ('_m006_monitor'), ('_m007_own_limits'), ('_m008_subtitles'), ('_m009_deadlines');
