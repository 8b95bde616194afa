// Drives the official TypeScript client with its default transport: HTTP/2 without a fallback, on plain TCP.
// A job comes on stdin and the outcomes go to stdout, both JSON. drive.py does the same for Python.

import { readFileSync } from 'node:fs';
import Runloop, { toFile } from '@runloop/api-client';
import { VERSION } from '@runloop/api-client/version';

const BODIES = {
  'axons.sql.batch': { statements: [{ sql: 'select 1' }] },
  'devboxes.execute': { command: 'true', command_id: 'sample-1' },
  'devboxes.waitForCommand': { statuses: ['completed'] },
};

async function body(call) {
  if (call.method === 'devboxes.uploadFile') {
    return { path: 'a.txt', file: await toFile(Buffer.from('hello'), 'a.txt') };
  }
  return call.arguments ?? BODIES[call.method] ?? { name: 'sample-1' };
}

async function run(client, call) {
  const parts = call.method.split('.');
  const name = parts.pop();
  const resource = parts.reduce((value, part) => value[part], client);
  const places = Array(call.places ?? 0).fill('sample-1');
  const rest = call.bare ? [] : [await body(call)];
  const value = await resource[name](...places, ...rest);
  if (value?.controller && value[Symbol.asyncIterator]) {
    const events = [];
    for await (const event of value) events.push(event);
    return events;
  }
  return typeof value?.arrayBuffer === 'function' ? (await value.arrayBuffer()).byteLength : value;
}

async function outcome(client, call) {
  client.bearerToken = call.key;
  try {
    const value = await run(client, call);
    return { error: null, reply: value?.constructor === Object ? value : null };
  } catch (error) {
    return { error: error.constructor.name, status: error.status, body: error.error, text: error.message };
  }
}

const job = JSON.parse(readFileSync(0, 'utf8'));
const client = new Runloop({ bearerToken: 'unset', baseURL: job.url });
const outcomes = [];
for (const call of job.calls) outcomes.push(await outcome(client, call));
process.stdout.write(JSON.stringify({ version: VERSION, outcomes }), () => process.exit(0));
