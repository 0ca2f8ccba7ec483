// Asks the real Backstage and the sandbox's the same things about the same entities, and fails where their answers differ.
//
// Environment: REAL and FAKE, the two backends; TOKEN, a token that both take; DENIED_TOKEN, one that the real one grants
// nothing; CONTROL, the sandbox's control file, to have its catalog hide everything.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { isDeepStrictEqual } from 'node:util';

const { REAL, FAKE, TOKEN, DENIED_TOKEN, CONTROL } = process.env;
const bearer = token => ({ authorization: `Bearer ${token}` });
const signedIn = bearer(TOKEN);
const json = { 'content-type': 'application/json' };
const get = (path, headers = signedIn) => ({ path, headers });
const query = (parameters, headers) => get(`/entities/by-query?${new URLSearchParams(parameters)}`, headers);
const post = (path, body, headers = signedIn) => ({
  path, method: 'POST', headers: { ...json, ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body),
});
const find = (body, headers) => post('/entities/by-query', { fields: ['kind', 'metadata.name'], ...body }, headers);
const refs = (body, path = '/entities/by-refs') => post(path, body);
// In one namespace: those of the same name come by uid, which each makes up for itself.
const DATABASES = 'kind=resource,spec.type=database,metadata.namespace=default';
const NAMES = ['fields', 'kind,metadata.namespace,metadata.name'];
const many = count => Array.from({ length: count }, (_, n) => `resource:default/db-${String(n).padStart(5, '0')}`);

/** Said of a case whose message is not compared: it quotes a library of the server's, which differs by design. */
const LOOSE = Symbol('loose');

