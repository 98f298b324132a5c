import { entryOf } from '../../src/chain.ts';
import { embedded, type BackendFactory, type Entry, type RunHandle, type Troupe } from '../../src/index.ts';
import { entriesOf } from './entries.ts';
import { errand, finish, Outside } from './errand.ts';
import { SimulatedClock } from './simulatedClock.ts';

import { openedWith } from './opened.ts';

/** Errands that have ended, for forks of them; nothing is parked, so that every run can be looked at. */

export const opened = openedWith({ parkAfter: false, principal: 'test' });

export async function entriesSoFar(troupe: Troupe, run: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const { bytes } of troupe.stored(run)) entries.push(entryOf(bytes));
  return entries;
}

export async function bytesOf(troupe: Troupe, run: string): Promise<string[]> {
  const bytes: string[] = [];
  for await (const stored of troupe.stored(run)) bytes.push(Buffer.from(stored.bytes).toString('base64'));
  return bytes;
}

/** An errand that has ended, with what it said to the outside. */
export async function done(backend: BackendFactory = embedded()) {
  const [clock, outside] = [new SimulatedClock(), new Outside()];
  const definition = errand(outside);
  const troupe = await opened({ backend, clock, definitions: [definition] });
  const run = (await troupe.start(definition, undefined, { id: 'first' })) as RunHandle;
  await finish(troupe, run, clock);
  return { troupe, run, clock, outside, definition, entries: await entriesOf(run) };
}

export const seqOf = (entries: readonly Entry[], type: Entry['type'], target?: string): number => {
  const found = entries.find((entry) => entry.type === type && (target === undefined || entry.target === target));
  if (found === undefined) throw new Error(`there is no ${type}`);
  return found.seq;
};

/** Where it was told the price. */
export const pricedIn = (entries: readonly Entry[]): number =>
  entries.findLast(({ type, target }) => type === 'leaf.succeeded' && target.startsWith('body/price'))?.seq ?? 0;

/** What is the same in both. */
export const shared = ({ seq, epoch, at, type, target }: Entry) => ({ seq, epoch, at, type, target });
