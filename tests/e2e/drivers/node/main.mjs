// Does through a tunnel what an application does with Node's drivers: main.mjs URI, as `bsql dsn` prints it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import mysql from 'mysql2/promise';
import pg from 'pg';

const POOL = 5;
const ROWS = 5000;

/** What the two drivers and databases say differently; `ask` gives the values of the first row, or of all. */
const dialects = {
  'postgresql:': uri => {
    const pool = new pg.Pool({ connectionString: uri, max: POOL });
    return {
      user: 'ada@acme.example',
      session: 'select pg_backend_pid()',
      sleep: 'select pg_sleep(60)',
      isAsleep: id => `select count(*) from pg_stat_activity where pid = ${id} and state = 'active' and query like '%sleep%'`,
      cancel: id => `select pg_cancel_backend(${id})`,
      cancelled: '57014',
      temporary: 'create temporary table bulk (id integer primary key, line text, bytes bytea)',
      insert: 'insert into bulk values ($1, $2, $3)',
      connect: () => pool.connect(),
      ask: async (connection, sql, values) => (await connection.query({ text: sql, values, rowMode: 'array' })).rows,
      end: () => pool.end(),
    };
  },
  'mysql:': uri => {
    const pool = mysql.createPool({ uri, connectionLimit: POOL, rowsAsArray: true });
    return {
      user: 'ada@%',
      session: 'select connection_id()',
      sleep: 'select sleep(60)',
      isAsleep: id => `select count(*) from information_schema.processlist where id = ${id} and info like '%sleep%'`,
      cancel: id => `kill query ${id}`,
      cancelled: 'ER_QUERY_INTERRUPTED',
      temporary: 'create temporary table bulk (id integer primary key, line text, bytes longblob) character set utf8mb4',
      insert: 'insert into bulk values (?, ?, ?)',
      connect: () => pool.getConnection(),
      // With values it is a prepared statement, in the protocol's binary form.
      ask: async (connection, sql, values) => (await (values ? connection.execute(sql, values) : connection.query(sql)))[0],
      end: () => pool.end(),
    };
  },
};

const uri = process.argv[2];
const db = dialects[uri.split('//')[0]](uri);
const one = async (connection, sql) => String((await db.ask(connection, sql))[0][0]);

const connections = [];
for (let each = 0; each < POOL; each++) connections.push(await db.connect());
const sessions = new Set();
for (const connection of connections) {
  assert.equal(await one(connection, 'select current_user'), db.user);
  sessions.add(await one(connection, db.session));
}
assert.equal(sessions.size, POOL);

const [busy, watching] = connections;
const id = await one(busy, db.session);
const asleep = db.ask(busy, db.sleep).then(
  () => assert.fail('it was not cancelled'),
  error => error,
);
while ((await one(watching, db.isAsleep(id))) !== '1');
await db.ask(watching, db.cancel(id));
assert.equal((await asleep).code, db.cancelled);
assert.equal(await one(busy, 'select current_user'), db.user);

const digest = rows => {
  const hash = createHash('sha256');
  for (const [id, line, bytes] of rows) hash.update(`${id}\n${line}\n`).update(bytes);
  return hash.digest('hex');
};
const sent = Array.from({ length: ROWS }, (_, id) => [id, `Zeile ${id} — 'ключ' \\ 🔑`, randomBytes(1 + (id % 400))]);
await db.ask(busy, db.temporary);
await db.ask(busy, 'begin');
for (const row of sent) await db.ask(busy, db.insert, row);
await db.ask(busy, 'commit');
assert.equal(digest(await db.ask(busy, 'select id, line, bytes from bulk order by id')), digest(sent));

for (const connection of connections) connection.release();
await db.end();
