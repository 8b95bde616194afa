// The peer: better-auth's API-key plugin, asked the same question as Keyscope's forward-auth.
//
//   node server.mjs map|sqlite PORT DIRECTORY
//
// DIRECTORY/tokens holds one key a line. The first is made by better-auth itself; the others are copies of its record
// under their own hashes, which is the same storage without 100,000 slow calls. GET /verify with the key as a Bearer
// credential answers 200 or 401. Rate limiting is off. Permissions are not asked for, which is less than Keyscope does.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [mode, port, directory, modules] = process.argv.slice(2);
const require = createRequire(`${modules}/package.json`);
const load = (name) => import(require.resolve(name));
const { betterAuth } = await load("better-auth");
const { apiKey, defaultKeyHasher } = await load("@better-auth/api-key");
const { getMigrations } = await load("better-auth/db/migration");
const Database = require("better-sqlite3");

const tokens = readFileSync(`${directory}/tokens`, "utf8").trim().split("\n");
const held = new Map();
const map = {
  get: async (key) => held.get(key) ?? null,
  set: async (key, value) => void held.set(key, value),
  delete: async (key) => void held.delete(key),
};

const database = new Database(`${directory}/better-auth.db`);
database.pragma("journal_mode = WAL");
const options = {
  baseURL: "http://127.0.0.1",
  secret: "a secret of a benchmark, thirty-two bytes",
  database,
  telemetry: { enabled: false },
  logger: { level: "error" },
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  plugins: [
    apiKey({
      storage: mode === "map" ? "secondary-storage" : "database",
      customStorage: mode === "map" ? map : undefined,
      defaultKeyLength: tokens[0].length,
      customKeyGenerator: async () => tokens[0],
      rateLimit: { enabled: false },
    }),
  ],
};
const auth = betterAuth(options);
await (await getMigrations(options)).runMigrations();
const { user } = await auth.api.signUpEmail({
  body: { name: "bench", email: "bench@example.com", password: "a long enough password" },
});
await auth.api.createApiKey({ body: { userId: user.id, name: "agent" } });
await (mode === "map" ? fillMap() : fillSqlite());

createServer(async (request, response) => {
  const key = (request.headers.authorization ?? "").slice("Bearer ".length);
  const found = await auth.api.verifyApiKey({ body: { key } });
  response.writeHead(found.valid ? 200 : 401, found.valid ? { "x-key-id": found.key.id, "content-length": 0 } : {});
  response.end();
}).listen(Number(port), "127.0.0.1");

async function fillMap() {
  const hash = await defaultKeyHasher(tokens[0]);
  const record = JSON.parse(held.get(`api-key:${hash}`));
  for (const [number, token] of tokens.entries()) {
    if (number === 0) continue;
    const copy = { ...record, id: `${record.id}${number}`, key: await defaultKeyHasher(token) };
    held.set(`api-key:${copy.key}`, JSON.stringify(copy));
    held.set(`api-key:by-id:${copy.id}`, JSON.stringify(copy));
  }
}

async function fillSqlite() {
  const row = database.prepare("SELECT * FROM apikey").get();
  const names = Object.keys(row);
  const marks = names.map((name) => `@${name}`).join(", ");
  const add = database.prepare(`INSERT INTO apikey (${names.map((name) => `"${name}"`).join(", ")}) VALUES (${marks})`);
  const hashes = await Promise.all(tokens.map((token) => defaultKeyHasher(token)));
  database.transaction(() => {
    for (let number = 1; number < tokens.length; number++) {
      add.run({ ...row, id: `${row.id}${number}`, key: hashes[number] });
    }
  })();
}