const CASES = {
  'without a token': query([['limit', 1]], {}),
  'with another scheme': query([['limit', 1]], { authorization: 'Basic eDp5' }),
  'with an empty token': query([['limit', 1]], { authorization: 'Bearer' }),
  'with an unknown token': query([['limit', 1]], bearer('nope')),
  'with a lower-case scheme': query([['filter', 'kind=user'], NAMES], { authorization: `bearer ${TOKEN}` }),
  'an unknown path': get('/nothing/here'),
  'a path with a trailing part': get('/entities/by-query/more'),

  'the one call of ls': query([['filter', `${DATABASES},relations.ownedBy=group:default/payments,relations.ownedBy=user:default/ada`],
    ['fields', 'kind,metadata.name,metadata.annotations.bsql.dev/database,relations'], ['orderField', 'metadata.name,asc']]),
  'whole entities': query([['filter', DATABASES], ['orderField', 'metadata.name']]),
  'the person by mail': query([['filter', 'kind=user,spec.profile.email=ADA@acme.example']]),
  'the databases of a component': query([['filter', 'kind=resource,relations.dependencyOf=component:default/orders-api'], NAMES]),
  'filters are alternatives': query([['filter', 'kind=user'], ['filter', 'kind=domain'], NAMES]),
  'a key twice': query([['filter', 'kind=user,kind=domain'], NAMES]),
  'a key twice in other letters': query([['filter', 'kind=user,Kind=domain'], NAMES]),
  'a key alone': query([['filter', 'metadata.annotations.bsql.dev/instance-connection-name'], NAMES]),
  'a key with an empty value': query([['filter', 'kind=resource,metadata.title='], NAMES]),
  'a value without a key': query([['filter', 'kind=resource,=x']]),
  'an empty filter': query([['filter', ''], ['limit', 0], ['filter', 'kind=user']]),
  'spaces in a filter': query([['filter', ' kind = user , metadata.name = ada '], NAMES]),
  'a value with an equals sign': query([['filter', 'metadata.description=a=b'], NAMES]),
  'no wildcards': query([['filter', 'metadata.name=payments-*'], NAMES]),
  'a tag': query([['filter', 'kind=resource,metadata.tags.postgresql'], NAMES]),
  'the owner as it is written': query([['filter', 'kind=resource,spec.owner=payments'], NAMES]),
  'an annotation in other letters': query([['filter', 'metadata.annotations.BSQL.dev/Database=PAYMENTS'], NAMES]),
  'several fields parameters': query([['filter', 'kind=user'], ['fields', 'kind'], ['fields', 'metadata.name,spec.profile']]),
  'fields that nothing has': query([['filter', 'kind=domain'], ['fields', 'metadata.nothing']]),
  'fields with brackets': query([['filter', 'kind=user'], ['fields', 'metadata.tags[0]']]),
  'limit 0': query([['filter', DATABASES], ['limit', 0]]),
  'limit -1': query([['limit', -1]]),
  'limit that is no number': query([['limit', 'abc']]),
  'limit 1e3': query([['filter', 'kind=user'], NAMES, ['limit', '1e3']]),
  'limit 1.5': query([['limit', '1.5']]),
  'offset': query([['filter', DATABASES], NAMES, ['orderField', 'metadata.name,desc'], ['offset', 3], ['limit', 4]]),
  'offset beyond the end': query([['filter', DATABASES], NAMES, ['offset', 300]]),
  'an unknown parameter': query([['foo', 'bar']]),
  'without a count': query([['filter', DATABASES], NAMES, ['totalItems', 'exclude']]),
  'totalItems in other words': query([['totalItems', 'maybe']]),
  'order that is none': query([['orderField', 'metadata.name,up']]),
  'order by what some lack': query([['filter', DATABASES], NAMES, ['orderField', 'metadata.title,asc']]),
  'full text': query([['filter', DATABASES], NAMES, ['fullTextFilterTerm', 'INVEN'], ['fullTextFilterFields', 'metadata.name,metadata.title']]),
  'full text with wildcards': query([['filter', DATABASES], NAMES, ['fullTextFilterTerm', 'pay%stag'], ['fullTextFilterFields', 'metadata.name']]),
  'full text without fields': query([['filter', DATABASES], NAMES, ['fullTextFilterTerm', 'payments']]),
  'a cursor that is none': Object.assign(query([['cursor', 'xyz']]), { [LOOSE]: true }),
  'a cursor of something else': Object.assign(query([['cursor', 'e30=']]), { [LOOSE]: true }),
  'too long a head': query([['filter', 'x'.repeat(17_000)]]),

  'predicates': find({ query: { kind: 'Resource', 'spec.type': { $in: ['database', 'CloudSQL'] }, 'relations.ownedBy': { $in: ['group:default/platform'] } } }),
  'any, all, not': find({ query: { $all: [{ kind: 'resource' }, { $not: { 'spec.type': 'database' } }, { $any: [{ 'metadata.name': { $hasPrefix: 'ORDER' } }, { 'spec.type': 'cdn' }] }] } }),
  'exists': find({ query: { kind: 'Resource', 'metadata.labels.environment': { $exists: false }, 'spec.type': { $exists: true } } }),
  'contains a relation': find({ query: { relations: { $contains: { type: 'ownedBy', targetRef: { $in: ['group:default/data'] } } } } }),
  'contains a tag': find({ query: { kind: 'resource', 'metadata.tags': { $contains: 'postgresql' } } }),
  'no query': find({ query: { kind: 'domain' }, limit: 1, orderBy: [{ field: 'metadata.name', order: 'asc' }] }),
  'in order': find({ query: { kind: 'domain' }, orderBy: [{ field: 'metadata.name', order: 'desc' }] }),
  'posted full text': find({ query: { kind: 'resource' }, fullTextFilter: { term: 'inven', fields: ['metadata.name'] } }),
  'posted limit 0': find({ query: { kind: 'resource' }, limit: 0 }),
  'posted without a count': find({ query: { kind: 'domain' }, totalItems: 'exclude' }),
  'an unknown operator': Object.assign(find({ query: { $bogus: 1 } }), { [LOOSE]: true }),
  'two operators at once': Object.assign(find({ query: { $all: [], $any: [] } }), { [LOOSE]: true }),
  'a query that is a list': Object.assign(find({ query: [] }), { [LOOSE]: true }),
  'a query that is text': Object.assign(find({ query: 'kind=user' }), { [LOOSE]: true }),
  'in without a list': Object.assign(find({ query: { kind: { $in: 'user' } } }), { [LOOSE]: true }),
  'null as a value': Object.assign(find({ query: { kind: null } }), { [LOOSE]: true }),
  'broken JSON': Object.assign(post('/entities/by-query', '{'), { [LOOSE]: true }),
  'another content type': Object.assign(post('/entities/by-refs', '{"entityRefs":[]}', { ...signedIn, 'content-type': 'text/plain' }), { [LOOSE]: true }),

  'by refs': refs({ fields: ['metadata.name'], entityRefs: ['resource:default/payments-staging', 'resource:default/nope', 'Resource:default/Payments-Staging', 'resource:payments-staging', ''] }),
  'by refs, whole': refs({ entityRefs: ['resource:default/payments-staging', 'user:default/ada', 'system:default/checkout'] }),
  'by refs, twice the same': refs({ fields: ['kind'], entityRefs: ['user:default/ada', 'user:default/ada'] }),
  'by refs, none': refs({ entityRefs: [] }),
  'by refs with a filter': refs({ fields: ['kind'], entityRefs: ['user:default/ada', 'resource:default/payments-staging'] }, '/entities/by-refs?filter=kind=user'),
  'by refs with a predicate': refs({ fields: ['kind'], entityRefs: ['user:default/ada', 'resource:default/payments-staging'], query: { kind: 'user' } }),
  'by refs without refs': Object.assign(refs({}), { [LOOSE]: true }),
  'by refs that are text': Object.assign(refs({ entityRefs: 'user:default/ada' }), { [LOOSE]: true }),
  '2,000 refs': refs({ fields: ['kind'], entityRefs: many(2_000) }),
  '5,000 refs': refs({ entityRefs: many(5_000) }),

  'by name': get('/entities/by-name/Resource/Default/PAYMENTS-staging'),
  'by a name that is not there': get('/entities/by-name/resource/default/nope'),
  'by a name in another namespace': get('/entities/by-name/resource/warehouse/inventory'),
  'by a name with a slash': get('/entities/by-name/resource/default/a%2Fb'),
  'by a name of 300 characters': get(`/entities/by-name/resource/default/${'n'.repeat(300)}`),
  'by a uid that is not there': get('/entities/by-uid/00000000-0000-0000-0000-000000000000'),
  'ancestry': get('/entities/by-name/resource/default/payments-staging/ancestry'),
  'ancestry of what is not there': get('/entities/by-name/resource/default/nope/ancestry'),

  'facets': get(`/entity-facets?facet=spec.type&facet=metadata.labels.environment&filter=${DATABASES},spec.type=cloudsql`),
  'facets of a key that nothing has': get('/entity-facets?facet=metadata.nothing&filter=kind=user'),
  'facets of relations': get('/entity-facets?facet=relations.ownedBy&filter=kind=component'),
  'no facet': get('/entity-facets'),
  'posted facets': post('/entity-facets', { facets: ['kind'], query: { 'spec.type': { $in: ['team', 'database', 'service'] } } }),
  'posted, no facet': post('/entity-facets', { facets: [] }),
};

