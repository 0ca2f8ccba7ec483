// A real OpenID provider, panva's `oidc-provider`, on loopback: pages with real forms, consent, PKCE, rotation, step-up.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider, interactionPolicy } from 'oidc-provider';

/** Who can sign in, and with which password. */
export const PEOPLE = {
  alice: { password: 'wonderland', email: 'alice@acme.example', name: 'Alice Liddell' },
};

const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const page = (title, body) => `<!doctype html><meta charset=utf-8><title>${escaped(title)}</title><h1>${escaped(title)}</h1>${body}`;
const key = () => ({
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  use: 'sig', alg: 'RS256', kid: randomBytes(6).toString('hex'),
});

// Who is signed in with less than what `acr_values` asks for has to sign in again.
function policy() {
  const policy = interactionPolicy.base();
  policy.get('login').checks.add(new interactionPolicy.Check('step_up', 'more proof is asked for', 'login_required', (ctx) => {
    const wanted = ctx.oidc.params.acr_values?.split(' ') ?? [];
    return wanted.length > 0 && !wanted.includes(ctx.oidc.result?.login?.acr ?? ctx.oidc.session.acr);
  }));
  return policy;
}

/** Starts one. `tokenLife` is in seconds; `pushOnly` refuses requests that were not pushed (RFC 9126); without `devices` there is no device flow. */
export async function startProvider({ tokenLife = 3600, pushOnly = false, devices = true } = {}) {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'bsql', application_type: 'native', token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token', ...(devices ? ['urn:ietf:params:oauth:grant-type:device_code'] : [])],
      response_types: ['code'],
      // The port is left open for native clients on loopback (RFC 8252 section 7.3).
      redirect_uris: ['http://127.0.0.1/callback'],
    }],
    jwks: { keys: [key()] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    scopes: ['openid', 'offline_access', 'profile', 'email'],
    claims: { openid: ['sub', 'acr', 'auth_time', 'amr'], profile: ['name'], email: ['email', 'email_verified'] },
    // Claims of the scopes belong into the ID token, as with Okta, Entra and Keycloak.
    conformIdTokenClaims: false,
    acrValues: ['urn:bsql:pwd', 'urn:bsql:mfa'],
    pkce: { required: () => true },
    // A refresh token that comes twice ends the whole session.
    rotateRefreshToken: true,
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    ttl: { AccessToken: tokenLife, IdToken: tokenLife, RefreshToken: 86400, DeviceCode: 120, AuthorizationCode: 60, Session: 3600, Grant: 86400, Interaction: 600 },
    async findAccount(ctx, id) {
      const person = PEOPLE[id];
      return person && { accountId: id, claims: async () => ({ sub: id, email: person.email, email_verified: true, name: person.name }) };
    },
    interactions: { policy: policy(), url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: devices, mask: '****-****' },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: pushOnly },
    },
    renderError(ctx, out) { ctx.type = 'html'; ctx.body = page('error', `<pre>${escaped(JSON.stringify(out))}</pre>`); },
  });

  /** What happened, for the cases to look at. */
  const seen = { refreshes: 0, pushed: 0, authorizations: [] };
  provider.on('grant.success', (ctx) => { if (ctx.oidc.params.grant_type === 'refresh_token') seen.refreshes += 1; });
  provider.on('pushed_authorization_request.success', () => { seen.pushed += 1; });
  provider.on('authorization.success', (ctx) => seen.authorizations.push({ ...ctx.oidc.params.toPlainObject?.() ?? ctx.oidc.params }));
  provider.on('server_error', (ctx, error) => console.error('the provider failed:', error));

  const handle = provider.callback();
  server.on('request', async (request, response) => {
    const match = /^\/interaction\/[^/]+(?:\/(login|confirm|abort))?$/.exec(new URL(request.url, issuer).pathname);
    if (!match) return handle(request, response);
    try {
      return await interact(provider, request, response, match[1]);
    } catch (error) {
      return answer(response, page('error', `<pre>${escaped(error.error ?? error.message)}</pre>`), 400);
    }
  });
  const stop = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return { issuer, seen, stop, once: provider.once.bind(provider) };
}

function answer(response, body, status = 200) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  response.end(body);
}

async function form(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return Object.fromEntries(new URLSearchParams(body));
}

async function interact(provider, request, response, step) {
  const { uid, prompt, params, grantId, session } = await provider.interactionDetails(request, response);
  const finish = (result, merge) => provider.interactionFinished(request, response, result, { mergeWithLastSubmission: merge });
  if (step === 'abort') return finish({ error: 'access_denied', error_description: 'the person said no' }, false);
  if (request.method === 'GET' && prompt.name === 'login') {
    return answer(response, page('Sign in', `<form method=post action=/interaction/${uid}/login><input name=login><input name=password type=password><button id=signin>Sign in</button></form><a id=abort href=/interaction/${uid}/abort>Cancel</a>`));
  }
  if (request.method === 'GET') {
    return answer(response, page('Consent', `<p>${escaped(params.client_id)} asks for ${escaped(params.scope)}</p><form method=post action=/interaction/${uid}/confirm><button id=allow>Allow</button></form><a id=abort href=/interaction/${uid}/abort>Deny</a>`));
  }
  if (step === 'login') {
    const { login, password } = await form(request);
    if (!Object.hasOwn(PEOPLE, login) || PEOPLE[login].password !== password) return answer(response, page('Wrong password', ''), 401);
    const acr = params.acr_values?.split(' ')[0] ?? 'urn:bsql:pwd';
    return finish({ login: { accountId: login, acr, amr: acr === 'urn:bsql:mfa' ? ['pwd', 'otp'] : ['pwd'] } }, false);
  }
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  if (prompt.details.missingOIDCClaims) grant.addOIDCClaims(prompt.details.missingOIDCClaims);
  return finish({ consent: { grantId: await grant.save() } }, true);
}
