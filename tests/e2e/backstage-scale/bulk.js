'use strict';
// A big company's catalog: the same number makes the same entities.
//
//   node bulk.js 10000 rows                 the rows of a stitched catalog, for psql
//   node bulk.js 10000 databases [OWNER]    the names that `bsql ls --all -o name` prints for them, or those of one owner
const { createHash } = require('node:crypto');

const WORDS = ['invoices', 'parcels', 'ratings', 'coupons', 'returns', 'carriers', 'tariffs', 'baskets', 'vouchers',
  'refunds', 'stores', 'routes', 'claims', 'loyalty', 'pricing', 'lookups'];
const TEAM_SIZE = 40; // services
const CROWD = 250; // the services of the team with 500 databases
const hash = (text, algorithm = 'sha256') => createHash(algorithm).update(text).digest('hex');
const refOf = entity => `${entity.kind}:${entity.metadata.namespace || 'default'}/${entity.metadata.name}`.toLowerCase();
const pad = number => String(number).padStart(5, '0');

function database(name, environment, owner, more = {}) {
  const instance = ['payments', 'orders', 'ledger'][name.length % 3];
  const region = instance === 'ledger' ? 'europe-west4' : 'europe-west1';
  return {
    kind: 'Resource',
    metadata: {
      name,
      labels: { environment },
      annotations: {
        'bsql.dev/instance-connection-name': `acme-${environment}:${region}:${instance}`,
        'bsql.dev/database': instance,
        'bsql.dev/engine': 'postgres',
      },
      ...more,
    },
    spec: { type: 'database', owner },
  };
}

function odd() {
  const of = (name, more) => database(name, 'staging', 'group:default/curious', more);
  const components = [['settlement', ['settlement-main-staging', 'settlement-main-production', 'settlement-reporting-staging']]];
  return [
    { kind: 'Group', metadata: { name: 'curious' }, spec: { type: 'team', children: [] } },
    { kind: 'Group', metadata: { name: 'crowd' }, spec: { type: 'team', children: [] } },
    of('five-megabytes', { description: 'lorem ipsum '.repeat(437_000).slice(0, 5 * 1024 * 1024) }),
    of('odd-title', { title: '\u001b]0;owned\u0007\u001b[31mRed\u001b[0m \u202egnirts \u{1F600} \u6f22\u5b57 a\u0300\r\nnext\u0000line'.replace('\u0000', '') }),
    of('n'.repeat(63)),
    // As little as a Resource may have.
    { kind: 'Resource', metadata: { name: 'bare' }, spec: { type: 'database' } },
    // Everything it is related to is gone.
    { ...of('dangling'), spec: { type: 'database', owner: 'group:default/left-the-company', system: 'system:default/switched-off', dependencyOf: ['component:default/deleted'] } },
    { ...of('wrong-instance'), metadata: { name: 'wrong-instance', annotations: { 'bsql.dev/instance-connection-name': 'not/an/instance' } } },
    ...['default', 'emea', 'apac'].map(namespace => of('twin', { namespace })),
    of('only-in-emea', { namespace: 'emea' }),
    database('settlement-main-staging', 'staging', 'group:default/curious'),
    database('settlement-main-production', 'production', 'group:default/curious'),
    database('settlement-reporting-staging', 'staging', 'group:default/curious'),
    ...components.map(([name, needs]) => ({
      kind: 'Component',
      metadata: { name },
      spec: { type: 'service', lifecycle: 'production', owner: 'group:default/curious', dependsOn: [...needs, 'gone'].map(need => `resource:default/${need}`) },
    })),
  ];
}

function* generate(count) {
  const fixed = odd();
  yield* fixed;
  let left = count - fixed.length;
  for (let number = 0; left > 0; number++) {
    const name = `${WORDS[number % WORDS.length]}-${pad(number)}`;
    const team = `team-${pad(Math.floor(number / TEAM_SIZE))}`;
    const owner = number < CROWD ? 'group:default/crowd' : number % 100 === 0 ? 'group:default/payments' : `group:default/${team}`;
    const part = [];
    if (number % TEAM_SIZE === 0) part.push({ kind: 'Group', metadata: { name: team }, spec: { type: 'team', children: [] } });
    const needs = ['staging', 'production'].map(environment => database(`${name}-${environment}`, environment, owner));
    part.push(...needs, {
      kind: 'Component',
      metadata: { name, description: 'A service among many, described at the length that people describe services.' },
      spec: { type: 'service', lifecycle: 'production', owner, dependsOn: needs.map(refOf) },
    });
    if (number % 4 === 0) part.push({ kind: 'Resource', metadata: { name: `${name}-files` }, spec: { type: 'bucket', owner } });
    yield* part.slice(0, left);
    left -= part.length;
  }
}

