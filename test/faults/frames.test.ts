import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import suite from 'msgpack-test-suite' with { type: 'json' };
import { expect, test } from 'vitest';
import { decodeEnvelope } from '../../src/frame.ts';
import { ValidationError } from '../../src/protocol/errors.ts';
import { Frames } from '../support/frames.ts';

const count = Number(process.env['FAULT_FRAMES'] ?? 20_000);
const seed = Number(process.env['FAULT_SEED'] ?? 20_260_201);

const MOST_MS = 50;
const MOST_KEPT = 8 * 2 ** 20;
/** Of memory the process may hold at once: hundreds of frames, each of which may take 4 MiB. */
const MOST_HELD = 256 * 2 ** 20;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** How it was received, and in how many ms. Whatever is thrown besides a refusal ends the test. */
function received(bytes: Uint8Array): { taken: boolean; ms: number } {
  const since = performance.now();
  try {
    decodeEnvelope(bytes);
    return { taken: true, ms: performance.now() - since };
  } catch (error) {
    const ms = performance.now() - since;
    if (error instanceof ValidationError && typeof error.context['path'] === 'string') return { taken: false, ms };
    throw new Error(`no refusal: ${Buffer.from(bytes).toString('hex').slice(0, 2_000)}`, { cause: error });
  }
}

/** What it takes of a processor, not what others took of it meanwhile. */
function costMs(bytes: Uint8Array, first: number): number {
  let least = first;
  for (let again = 0; again < 5 && least > MOST_MS; again += 1) least = Math.min(least, received(bytes).ms);
  return least;
}

test(`${count} hostile frames are refused by name or harmless, each in time`, { timeout: 30_000 + count }, () => {
  console.log(`FAULT_SEED=${seed} FAULT_FRAMES=${count}`);
  const hostile = new Frames(seed);
  const seen = { taken: 0, refused: 0 };
  let slowest = { ms: 0, frame: -1, bytes: 0 };
  for (let warm = 0; warm < 1_000; warm += 1) received(hostile.next().bytes);
  collect();
  const before = process.memoryUsage();
  let held = 0;
  for (let frame = 0; frame < count; frame += 1) {
    const { bytes } = hostile.next();
    const { taken, ms } = received(bytes);
    seen[taken ? 'taken' : 'refused'] += 1;
    if (ms > slowest.ms) slowest = { ms: costMs(bytes, ms), frame, bytes: bytes.length };
    if (frame % 1_000 === 0) held = Math.max(held, process.memoryUsage.rss() - before.rss);
  }
  collect();
  const kept = process.memoryUsage().heapUsed - before.heapUsed;
  const mb = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  console.log(
    `${seen.taken} taken, ${seen.refused} refused; slowest ${slowest.ms.toFixed(1)} ms (frame ${slowest.frame}, ${slowest.bytes} bytes); ${mb(held)} more held at most, ${mb(kept)} kept`,
  );
  expect(slowest.ms).toBeLessThan(MOST_MS);
  expect(kept).toBeLessThan(MOST_KEPT);
  expect(held).toBeLessThan(MOST_HELD);
  for (const times of Object.values(seen)) expect(times).toBeGreaterThan(count / 10);
});

test('the 233 vectors of msgpack, whole, cut at every byte, and with every bit flipped', () => {
  const vectors = Object.values(suite as Record<string, { msgpack: string[] }[]>)
    .flat()
    .flatMap(({ msgpack }) => msgpack)
    .map((hex) => Buffer.from(hex.replaceAll('-', ''), 'hex'));
  expect(vectors).toHaveLength(233);
  const frames = new Frames(seed);
  let slowest = 0;
  const decode = (bytes: Uint8Array): boolean => {
    const { taken, ms } = received(bytes);
    slowest = Math.max(slowest, costMs(bytes, ms));
    return taken;
  };
  for (const vector of vectors) {
    const frame = frames.envelope(vector);
    decode(frame);
    for (let size = 0; size < frame.length; size += 1) expect(decode(frame.subarray(0, size))).toBe(false);
    for (let bit = 0; bit < vector.length * 8; bit += 1) {
      const flipped = Buffer.from(vector);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      decode(frames.envelope(flipped));
    }
  }
  expect(slowest).toBeLessThan(MOST_MS);
});
