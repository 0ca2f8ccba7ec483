// A catalog of $DATABASES databases that are made up while they are sent, so that all memory it takes is the client's.
// Knows just what a list asks for: pages of by-query, with a cursor that is a number.
import http from 'node:http';

const total = Number(process.env.DATABASES);
const database = number => {
  const name = `invoices-${String(number).padStart(6, '0')}-staging`;
  return {
    apiVersion: 'backstage.io/v1alpha1',
    kind: 'Resource',
    metadata: {
      name, namespace: 'default', title: `Invoices ${number}`, labels: { environment: 'staging' },
      description: 'What was billed, to whom and when; kept for ten years, as the law says, and then forgotten.',
      annotations: {
        'bsql.dev/instance-connection-name': `acme-staging:europe-west1:invoices-${number}`,
        'bsql.dev/database': 'invoices', 'bsql.dev/engine': 'postgres',
      },
    },
    spec: { type: 'database', owner: `team-${number % 500}` },
    relations: [
      { type: 'ownedBy', targetRef: `group:default/team-${number % 500}` },
      { type: 'partOf', targetRef: 'system:default/billing' },
    ],
  };
};
const server = http.createServer((request, response) => {
  let body = '';
  request.on('data', piece => (body += piece));
  request.on('end', () => {
    const url = new URL(request.url, 'http://x');
    const posted = body ? JSON.parse(body) : {};
    const asked = name => posted[name] ?? url.searchParams.get(name);
    response.setHeader('content-type', 'application/json; charset=utf-8');
    if (!url.pathname.endsWith('/entities/by-query')) {
      response.statusCode = 404;
      return response.end();
    }
    const from = Number(asked('cursor') ?? 0);
    const to = Math.min(total, from + Number(asked('limit') ?? 20));
    response.write('{"items":[');
    for (let number = from; number < to; number++) response.write((number > from ? ',' : '') + JSON.stringify(database(number)));
    const next = to < total ? { nextCursor: String(to) } : {};
    return response.end(`],"totalItems":${total},"pageInfo":${JSON.stringify(next)}}`);
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
