// The vectors of derived keys once more, in another language: node check.mjs derived.json
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest();
const mac = (key, message) => createHmac("sha256", key).update(message).digest();
const xor = (one, other) => Buffer.from(one.map((byte, at) => byte ^ other[at]));
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function base62(bytes, width) {
  let number = BigInt("0x" + bytes.toString("hex"));
  let text = "";
  for (; text.length < width; number /= 62n) text = digits[Number(number % 62n)] + text;
  return text;
}

function crc32(bytes) {
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  const four = Buffer.alloc(4);
  four.writeUInt32BE(~value >>> 0);
  return four;
}

function sealed(payload) {
  const body = "dk_" + payload.toString("base64url");
  return body + base62(crc32(Buffer.from(body)), 6);
}

function split(text) {
  const payload = Buffer.from(text.slice(3, -6), "base64url");
  const links = [];
  for (let at = 65; at < payload.length - 32; ) {
    const end = at + 2 + payload.readUInt16BE(at);
    links.push(payload.subarray(at + 2, end));
    at = end;
  }
  return { payload, head: payload.subarray(0, 65), links, tag: payload.subarray(-32) };
}

function ids(text, share) {
  const { head, links, tag } = split(text);
  let last = mac(xor(share, sha256("keyscope derived share v1", head.subarray(33))), head);
  const found = [];
  for (const link of links) {
    last = mac(last, link);
    found.push("drv_" + base62(sha256("keyscope derived id v1", last).subarray(0, 16), 22));
  }
  return last.equals(tag) ? found : null;
}

const vectors = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const row of vectors.genuine) {
  const { payload, head, links } = split(row.text);
  const wrap = mac(row.root, "keyscope derived wrap v1");
  const share = xor(mac(row.root, "keyscope derived root v1"), sha256("keyscope derived share v1", wrap));
  assert.equal(share.toString("hex"), row.share_hex, row.name);
  assert.deepEqual(head, Buffer.concat([Buffer.of(1), sha256(row.root), wrap]), row.name);
  assert.deepEqual(links.map(String), row.links_json, row.name);
  assert.deepEqual(links.map((link) => JSON.parse(link)), row.links, row.name);
  assert.deepEqual(ids(row.text, share), row.ids, row.name);
  assert.equal(sealed(payload), row.text, row.name);
}
for (const row of vectors.forged) assert.equal(ids(row.text, Buffer.from(row.share_hex, "hex")), null, row.name);
console.log(JSON.stringify({ genuine: vectors.genuine.length, forged: vectors.forged.length }));
