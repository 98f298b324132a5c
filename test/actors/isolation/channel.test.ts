import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Channel, HEARD_BY_HOST } from '../../../actors/isolation/channel.ts';
import { encode } from '../../../src/codec.ts';

const TOKEN = 'this call';
const MIB = 2 ** 20;

let pipe: PassThrough;
let channel: Channel;
let heard: unknown[];
let ended: (string | undefined)[];
beforeEach(() => {
  pipe = new PassThrough();
  [heard, ended] = [[], []];
  channel = new Channel(
    pipe,
    { token: TOKEN, hears: HEARD_BY_HOST },
    { hear: (said) => heard.push(said), end: (unreadable) => ended.push(unreadable) },
  );
});
afterEach(() => channel.close());

const arrives = (bytes: Uint8Array): boolean => pipe.emit('data', bytes);

/** What stands before a message of so many bytes. */
function head(bytes: number, token = TOKEN): Buffer {
  const header = Buffer.concat([Buffer.alloc(4), Buffer.from(token)]);
  header.writeUInt32BE(token.length + bytes);
  return header;
}

function message(said: unknown, token = TOKEN): Buffer {
  const bytes = encode(said);
  return Buffer.concat([head(bytes.length, token), bytes]);
}

/** A list of so many nils: one byte each, eight once they are unpacked. */
function nils(many: number): Buffer {
  const bytes = Buffer.alloc(5 + many, 0xc0);
  bytes[0] = 0xdd;
  bytes.writeUInt32BE(many, 1);
  return bytes;
}

const buffers = (): number => process.memoryUsage().arrayBuffers;

test('messages are heard in their order, however they are cut', () => {
  const said = [{ n: 1 }, 'ä'.repeat(500), [null, Buffer.from('bytes')], ''];
  const all = Buffer.concat(said.map((each) => message(each)));
  for (const size of [1, 2, 7, 100, all.length]) {
    heard.length = 0;
    for (let at = 0; at < all.length; at += size) arrives(all.subarray(at, at + size));
    expect(heard).toEqual(said);
  }
});

test('a flood is heard chunk by chunk, and others have their turn between', async () => {
  const chunk = Buffer.concat(Array.from({ length: 10 }, () => message('more')));
  for (let n = 0; n < 50; n += 1) pipe.write(chunk);
  const turns: number[] = [];
  while (heard.length < 500) {
    const before = heard.length;
    await setImmediate();
    turns.push(heard.length - before);
  }
  expect(Math.max(...turns)).toBe(10);
});

test('of a message that drips in, no piece is kept: only its bytes are', () => {
  const said = 'x'.repeat(1_000) + 'y'.repeat(1_000);
  // The same piece again and again, with another byte in it.
  const piece = Buffer.alloc(1);
  for (const byte of message(said)) {
    piece[0] = byte;
    arrives(piece);
  }
  expect(heard).toEqual([said]);
});

test('what is announced takes no memory before it arrives', () => {
  const before = buffers();
  arrives(head(HEARD_BY_HOST.bytes));
  for (let n = 0; n < 1_000; n += 1) arrives(Buffer.alloc(1));
  expect(buffers() - before).toBeLessThan(MIB);
  expect([heard, ended]).toEqual([[], []]);
});

test('what arrives without the token is let go of unread, and the next message is heard', () => {
  const piece = Buffer.alloc(MIB, 0xc0);
  const before = buffers();
  arrives(head(60 * MIB, 'not it at'));
  for (let n = 0; n < 60; n += 1) arrives(piece);
  expect(buffers() - before).toBeLessThan(MIB);
  for (const token of ['', TOKEN.slice(1), `X${TOKEN}`]) arrives(message('theirs', token));
  arrives(Buffer.alloc(4));
  arrives(message('ours'));
  expect([heard, ended]).toEqual([['ours'], []]);
});

test('what would take too much memory is not unpacked, and nothing is heard behind it', () => {
  const many = nils(60 * MIB);
  arrives(head(many.length));
  arrives(many);
  arrives(message('later'));
  expect(heard.length).toBe(0);
  expect(ended).toEqual([expect.stringContaining('more than 130 MiB of values')]);
});

test('the longest text that a value may be is heard', () => {
  const text = 'é'.repeat(32 * MIB);
  arrives(message({ type: 'succeeded', output: text }));
  expect(ended).toEqual([]);
  expect((heard as { output: string }[])[0]?.output === text).toBe(true);
}, 30_000);
