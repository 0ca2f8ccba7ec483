// bsql signs in at a real OpenID provider, with a real browser. One line for each case that holds.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { browse } from './person.mjs';
import { startProvider } from './provider.mjs';

const here = dirname(fileURLToPath(import.meta.url));

/** Somebody's machine: settings, state, and nothing else of this one. */
class Machine {
  constructor(issuer) {
    this.home = mkdtempSync(join(tmpdir(), 'bsql-e2e-oidc-'));
    this.browsers = join(this.home, 'browsers');
    mkdirSync(this.browsers);
    // Nothing listens on port 9: who one is must not depend on the catalog or on Google. The tests read the tokens, and
    // the keyring of whoever runs them is none of their business.
    writeFileSync(join(this.home, 'config.toml'), `
[profiles.acme]
identity.issuer = "${issuer}"
identity.token_store = "file"
backstage.url = "http://127.0.0.1:9"
backstage.auth = "none"
google.workforce_provider = "locations/global/workforcePools/acme/providers/oidc"
google.endpoints.sts = "http://127.0.0.1:9"
`);
  }

  environment(more) {
    return {
      PATH: process.env.PATH, HOME: this.home, TZ: 'UTC', SHELL: '/bin/sh',
      // A browser does not end with the terminal that it was opened from.
      BROWSER: `setsid ${join(here, 'person.mjs')}`, PERSON_DIR: this.browsers,
      BSQL_CONFIG: join(this.home, 'config.toml'), BSQL_STATE_DIR: join(this.home, 'state'),
      BSQL_CACHE_DIR: join(this.home, 'cache'), BSQL_RUNTIME_DIR: join(this.home, 'run'), ...more,
    };
  }

  /**
   * Starts bsql. With `terminal` it has one, as it needs to open a browser. With `lingers` the terminal stays until the
   * browser is there: one that is closed at once takes along what has just been started.
   */
  start(args, { terminal = false, lingers = false, env = {} } = {}) {
    const words = [process.env.BSQL, ...args].map((word) => `'${word}'`).join(' ');
    const wait = lingers ? `; status=$?; until [ "$(ls '${this.browsers}')" ]; do sleep 0.1; done; exit $status` : '';
    const command = terminal ? ['script', '-qec', words + wait, '/dev/null'] : [process.env.BSQL, ...args];
    const child = spawn(command[0], command.slice(1), { env: this.environment(env), stdio: ['pipe', 'pipe', 'pipe'], timeout: 60_000 });
    const run = { child, stdout: '', stderr: '', said: '' };
    for (const stream of ['stdout', 'stderr']) {
      child[stream].on('data', (data) => { run[stream] += data; run.said += data; });
    }
    run.ended = new Promise((resolve) => child.on('close', (code) => resolve({ ...run, code })));
    return run;
  }

  run(args, options) { return this.start(args, options).ended; }

  /** Runs bsql, which must succeed. */
  async ok(args, options) {
    const run = await this.run(args, options);
    assert.equal(run.code, 0, `bsql ${args.join(' ')}:\n${run.said}`);
    return run;
  }

  login(args = [], options = {}) {
    return this.ok(['login', '--flow', 'browser', ...args], { terminal: true, ...options });
  }

  /** What the token store holds. */
  tokens() {
    const dir = join(this.home, 'state', 'tokens');
    const files = readdirSync(dir).map((name) => readFileSync(join(dir, name), 'utf8')).filter((text) => text.includes('"id_token"'));
    assert.equal(files.length, 1);
    return JSON.parse(files[0]);
  }

  claims() { return JSON.parse(Buffer.from(this.tokens().id_token.split('.')[1], 'base64url')); }

  /** Waits for the browsers to close, which bsql does not do, and leaves nothing. */
  async remove() {
    for (let tries = 0; tries < 200 && readdirSync(this.browsers).length > 0; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const open = readdirSync(this.browsers);
    rmSync(this.home, { recursive: true, force: true });
    assert.deepEqual(open, [], 'a browser was still open');
  }
}

/** The address below `prefix` that bsql says, once it has said it. */
async function address(run, prefix) {
  for (;;) {
    const found = run.said.split(/\s/).slice(0, -1).find((word) => word.startsWith(prefix));
    if (found) return found;
    const more = (stream) => new Promise((resolve) => stream.once('data', () => resolve()));
    const ended = await Promise.race([run.ended, more(run.child.stdout), more(run.child.stderr)]);
    assert.ok(!ended, `ended without an address:\n${ended?.said}`);
  }
}

/** What the provider says to a refresh token. */
async function refresh(issuer, token) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'bsql', refresh_token: token });
  return (await fetch(`${issuer}/token`, { method: 'POST', body })).json();
}