const DENIED = {
  'denied by-query': query([['filter', 'kind=user']]),
  'denied by-refs': refs({ fields: ['kind'], entityRefs: ['user:default/ada', 'user:default/nope'] }),
  'denied by-name': get('/entities/by-name/user/default/ada'),
  'denied facets': get('/entity-facets?facet=kind'),
  'denied ancestry': get('/entities/by-name/user/default/ada/ancestry'),
};

/** What must be the same: neither ids nor where an entity was read from, which each makes up for itself. */
function normal(value, ordered) {
  if (Array.isArray(value)) return value.map(one => normal(one, ordered));
  if (!value || typeof value !== 'object') return value;
  const fields = Object.entries(value).filter(([key]) => !['uid', 'etag', 'stack'].includes(key) && !key.startsWith('backstage.io/'));
  return Object.fromEntries(fields.map(([key, inner]) => {
    if (key === 'nextCursor' || key === 'prevCursor') return [key, 'a cursor'];
    // Without an order of their own they come by uid.
    if (key === 'items' && ordered) return [key, inner.map(one => normal(one))];
    if (['items', 'relations', 'facets'].includes(key)) return [key, sorted(normal(inner))];
    return [key, normal(inner, ordered)];
  }));
}
const sorted = value =>
  Array.isArray(value) ? value.map(sorted).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    : value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, sorted(one)]).sort())
      : value;

async function ask(base, { path, method = 'GET', headers, body, [LOOSE]: loose }) {
  const response = await fetch(`${base}/api/catalog${path}`, { method, headers: { 'accept-encoding': 'identity', ...headers }, body, redirect: 'manual' });
  const text = await response.text();
  const is_ordered = /orderField|by-refs/.test(path) || (body || '').includes('orderBy');
  let content = text;
  try {
    content = normal(JSON.parse(text), is_ordered);
  } catch {
    // As it is.
  }
  // The file that the seed is in is a Location, and only in the real one.
  if (path.endsWith('/ancestry') && content.items) content.items = content.items.map(item => item.entity).filter(({ kind }) => kind !== 'Location');
  if (content?.error) delete content.error.code;
  if (loose && content?.error) {
    content.error.message = content.error.message && 'something';
  }
  return {
    status: response.status,
    type: text ? (response.headers.get('content-type') || '').split(';')[0] : '',
    hasTag: response.headers.has('etag'),
    authenticate: response.headers.get('www-authenticate'),
    content,
  };
}

