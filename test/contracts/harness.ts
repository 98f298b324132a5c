import type { Backend } from '../../src/backend.ts';
import type { JournalId } from '../../src/protocol/ids.ts';

/**
 * What is done to a stored entry: its bytes are changed, it is taken out, it stands once more where the next one would, it has changed
 * places with the next one (the last with the one before), its bytes are cut short.
 */
export const DAMAGES = ['altered', 'missing', 'repeated', 'swapped', 'truncated'] as const;
export type Damage = (typeof DAMAGES)[number];

/** One store, and what a test needs beside the contract. */
export interface Harness {
  /** Each with an owner of its own, on the same store. */
  open(): Promise<Backend>;
  /** As another process has it. Absent where a store belongs to one process. */
  openAnother?(): Promise<Backend>;
  /** Behind the backend's back. */
  tamper(journal: JournalId, seq: number, kind: Damage): Promise<void>;
  /** Time passes, for leases and watches. */
  pass(ms: number): Promise<void>;
  /** Closes all that was opened. */
  close(): Promise<void>;
}

/** What the tests of one part are given. */
export interface Given {
  readonly harness: Harness;
  readonly backend: Backend;
}

/** What nobody may use as an id. */
export const HOSTILE: readonly string[] = [
  '',
  '.',
  '..',
  'a.b',
  'a/b',
  '../a',
  'a b',
  '*',
  '>',
  'a\0',
  'a\n',
  '$JS',
  'ä',
  "'; --",
  'a'.repeat(129),
];

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const STEP_MS = 10;

/** The fact holds before this time has passed. */
export async function within(harness: Harness, ms: number, fact: () => boolean, what: string): Promise<void> {
  for (let passed = 0; !fact(); passed += STEP_MS) {
    if (passed >= ms) throw new Error(`After ${ms} ms it is still not so: ${what}`);
    await harness.pass(STEP_MS);
  }
}

/** What the contract promises for what others have changed. */
export const SEEN_MS = 200;