const cases = {
  async 'in the browser, with consent'({ provider, machine }) {
    const login = await machine.login();
    assert.match(login.said, /signed in as alice@acme\.example \(profile acme\)/);
    const asked = provider.seen.authorizations.at(-1);
    assert.equal(asked.code_challenge_method, 'S256');
    assert.ok(asked.state && asked.nonce);
    const who = JSON.parse((await machine.ok(['whoami', '-o', 'json'])).stdout);
    assert.equal(who.email, 'alice@acme.example');
    assert.equal(who.subject, 'alice');
    assert.equal(who.issuer, provider.issuer);
    assert.equal(who.catalog_user, null);
  },

  async 'with a code on another device'({ provider, machine }) {
    const login = machine.start(['login', '--flow', 'device']);
    const page = await browse(await address(login, `${provider.issuer}/device`));
    assert.match(page.title, /success/i, page.text);
    const { code, said } = await login.ended;
    assert.equal(code, 0, said);
    assert.match(said, /signed in as alice@acme\.example/);
  },

  async 'with a code, and somebody says no'({ provider, machine }) {
    const login = machine.start(['login', '--flow', 'device']);
    await browse(await address(login, `${provider.issuer}/device`), { deny: true });
    const { code, said } = await login.ended;
    assert.equal(code, 77, said);
  },

  async 'by pasting what a browser elsewhere ends at'({ provider, machine }) {
    const login = machine.start(['login', '--flow', 'paste']);
    const end = await browse(await address(login, `${provider.issuer}/auth`), { elsewhere: true });
    assert.match(end.url, /^http:\/\/127\.0\.0\.1:\d+\/callback\?/);
    login.child.stdin.write(`${end.url.replace(/state=[^&]*/, 'state=forged')}\n`);
    login.child.stdin.write(`${end.url}\n`);
    const { code, said } = await login.ended;
    assert.equal(code, 0, said);
    assert.match(said, /not accepted[^]*signed in as alice@acme\.example/);
  },

  async 'by pasting over SSH, where there is no device flow'({ provider, machine }) {
    const login = machine.start(['login'], { terminal: true, env: { BROWSER: '', SSH_TTY: '/dev/pts/0' } });
    const end = await browse(await address(login, `${provider.issuer}/auth`), { elsewhere: true });
    login.child.stdin.write(`${end.url}\n`);
    const { code, said } = await login.ended;
    assert.equal(code, 0, said);
    assert.match(said, /this is (?:an SSH session|a container), and the provider has no device flow[^]*signed in as alice@acme\.example/);
  },

  async 'no browser and no questions with --no-input'({ machine }) {
    const env = { BROWSER: `touch ${join(machine.home, 'opened')}` };
    for (const args of [['whoami'], ['login', '--flow', 'browser', '--timeout', '1s']]) {
      const { code, said } = await machine.run([...args, '--no-input'], { terminal: true, env });
      assert.equal(code, 67, said);
    }
    assert.ok(!existsSync(join(machine.home, 'opened')));
    // The same without it, to know that it would have been opened.
    await machine.run(['login', '--flow', 'browser', '--timeout', '1s'], { terminal: true, env });
    assert.ok(existsSync(join(machine.home, 'opened')));
  },

  async 'again with more proof'({ machine }) {
    await machine.login();
    const before = machine.claims();
    assert.equal(before.acr, 'urn:bsql:pwd');
    await machine.login(['--acr', 'urn:bsql:mfa', '--max-age', '0']);
    const after = machine.claims();
    assert.equal(after.acr, 'urn:bsql:mfa');
    assert.ok(after.auth_time >= before.auth_time);
  },

  async 'somebody says no'({ machine }) {
    const { code, said } = await machine.run(['login', '--flow', 'browser'], { terminal: true, env: { PERSON: 'deny' } });
    assert.equal(code, 77, said);
    assert.match(said, /said no/);
    assert.equal((await machine.run(['whoami'])).code, 67);
  },

  async 'requests are pushed where they must be'({ machine, provider }) {
    await machine.login();
    assert.equal(provider.seen.pushed, 1);
  },

  async 'refresh tokens rotate, one program at a time'({ machine, provider }) {
    await machine.login();
    const first = machine.tokens().refresh_token;
    await machine.ok(['whoami']);
    assert.equal(provider.seen.refreshes, 0, 'the tokens were still good');
    while (provider.seen.refreshes === 0) await machine.ok(['whoami']);
    assert.notEqual(machine.tokens().refresh_token, first);
    // The provider ends the session when a refresh token comes twice, so a race would sign everybody out.
    const end = machine.tokens().expires_at * 1000;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, end - Date.now())));
    const before = provider.seen.refreshes;
    const runs = await Promise.all(Array.from({ length: 6 }, () => machine.run(['whoami'])));
    for (const { code, said } of runs) assert.equal(code, 0, said);
    assert.ok(provider.seen.refreshes > before);
    await machine.ok(['whoami']);
  },

  async 'signing out revokes'({ machine, provider }) {
    await machine.login();
    const token = machine.tokens().refresh_token;
    await machine.ok(['logout']);
    assert.equal((await refresh(provider.issuer, token)).error, 'invalid_grant');
    const { code, said } = await machine.run(['whoami']);
    assert.equal(code, 67, said);
  },

  async 'signing out in the browser as well'({ machine, provider }) {
    await machine.login();
    const ended = new Promise((resolve) => provider.once('end_session.success', resolve));
    const patience = after(60_000, undefined, { ref: false });
    const { said } = await machine.ok(['logout', '--browser'], { terminal: true, lingers: true });
    assert.match(said, /signed out[^]*ending the provider's session/);
    await Promise.race([ended, patience.then(() => assert.fail('no end of the session in 60 s'))]);
  },

  async 'another issuer than the settings say'({ provider }) {
    const machine = new Machine(provider.issuer.replace('127.0.0.1', 'localhost'));
    try {
      const { code, said } = await machine.run(['login', '--flow', 'device']);
      assert.equal(code, 78, said);
      assert.ok(said.includes(`says that it is \`${provider.issuer}\``), said);
    } finally {
      await machine.remove();
    }
  },
};

const options = {
  'requests are pushed where they must be': { pushOnly: true },
  'by pasting over SSH, where there is no device flow': { devices: false },
  // Long enough for what comes right after the sign-in, short enough to wait for the end.
  'refresh tokens rotate, one program at a time': { tokenLife: 10 },
};

const wanted = process.argv[2] ?? '';
for (const [name, run] of Object.entries(cases)) {
  if (!name.includes(wanted)) continue;
  const provider = await startProvider(options[name]);
  const machine = new Machine(provider.issuer);
  try {
    await run({ provider, machine });
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}`);
    console.error(error);
    process.exitCode = 1;
  } finally {
    await machine.remove();
    await provider.stop();
  }
}