let differing = 0;
const failed = (name, why) => {
  differing += 1;
  console.error(`${name}: ${why}`);
};
async function compare(cases, realToken) {
  for (const [name, request] of Object.entries(cases)) {
    const real = await ask(REAL, realToken ? { ...request, headers: { ...request.headers, ...bearer(realToken) } } : request);
    const fake = await ask(FAKE, request);
    if (!isDeepStrictEqual(fake, real)) failed(name, `\n  Backstage  ${JSON.stringify(real)}\n  sandbox    ${JSON.stringify(fake)}`);
  }
}

/** All pages, with limit and fields sent again. */
async function walk(base, first) {
  const names = [];
  let pages = 0;
  let cursor;
  do {
    const parameters = cursor ? [['cursor', cursor], ['limit', 3], ['fields', 'metadata.name']] : [...first, ['limit', 3], ['fields', 'metadata.name']];
    const response = await fetch(`${base}/api/catalog/entities/by-query?${new URLSearchParams(parameters)}`, { headers: signedIn });
    const page = await response.json();
    names.push(...page.items.map(item => item.metadata.name));
    pages += 1;
    cursor = page.pageInfo.nextCursor;
  } while (cursor);
  return { names, pages };
}

await compare(CASES);

for (const first of [[['filter', DATABASES], ['orderField', 'metadata.name,desc']], [['filter', DATABASES]]]) {
  const [real, fake] = [await walk(REAL, first), await walk(FAKE, first)];
  if (first.length === 1) [real, fake].forEach(walked => walked.names.sort());
  if (!isDeepStrictEqual(fake, real)) failed(`all pages of ${new URLSearchParams(first)}`, JSON.stringify({ real, fake }));
}

// A cursor holds neither limit nor fields: without them it is 20 whole entities again.
for (const [name, base] of Object.entries({ REAL, FAKE })) {
  const first = await (await fetch(`${base}/api/catalog/entities/by-query?limit=1&fields=kind&filter=kind=resource`, { headers: signedIn })).json();
  const next = await (await fetch(`${base}/api/catalog/entities/by-query?cursor=${encodeURIComponent(first.pageInfo.nextCursor)}`, { headers: signedIn })).json();
  const rest = Math.min(20, first.totalItems - 1);
  if (!(rest > 1) || next.items.length !== rest || !next.items[0].metadata.uid) failed(`a cursor alone, ${name}`, JSON.stringify(next).slice(0, 400));
}

// Asked again with its tag, an answer is not sent again; and long ones are compressed.
for (const [name, base] of Object.entries({ REAL, FAKE })) {
  const url = `${base}/api/catalog/entities/by-query?fields=metadata.name&filter=kind=user`;
  const tag = (await fetch(url, { headers: signedIn })).headers.get('etag');
  // Not with fetch, which says `no-cache` with it.
  const again = await new Promise((resolve, reject) =>
    http.get(url, { headers: { ...signedIn, 'if-none-match': tag } }, response => resolve(response.resume())).on('error', reject));
  if (again.statusCode !== 304 || !tag.startsWith('W/"')) failed(`an ETag, ${name}`, `${tag}, ${again.statusCode}`);
  for (const [path, expected] of [['filter=kind=resource', 'gzip'], ['filter=kind=resource&fields=metadata', 'gzip'], ['filter=kind=nothing', 'gzip'], ['filter=kind=user&fields=kind', null]]) {
    const response = await fetch(`${base}/api/catalog/entities/by-query?${path}`, { headers: { ...signedIn, 'accept-encoding': 'gzip' } });
    await response.text();
    const encoding = response.headers.get('content-encoding');
    if (encoding !== expected) failed(`compression of ${path}, ${name}`, `${encoding} instead of ${expected}`);
  }
}

const control = JSON.parse(readFileSync(CONTROL));
const faults = body => fetch(new URL('faults', control.url), { method: 'POST', headers: bearer(control.token), body: JSON.stringify(body) });
await faults({ hidden_from: ['ada'] });
await compare(DENIED, DENIED_TOKEN);
await faults({});

console.log(`${Object.keys({ ...CASES, ...DENIED }).length} requests compared, ${differing} answers differ`);
process.exit(differing ? 1 : 0);
