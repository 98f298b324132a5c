import { describe, expect, it } from 'vitest';
import { assign, setup } from 'xstate';
import type { Backend, Stored } from '../../src/backend.ts';
import { GENESIS, sealPost, unseal, unsealPosts } from '../../src/chain.ts';
import { createTroupe, durable } from '../../src/index.ts';
import { CorruptJournalError } from '../../src/protocol/errors.ts';
import { inboxOf, runId, type RunId } from '../../src/protocol/ids.ts';
import { INBOX_VERSION } from '../../src/protocol/inbox.ts';
import { all, DAMAGES, type Damage, type Given } from './harness.ts';
import { sealed } from './sealed.ts';

const [RUN, OTHER] = [runId('run-1'), runId('run-2')];
const LENGTH = 9;

/** The first entry that is not what it should be. */
const reportedAt = (kind: Damage, seq: number, last: number): number => {
  switch (kind) {
    case 'altered':
    case 'missing':
    case 'truncated':
      return seq;
    case 'repeated':
      return seq + 1;
    case 'swapped':
      return seq === last ? seq - 1 : seq;
  }
};

/** A chain that ends earlier is a whole one. */
const isSeen = (kind: Damage, seq: number, last: number): boolean => kind !== 'missing' || seq !== last;

const posts = (run: RunId): Stored[] => {
  const made: Stored[] = [];
  for (let seq = 1; seq <= LENGTH; seq += 1) {
    const message = { by: 'ana', type: 'send', event: { type: 'E' }, cause: null } as const;
    made.push(sealPost({ v: INBOX_VERSION, run, seq, at: 1, message }, made.at(-1)?.hash ?? GENESIS));
  }
  return made;
};

const counting = durable(
  setup({ types: { context: {} as { n: number }, events: {} as { type: 'INC' } } }).createMachine({
    context: { n: 0 },
    on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
  }),
  { name: 'counting', version: '1' },
);

/** Whatever is done to what is stored is reported by run and seq, never skipped. */
export function tamperContract(given: Given): void {
  const cases = DAMAGES.flatMap((kind) =>
    [1, 5, LENGTH].filter((seq) => isSeen(kind, seq, LENGTH)).map((seq) => [kind, seq] as const),
  );
  const reading = (run: RunId, on: Backend = given.backend) => all(unseal(run, on.journal.read(run)));

  it.each(cases)('reports an entry that is %s: %i of 9', async (kind, seq) => {
    const { journal } = given.backend;
    for (const run of [RUN, OTHER]) {
      await journal.append(run, sealed(run, LENGTH), { epoch: 1, after: 0 });
      await journal.append(inboxOf(run), posts(run), { epoch: 0, after: 0 });
    }
    await given.harness.tamper(RUN, seq, kind);
    await given.harness.tamper(inboxOf(OTHER), seq, kind);
    const at = reportedAt(kind, seq, LENGTH);

    const broken = await reading(RUN).catch((error: unknown) => error);
    expect(broken).toBeInstanceOf(CorruptJournalError);
    expect(broken).toMatchObject({ context: { run: RUN, seq: at } });
    expect(await reading(OTHER)).toHaveLength(LENGTH);

    const inbox = (run: RunId) => all(unsealPosts(run, journal.read(inboxOf(run))));
    const brokenInbox = await inbox(OTHER).catch((error: unknown) => error);
    expect(brokenInbox).toBeInstanceOf(CorruptJournalError);
    expect(brokenInbox).toMatchObject({ context: { run: OTHER, seq: at } });
    expect(await inbox(RUN)).toHaveLength(LENGTH);
  });

  it('does not see that the last entry is missing: what is left is a whole chain, and the next append is refused', async () => {
    const { journal } = given.backend;
    const entries = sealed(RUN, LENGTH);
    await journal.append(RUN, entries, { epoch: 1, after: 0 });
    await given.harness.tamper(RUN, LENGTH, 'missing');
    expect(await reading(RUN)).toHaveLength(LENGTH - 1);
    // Whoever knew of it, such as its live owner, finds out.
    const next = sealed(RUN, 1, { after: LENGTH, before: entries.at(-1)?.hash ?? GENESIS });
    expect(await journal.append(RUN, next, { epoch: 1, after: LENGTH })).toEqual({ status: 'refused' });
  });

  describe.each([1, 3])('at entry %i, in a troupe', (seq) => {
    it.each(DAMAGES)(
      '%s: the run is listed as unreadable, left by recovery and reported, and others go on',
      async (kind) => {
        const { harness } = given;
        const options = { backend: { open: () => harness.open() }, definitions: [counting], recover: false };
        const before = await createTroupe(options);
        for (const id of [RUN, OTHER]) {
          const run = await before.start(counting, undefined, { id });
          for (let sent = 0; sent < 3; sent += 1) await run.send({ type: 'INC' });
        }
        await before.close();
        const length = (await reading(RUN)).length;
        expect(length).toBeGreaterThan(3);
        await harness.tamper(RUN, seq, kind);

        const after = await createTroupe(options);
        const where = { run: RUN, seq: reportedAt(kind, seq, length) };
        const info = (await after.runs()).find(({ run }) => run === RUN);
        expect(info).toMatchObject({ status: 'unreadable', error: { code: 'CORRUPT_JOURNAL', context: where } });
        const { recovered, left } = await after.recover();
        expect(recovered).toEqual([OTHER]);
        expect(left).toMatchObject([{ run: RUN, error: { code: 'CORRUPT_JOURNAL', context: where } }]);
        const other = await after.attach(OTHER, counting);
        await other.send({ type: 'INC' });
        expect(other.getSnapshot()?.context).toEqual({ n: 4 });
        await after.close();
      },
    );
  });
}
