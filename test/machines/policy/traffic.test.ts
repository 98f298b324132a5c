import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  joined,
  NO_TRAFFIC,
  released,
  served,
  turnOf,
  type Limits,
  type Traffic,
} from '../../../machines/policy/traffic.ts';

const limits = fc.record({
  concurrency: fc.integer({ min: 1, max: 4 }),
  toolConcurrency: fc
    .dictionary(fc.constantFrom('a', 'b'), fc.integer({ min: 1, max: 2 }))
    .map((limit) => new Map(Object.entries(limit))),
  rateLimit: fc.option(fc.record({ limit: fc.integer({ min: 1, max: 3 }), perMs: fc.integer({ min: 1, max: 50 }) }), {
    nil: undefined,
  }),
}) satisfies fc.Arbitrary<Limits>;
const moves = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('come' as const), tool: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ do: fc.constant('end' as const), which: fc.nat(9) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat(30) }),
  ),
  { maxLength: 60 },
);

/** Every call that came, with when it began and whether it has ended. */
interface Seen {
  ticket: number;
  tool: string;
  began?: number;
  ended?: true;
}

test('no limit is ever exceeded, nobody who may begin is left waiting, and of one tool the first goes first', () => {
  fc.assert(
    fc.property(limits, moves, (limit, script) => {
      let traffic: Traffic = NO_TRAFFIC;
      let now = 0;
      const seen: Seen[] = [];
      const running = (tool?: string): Seen[] =>
        seen.filter((call) => call.began !== undefined && !call.ended && (tool === undefined || call.tool === tool));
      const recent = (): number =>
        seen.filter(({ began }) => began !== undefined && began > now - (limit.rateLimit?.perMs ?? 0)).length;
      const free = (tool: string): boolean =>
        running().length < limit.concurrency &&
        running(tool).length < (limit.toolConcurrency.get(tool) ?? Infinity) &&
        recent() < (limit.rateLimit?.limit ?? Infinity);

      for (const move of script) {
        if (move.do === 'wait') now += move.ms;
        if (move.do === 'come') {
          const call = { ticket: seen.length, tool: move.tool };
          seen.push(call);
          traffic = joined(traffic, call);
        }
        if (move.do === 'end') {
          const call = running()[move.which % Math.max(1, running().length)];
          if (call === undefined) continue;
          call.ended = true;
          traffic = released(traffic, call);
        }
        const before = seen.filter(({ began }) => began === undefined);
        const given = served(traffic, limit, now);
        traffic = given.traffic;
        for (const ticket of given.granted) {
          const call = seen[ticket] as Seen;
          assert(free(call.tool), 'over a limit');
          const earlier = before.find(({ tool, began }) => tool === call.tool && began === undefined);
          assert.equal(earlier?.ticket, ticket, 'not the first of its tool');
          call.began = now;
        }
        for (const { ticket, tool } of traffic.waiting) assert(!free(tool), `${ticket} waits, and need not`);
        assert.equal(traffic.active, running().length);
      }
    }),
  );
});

test('a turn is due when only the rate limit keeps somebody', () => {
  const limit: Limits = { concurrency: 2, toolConcurrency: new Map(), rateLimit: { limit: 1, perMs: 100 } };
  const waiting = [{ ticket: 1, tool: 'a' }];
  const traffic = (more: Partial<Traffic>): Traffic => ({ ...NO_TRAFFIC, waiting, begins: [50], active: 1, ...more });
  expect(turnOf(traffic({}), limit, 60)).toBe(150);
  expect(turnOf(traffic({ waiting: [] }), limit, 60)).toBeUndefined();
  expect(turnOf(traffic({ active: 2 }), limit, 60)).toBeUndefined();
  expect(turnOf(traffic({}), limit, 150)).toBeUndefined();
  expect(turnOf(traffic({}), { ...limit, rateLimit: undefined }, 60)).toBeUndefined();
});

test('no timer is longer than timers can be', () => {
  const month: Limits = { concurrency: 2, toolConcurrency: new Map(), rateLimit: { limit: 1, perMs: 30 * 86_400_000 } };
  const waiting = [{ ticket: 1, tool: 'a' }];
  expect(turnOf({ ...NO_TRAFFIC, waiting, begins: [0] }, month, 0)).toBe(2 ** 31 - 1);
});