/** `buildEntitySearch` of Backstage: [key, value, original] of each row. */
function searchRows(entity) {
  const rows = [];
  const seen = new Set();
  const emit = (key, value) => {
    const original = String(value);
    const fits = original.length <= 200;
    const row = [key.toLowerCase(), fits ? original.toLowerCase() : null, fits ? original : null];
    if (key.length > 200 || seen.has(`${row[0]}\n${row[1]}`)) return;
    seen.add(`${row[0]}\n${row[1]}`);
    rows.push(row);
  };
  const visit = (path, value) => {
    if (Array.isArray(value)) {
      for (const item of value) {
        visit(path, item);
        if (typeof item === 'string') emit(`${path}.${item}`, true);
      }
    } else if (value && typeof value === 'object') {
      for (const [key, inner] of Object.entries(value)) visit(path ? `${path}.${key}` : key, inner);
    } else emit(path, value);
  };
  const { relations, ...rest } = entity;
  visit('', { ...rest, metadata: { ...rest.metadata, etag: undefined } });
  for (const { type, targetRef } of relations) emit(`relations.${type}`, targetRef);
  return rows.filter(([key]) => key !== 'metadata.etag');
}

async function writeRows(count) {
  const { once } = require('node:events');
  const entities = [...generate(count)];
  const related = new Map(entities.map(entity => [refOf(entity), []]));
  const relate = (from, type, to) => related.get(from)?.push({ type, targetRef: to });
  for (const entity of entities) {
    const me = refOf(entity);
    for (const [type, back, targets] of [
      ['ownedBy', 'ownerOf', [entity.spec.owner]],
      ['partOf', 'hasPart', [entity.spec.system]],
      ['dependsOn', 'dependencyOf', entity.spec.dependsOn || []],
      ['dependencyOf', 'dependsOn', entity.spec.dependencyOf || []],
    ]) {
      for (const target of targets.filter(Boolean)) {
        relate(me, type, target);
        relate(target, back, me);
      }
    }
  }
  const text = field => (field === null ? '\\N' : String(field).replace(/[\\\t\n\r]/g, one => ({ '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' })[one]));
  const tables = [
    ['refresh_state', 'entity_id,entity_ref,unprocessed_entity,processed_entity,cache,errors,next_update_at,last_discovery_at,location_key,result_hash,unprocessed_hash',
      ({ id, ref, entity }) => [[id, ref, JSON.stringify(entity), JSON.stringify(entity), '{}', '[]', '2100-01-01', '2026-01-01', 'bulk', 'x', 'x']]],
    ['refresh_state_references', 'source_key,target_entity_ref', ({ ref }) => [['bulk', ref]]],
    ['final_entities', 'entity_id,hash,final_entity,last_updated_at,entity_ref',
      ({ id, ref, final }) => [[id, 'x', JSON.stringify(final), '2026-01-01', ref]]],
    ['search', 'entity_id,key,value,original_value', ({ id, final }) => searchRows(final).map(row => [id, ...row])],
  ];
  const stitched = entities.map(written => {
    const ref = refOf(written);
    const id = hash(ref).replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, '$1-$2-8$3-a$4-$5');
    const entity = { apiVersion: 'backstage.io/v1alpha1', ...written, metadata: { namespace: 'default', ...written.metadata } };
    const relations = related.get(ref).sort((a, b) => (`${a.type} ${a.targetRef}` < `${b.type} ${b.targetRef}` ? -1 : 1));
    return { id, ref, entity, final: { ...entity, metadata: { ...entity.metadata, uid: id, etag: hash(ref, 'sha1') }, relations } };
  });
  const write = async line => process.stdout.write(line) || once(process.stdout, 'drain');
  await write('begin;\n');
  for (const [table, columns, rows] of tables) {
    await write(`copy ${table} (${columns}) from stdin;\n`);
    for (const one of stitched) {
      const lines = rows(one).map(row => `${row.map(text).join('\t')}\n`);
      if (lines.length) await write(lines.join(''));
    }
    await write('\\.\n');
  }
  await write('commit;\nanalyze search; analyze final_entities; analyze refresh_state;\n');
}

const [count, what, owner] = process.argv.slice(2);
if (what === 'rows') {
  writeRows(Number(count));
} else {
  // As bsql prints and sorts them: without the default namespace.
  const refs = [];
  for (const { kind, metadata, spec } of generate(Number(count))) {
    if (kind !== 'Resource' || spec.type !== 'database' || (owner && spec.owner !== owner)) continue;
    refs.push([metadata.namespace && metadata.namespace !== 'default' ? `${metadata.namespace}/${metadata.name}` : metadata.name]);
  }
  for (const name of refs.flat().sort()) console.log(name);
}
